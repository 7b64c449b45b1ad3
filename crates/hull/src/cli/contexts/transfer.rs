//! `hull context export` and `import`: a context as docker's archive of it.

use std::fs;
use std::io::{Read, Write};

use hull_types::Fault;

use super::{DEFAULT, FILES, Named, Store, bundle, parse};
use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::io;
use crate::cli::parse::Spoken;

/// Archives larger than this are not read. COMPAT(docker 28).
const MOST: u64 = 10 << 20;

/// Flags of `context export`.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    #[arg(value_name = "CONTEXT", required = true, hide = true)]
    name: String,
    #[arg(value_name = "FILE", hide = true)]
    file: Option<String>,
}

impl Spoken for Export {
    const NAME: &'static str = "export";
    const ABOUT: &'static str = "Export a context to a tar archive FILE or a tar stream on STDOUT";
    const USAGE: &'static str = "CONTEXT [FILE|-]";

    fn run(self, _context: &Context) -> Outcome {
        if self.name == DEFAULT {
            return Err(Fault::invalid("the default context cannot be exported").into());
        }
        let store = Store::open();
        let meta = serde_json::to_vec(&store.get(&self.name)?.document()).unwrap_or_default();
        let mut files = vec![("meta.json".to_owned(), meta)];
        let mut material = Vec::new();
        super::asked::copy(&store, &self.name, &mut material)?;
        files.extend(material.into_iter().map(|(file, bytes)| (format!("tls/docker/{file}"), bytes)));
        let archive = bundle::write(&files);
        let file = self.file.unwrap_or_else(|| format!("{}.dockercontext", self.name));
        if file == "-" {
            let written = std::io::stdout().write_all(&archive);
            written.map_err(|error| Fault::internal("cannot write the archive").cause(error))?;
            return Ok(0);
        }
        let made = fs::OpenOptions::new().write(true).create_new(true).open(&file);
        made.and_then(|mut out| out.write_all(&archive))
            .map_err(|error| Fault::invalid(format!("cannot write {file}")).cause(error))?;
        eprintln!("Written file \"{file}\"");
        Ok(0)
    }
}

/// Flags of `context import`.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    #[arg(value_name = "CONTEXT", required = true, hide = true)]
    name: String,
    #[arg(value_name = "FILE", required = true, hide = true)]
    file: String,
}

impl Spoken for Import {
    const NAME: &'static str = "import";
    const ABOUT: &'static str = "Import a context from a tar file";
    const USAGE: &'static str = "CONTEXT FILE|-";

    fn run(self, _context: &Context) -> Outcome {
        let store = Store::open();
        super::check(&self.name)?;
        if self.name == DEFAULT || store.get(&self.name).is_ok() {
            return Err(Fault::conflict(format!("context \"{}\" already exists", self.name)).into());
        }
        let bad = |why: &dyn std::fmt::Display| Fault::invalid(format!("cannot import {}: {why}", self.file));
        let mut archive = Vec::new();
        let read = match self.file.as_str() {
            "-" => std::io::stdin().lock().take(MOST + 1).read_to_end(&mut archive),
            file => fs::File::open(file).and_then(|file| file.take(MOST + 1).read_to_end(&mut archive)),
        };
        read.map_err(|error| bad(&error))?;
        if archive.len() as u64 > MOST {
            return Err(bad(&"it is larger than 10 MiB").into());
        }
        let (mut named, mut files) = (None, Vec::new());
        for (name, bytes) in bundle::read(&archive).map_err(|why| bad(&why))? {
            let known = FILES.iter().find(|(_, file)| name == format!("tls/docker/{file}"));
            match (name.as_str(), known) {
                ("meta.json", _) => named = Some(parse(&bytes).map_err(|why| bad(&why))?),
                (_, Some((_, file))) => files.push((*file, bytes)),
                _ => return Err(bad(&format!("unexpected file {}", crate::cli::parse::shortened(&name))).into()),
            }
        }
        let named = named.ok_or_else(|| bad(&"it has no meta.json"))?;
        store.put(&Named { name: self.name.clone(), ..named }, &files)?;
        io::say(&self.name)?;
        eprintln!("Successfully imported context \"{}\"", self.name);
        Ok(0)
    }
}
