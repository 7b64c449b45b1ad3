//! `hull network trace`: the way of a packet to a process, and from where it can be gone.

use hull_types::Fault;
use hull_wire::{NetworkTrace, PortTrace};

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::io;
use crate::cli::parse::Spoken;
use crate::output::format;
use crate::output::table::layout;

/// Flags of `network trace`.
#[derive(clap::Args, Debug)]
pub(crate) struct Trace {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
    #[arg(value_name = "PORT[/PROTO]", hide = true)]
    port: Option<String>,
}

impl Spoken for Trace {
    const NAME: &'static str = "trace";
    const ABOUT: &'static str = "Show the way of a packet to a container's process, and who can go it";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [PORT[/PROTO]]";

    fn run(self, context: &Context) -> Outcome {
        let port = self.port.unwrap_or_default();
        let trace = context.client()?.network_trace(&self.container, &port).map_err(Fault::from)?;
        match self.format.as_deref() {
            None | Some("") => io::print(&page(&trace)).map(|()| 0),
            Some(format) => {
                let value =
                    serde_json::to_value(&trace).map_err(|e| Fault::internal("cannot print the answer").cause(e))?;
                io::say(format::object(format, &value).map_err(format::refused)?).map(|()| 0)
            }
        }
    }
}

fn page(trace: &NetworkTrace) -> String {
    if trace.ports.is_empty() {
        return format!("{}: no port is published, exposed or listened at\n", trace.name);
    }
    trace.ports.iter().map(|port| one(&trace.name, port)).collect::<Vec<_>>().join("\n")
}

pub(in crate::cli) fn one(name: &str, port: &PortTrace) -> String {
    let mut rows = String::new();
    for hop in &port.hops {
        let mark = if hop.passes { "" } else { "✗ " };
        rows.push_str(&format!("  {}\t{}\t{mark}{}\n", hop.kind, hop.at, hop.says));
    }
    let mut from = String::new();
    for one in &port.from {
        let place = if one.reaches { format!("at {}", one.at.join(", ")) } else { format!("✗ not: {}", one.why) };
        from.push_str(&format!("  {}\t{place}\n", one.who));
    }
    format!("{name} {}\n{}reached from\n{}", port.port, layout(&rows), layout(&from))
}
