//! `hull save`: images as an archive.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stdout};
use std::path::{Path, PathBuf};

use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::{Spoken, shortened};

/// Flags of `save`.
#[derive(clap::Args, Debug)]
pub(crate) struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    output: Option<String>,
    /// Save only the given platform variant
    #[arg(long, value_name = "string", hide = true)]
    platform: Option<String>,
    #[arg(value_name = "IMAGE", required = true, hide = true)]
    images: Vec<String>,
}

impl Spoken for Save {
    const NAME: &'static str = "save";
    const ABOUT: &'static str = "Save one or more images to a tar archive (streamed to STDOUT by default)";
    const USAGE: &'static str = "[OPTIONS] IMAGE [IMAGE...]";

    fn run(self, context: &Context) -> Outcome {
        if self.platform.is_some() {
            return Err(Failure::usage(Fault::unsupported("`--platform` is not supported for save")));
        }
        let to = Target::open(self.output.as_deref())?;
        let client = context.client()?;
        let from = client.image_save(&self.images).map_err(Fault::from)?;
        to.take(from)
    }
}

/// Where an archive goes. A file appears under its name only when it is whole.
pub(super) enum Target {
    Stdout,
    File { path: PathBuf, part: PathBuf, file: File },
}

impl Target {
    /// Opens it; a terminal is refused.
    pub fn open(path: Option<&str>) -> Result<Self, Failure> {
        let Some(path) = path else {
            if stdout().is_terminal() {
                let fault = Fault::invalid("standard output is a terminal, and an archive would spoil it");
                return Err(Failure::usage(fault.hint("name a file with --output, or redirect")));
            }
            return Ok(Self::Stdout);
        };
        let failed = |error: std::io::Error| {
            Failure::usage(Fault::invalid(format!("cannot write `{}`", shortened(path))).cause(error))
        };
        let path = PathBuf::from(path);
        // What is no regular file, such as /dev/null or a pipe, is written to as it is.
        if path.exists() && !path.is_file() {
            let file = File::options().write(true).open(&path).map_err(failed)?;
            return Ok(Self::File { part: path.clone(), path, file });
        }
        let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::InvalidInput.into()))?;
        let part = path.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        let file = File::create_new(&part).map_err(failed)?;
        Ok(Self::File { path, part, file })
    }

    /// Writes the archive to its end.
    pub fn take(self, mut from: impl Read) -> Outcome {
        let result = match &self {
            Self::Stdout => copy(&mut from, stdout().lock()),
            Self::File { file, .. } => copy(&mut from, file),
        };
        match (&self, result) {
            (Self::File { path, part, .. }, Ok(())) if path != part => std::fs::rename(part, path)
                .map(|()| 0)
                .map_err(|error| Fault::internal("cannot give the archive its name").cause(error).into()),
            (_, Ok(())) => Ok(0),
            (_, Err(fault)) => Err(fault.into()),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { path, part, .. } = self {
            discard(path, part);
        }
    }
}

/// What was not renamed is not whole.
fn discard(path: &Path, part: &Path) {
    if path != part {
        _ = std::fs::remove_file(part);
    }
}

fn copy(from: &mut impl Read, mut to: impl Write) -> Result<(), Fault> {
    let mut piece = vec![0; 1 << 18];
    loop {
        let read = from
            .read(&mut piece)
            .map_err(|error| Fault::internal("the archive broke off").cause(error).hint("the engine's log says why"))?;
        if read == 0 {
            return to.flush().map_err(|error| Fault::internal("cannot write the archive").cause(error));
        }
        to.write_all(&piece[..read]).map_err(|error| Fault::internal("cannot write the archive").cause(error))?;
    }
}
