//! `hull network inspect`: everything about networks.

use hull_types::Fault;

use crate::cli::context::Context;
use crate::cli::failure::Outcome;
use crate::cli::inspect::show;
use crate::cli::parse::Spoken;

/// Flags of `network inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Verbose output for diagnostics
    #[arg(short, long, hide = true)]
    verbose: bool,
    #[arg(value_name = "NETWORK", required = true, hide = true)]
    names: Vec<String>,
}

impl Spoken for Inspect {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Display detailed information on one or more networks";
    const USAGE: &'static str = "[OPTIONS] NETWORK [NETWORK...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        show(&self.names, self.format.as_deref(), |name| client.network_inspect_raw(name).map_err(Fault::from))
    }
}
