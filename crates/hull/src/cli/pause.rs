//! `hull pause`.

use hull_types::Fault;

use super::context::Context;
use super::each::each;
use super::failure::Outcome;
use super::parse::Spoken;

/// Flags of `pause`.
#[derive(clap::Args, Debug)]
pub(crate) struct Pause {
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Pause {
    const NAME: &'static str = "pause";
    const ABOUT: &'static str = "Pause all processes within one or more containers";
    const USAGE: &'static str = "CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        each(&self.containers, |name| client.container_pause(name).map_err(Fault::from))
    }
}
