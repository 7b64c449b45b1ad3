//! `hull explain`: what a running container is, part by part of its boundary.

mod page;
pub(super) mod paint;
pub(super) mod start;

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
    /// Tell the story of its latest start: what was done when, in microseconds, and where the time went
    #[arg(long, conflicts_with = "syscall")]
    start: bool,
    /// Say what the seccomp filter does with this system call
    #[arg(long, value_name = "list", value_delimiter = ',')]
    syscall: Vec<String>,
    /// Print a shell script that makes another container like it, of ordinary commands
    #[arg(long, conflicts_with = "syscall")]
    by_hand: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Explain {
    const NAME: &'static str = "explain";
    const ABOUT: &'static str =
        "Show what a running container is: its processes, namespaces, limits, files, rights and networks";
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        if self.start {
            let story = context.client()?.container_start_story(&self.container).map_err(Fault::from)?;
            return if self.json {
                document(&story)
            } else {
                io::print(&start::page(&story, colour(&stdout()))).map(|()| 0)
            };
        }
        if self.by_hand {
            let told = context.client()?.container_by_hand(&self.container).map_err(Fault::from)?;
            return if self.json { document(&told) } else { io::print(&told.script).map(|()| 0) };
        }
        let explanation = context.client()?.container_explain(&self.container, &self.syscall).map_err(Fault::from)?;
        if self.json {
            return document(&explanation);
        }
        io::print(&page::page(&explanation, colour(&stdout()))).map(|()| 0)
    }
}

/// Prints it.
pub(super) fn document(of: &impl serde::Serialize) -> Outcome {
    let text =
        serde_json::to_string_pretty(of).map_err(|error| Fault::internal("cannot print the answer").cause(error))?;
    io::say(text).map(|()| 0)
}

/// Whether there are colours there.
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    let asked = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stream.is_terminal() && asked("NO_COLOR").is_none() && asked("TERM").is_none_or(|term| term != "dumb")
}

/// What a container chose itself moves no cursor.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
