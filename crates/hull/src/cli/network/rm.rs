//! `hull network rm`: removes networks.

use hull_types::{Fault, Kind};

use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome, report};
use crate::cli::io;
use crate::cli::parse::Spoken;

/// Flags of `network rm`.
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    #[arg(value_name = "NETWORK", required = true, hide = true)]
    names: Vec<String>,
}

impl Spoken for Rm {
    const NAME: &'static str = "rm";
    const ABOUT: &'static str = "Remove one or more networks";
    const USAGE: &'static str = "[OPTIONS] NETWORK [NETWORK...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let mut failed = false;
        for name in &self.names {
            match client.network_remove(name) {
                Ok(()) => io::say(name)?,
                Err(error) if self.force && error.kind() == Kind::NotFound => {}
                Err(error) => {
                    report(&Fault::from(error));
                    failed = true;
                }
            }
        }
        if failed { Err(Failure::silent(1)) } else { Ok(0) }
    }
}
