//! `hull diff`: what a container changed.

use hull_types::Fault;

use super::context::Context;
use super::failure::Outcome;
use super::io;
use super::parse::Spoken;

/// Flags of `diff`.
#[derive(clap::Args, Debug)]
pub(crate) struct Diff {
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Diff {
    const NAME: &'static str = "diff";
    const ABOUT: &'static str = "Inspect changes to files or directories on a container's filesystem";
    const USAGE: &'static str = "CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let changes = client.container_changes(&self.container).map_err(Fault::from)?;
        let lines = changes.iter().map(|change| {
            let letter = match change.kind {
                0 => 'C',
                1 => 'A',
                _ => 'D',
            };
            format!("{letter} {}\n", change.path)
        });
        io::print(&lines.collect::<String>()).map(|()| 0)
    }
}
