//! `hull volume rm`: removes volumes.

use hull_types::Fault;

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome, report};
use crate::cli::io;
use crate::cli::parse::Spoken;

/// Flags of `volume rm`.
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// Force the removal of one or more volumes
    #[arg(short, long)]
    force: bool,
    #[arg(value_name = "VOLUME", required = true, hide = true)]
    names: Vec<String>,
}

impl Spoken for Rm {
    const NAME: &'static str = "rm";
    const ABOUT: &'static str = "Remove one or more volumes";
    const USAGE: &'static str = "[OPTIONS] VOLUME [VOLUME...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let mut failed = false;
        for name in &self.names {
            match client.volume_remove(name, self.force) {
                Ok(()) => io::say(name)?,
                Err(error) => {
                    report(&Fault::from(error));
                    failed = true;
                }
            }
        }
        if failed { Err(Failure::silent(1)) } else { Ok(0) }
    }
}
