//! `hull load`: the images of an archive.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stdin};

use hull_client::Client;
use hull_types::Fault;
use hull_wire::JsonMessage;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::{Spoken, shortened};
use crate::output::progress::Counted;

/// Flags of `load`.
#[derive(clap::Args, Debug)]
pub(crate) struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "string")]
    input: Option<String>,
    /// Load only the given platform variant
    #[arg(long, value_name = "string", hide = true)]
    platform: Option<String>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

impl Spoken for Load {
    const NAME: &'static str = "load";
    const ABOUT: &'static str = "Load an image from a tar archive or STDIN";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        if self.platform.is_some() {
            return Err(Failure::usage(Fault::unsupported("`--platform` is not supported for load")));
        }
        let (archive, size) = input(self.input.as_deref())?;
        let client = context.client()?;
        let mut archive = Counted::new(archive, size, "loading", self.quiet);
        let messages = load(&client, &mut archive, self.quiet);
        archive.finish();
        messages
    }
}

fn load(client: &Client, archive: &mut dyn Read, quiet: bool) -> Outcome {
    let messages = client.image_load(archive, quiet).map_err(Fault::from)?;
    messages_to_end(messages.map(|message| message.map_err(Fault::from)))
}

/// Prints what the engine says; its error ends the command.
pub(super) fn messages_to_end(messages: impl Iterator<Item = Result<JsonMessage, Fault>>) -> Outcome {
    for message in messages {
        let message = message?;
        if let Some(error) = message.error_detail {
            return Err(Fault::internal(error.message).into());
        }
        if !message.error.is_empty() {
            return Err(Fault::internal(message.error).into());
        }
        if !message.stream.is_empty() {
            io::print(&message.stream)?;
        } else if message.progress_detail.is_none() && !message.status.is_empty() {
            io::say(&message.status)?;
        }
    }
    std::io::stdout().flush().map_err(|e| Fault::internal("cannot write to standard output").cause(e))?;
    Ok(0)
}

/// The archive and its size, if it is a file.
pub(super) fn input(path: Option<&str>) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    let Some(path) = path else {
        if stdin().is_terminal() {
            let fault = Fault::invalid("standard input is a terminal, not an archive");
            return Err(Failure::usage(fault.hint("name a file with --input, or redirect one")));
        }
        return Ok((Box::new(stdin().lock()), None));
    };
    let unreadable = |error: std::io::Error| {
        Failure::usage(Fault::invalid(format!("cannot open `{}`", shortened(path))).cause(error))
    };
    let file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if meta.is_dir() {
        return Err(Failure::usage(Fault::invalid(format!("`{}` is a directory, not an archive", shortened(path)))));
    }
    let size = meta.is_file().then_some(meta.len());
    Ok((Box::new(file), size))
}
