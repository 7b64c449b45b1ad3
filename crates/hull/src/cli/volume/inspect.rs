//! `hull volume inspect`: everything about volumes.

use hull_types::Fault;

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::inspect::show;
use crate::cli::parse::Spoken;

/// Flags of `volume inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    #[arg(value_name = "VOLUME", required = true, hide = true)]
    names: Vec<String>,
}

impl Spoken for Inspect {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Display detailed information on one or more volumes";
    const USAGE: &'static str = "[OPTIONS] VOLUME [VOLUME...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        show(&self.names, self.format.as_deref(), |name| client.volume_inspect_raw(name).map_err(Fault::from))
    }
}
