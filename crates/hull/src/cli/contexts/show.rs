//! `hull context ls`, `inspect` and `show`.

use serde_json::{Value, json};

use super::{DEFAULT, FILES, Named, Store};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome, report};
use crate::cli::io;
use crate::cli::parse::Spoken;
use crate::output::format::{self, Listing};

const LISTING: Listing = Listing {
    default: "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
    headings: &[
        ("Name", "NAME"),
        // It has none: the heading of the names bears no star.
        ("Current", ""),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Error", "ERROR"),
    ],
};

/// Flags of `context ls`.
#[derive(clap::Args, Debug)]
pub(crate) struct Ls {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Only show context names
    #[arg(short, long)]
    quiet: bool,
}

impl Spoken for Ls {
    const NAME: &'static str = "ls";
    const ABOUT: &'static str = "List contexts";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let mut all = Store::open().all();
        all.push(default(context));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        if self.quiet {
            let names: String = all.iter().map(|named| format!("{}\n", named.name)).collect();
            return io::print(&names).map(|()| 0);
        }
        let rows: Vec<Value> = all
            .iter()
            .map(|named| {
                json!({
                    "Name": named.name,
                    "Current": named.name == context.named,
                    "Description": named.description,
                    "DockerEndpoint": named.host,
                    "Error": "",
                })
            })
            .collect();
        let text = LISTING.render(self.format.as_deref().unwrap_or_default(), &rows).map_err(format::refused)?;
        io::print(&text).map(|()| 0)
    }
}

/// What flags and environment lead to.
fn default(context: &Context) -> Named {
    Named {
        name: DEFAULT.to_owned(),
        description: "Current DOCKER_HOST based configuration".to_owned(),
        host: context.default_host.clone(),
        skip_verify: false,
    }
}

/// Flags of `context inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(value_name = "CONTEXT", hide = true)]
    names: Vec<String>,
}

impl Spoken for Inspect {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Display detailed information on one or more contexts";
    const USAGE: &'static str = "[OPTIONS] [CONTEXT] [CONTEXT...]";

    fn run(self, context: &Context) -> Outcome {
        let store = Store::open();
        let names = if self.names.is_empty() { vec![context.named.clone()] } else { self.names };
        let (mut documents, mut failed) = (Vec::new(), false);
        for name in &names {
            match document(&store, context, name) {
                Ok(document) => documents.push(document),
                Err(fault) => {
                    report(&fault);
                    failed = true;
                }
            }
        }
        match self.format.as_deref().filter(|format| !format.is_empty()) {
            Some(format) => {
                for document in &documents {
                    io::say(format::object(format, document).map_err(format::refused)?)?;
                }
            }
            None => io::say(serde_json::to_string_pretty(&documents).unwrap_or_default())?,
        }
        if failed { Err(Failure::silent(1)) } else { Ok(0) }
    }
}

fn document(store: &Store, context: &Context, name: &str) -> Result<Value, hull_types::Fault> {
    if name == DEFAULT {
        let mut document = Named { description: String::new(), ..default(context) }.document();
        document["TLSMaterial"] = json!({});
        document["Storage"] = json!({"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"});
        return Ok(document);
    }
    let mut document = store.get(name)?.document();
    let material = store.material(name);
    let files: Vec<&str> = FILES.iter().map(|(_, file)| *file).filter(|file| material.join(file).exists()).collect();
    document["TLSMaterial"] = if files.is_empty() { json!({}) } else { json!({ "docker": files }) };
    let tls = material.parent().map(|path| path.display().to_string());
    document["Storage"] = json!({"MetadataPath": store.meta(name).display().to_string(), "TLSPath": tls});
    Ok(document)
}

/// Flags of `context show`.
#[derive(clap::Args, Debug)]
pub(crate) struct Show {}

impl Spoken for Show {
    const NAME: &'static str = "show";
    const ABOUT: &'static str = "Print the name of the current context";
    const USAGE: &'static str = "";

    fn run(self, context: &Context) -> Outcome {
        io::say(&context.named).map(|()| 0)
    }
}
