//! `hull export`: a container's files as an archive.

use hull_types::Fault;

use super::context::Context;
use super::failure::Outcome;
use super::parse::Spoken;
use super::save::Target;

/// Flags of `export`.
#[derive(clap::Args, Debug)]
pub(crate) struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "string")]
    output: Option<String>,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
}

impl Spoken for Export {
    const NAME: &'static str = "export";
    const ABOUT: &'static str = "Export a container's filesystem as a tar archive";
    const USAGE: &'static str = "[OPTIONS] CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let to = Target::open(self.output.as_deref())?;
        let client = context.client()?;
        let from = client.container_export(&self.container).map_err(Fault::from)?;
        to.take(from)
    }
}
