//! `hull unpause`.

use hull_types::Fault;

use super::context::Context;
use super::each::each;
use super::failure::Outcome;
use super::parse::Spoken;

/// Flags of `unpause`.
#[derive(clap::Args, Debug)]
pub(crate) struct Unpause {
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Unpause {
    const NAME: &'static str = "unpause";
    const ABOUT: &'static str = "Unpause all processes within one or more containers";
    const USAGE: &'static str = "CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        each(&self.containers, |name| client.container_unpause(name).map_err(Fault::from))
    }
}
