//! `hull rename`.

use hull_types::Fault;

use super::context::Context;
use super::failure::Outcome;
use super::parse::Spoken;

/// Flags of `rename`.
#[derive(clap::Args, Debug)]
pub(crate) struct Rename {
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
    #[arg(value_name = "NEW_NAME", hide = true)]
    name: String,
}

impl Spoken for Rename {
    const NAME: &'static str = "rename";
    const ABOUT: &'static str = "Rename a container";
    const USAGE: &'static str = "CONTAINER NEW_NAME";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        client.container_rename(&self.container, &self.name).map_err(Fault::from)?;
        Ok(0)
    }
}
