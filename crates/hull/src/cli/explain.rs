//! `hull explain`: what a running container is, part by part of its boundary.

mod page;

use std::io::{IsTerminal, stdout};

use hull_types::Fault;

use super::context::Context;
use super::failure::Outcome;
use super::io;
use super::parse::Spoken;

/// Flags of `explain`.
#[derive(clap::Args, Debug)]
pub(crate) struct Explain {
    /// Print the facts as a JSON document
    #[arg(long)]
    json: bool,
    /// Say what the seccomp filter does with this system call
    #[arg(long, value_name = "list", value_delimiter = ',')]
    syscall: Vec<String>,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Explain {
    const NAME: &'static str = "explain";
    const ABOUT: &'static str =
        "Show what a running container is: its processes, namespaces, limits, files, rights and networks";
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let explanation = context.client()?.container_explain(&self.container, &self.syscall).map_err(Fault::from)?;
        if self.json {
            let text = serde_json::to_string_pretty(&explanation)
                .map_err(|error| Fault::internal("cannot print the answer").cause(error))?;
            return io::say(text).map(|()| 0);
        }
        let colour = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        io::print(&page::page(&explanation, colour)).map(|()| 0)
    }
}
