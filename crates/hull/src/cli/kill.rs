//! `hull kill`.

use hull_types::Fault;

use super::context::Context;
use super::each::each;
use super::failure::Outcome;
use super::parse::Spoken;

/// Flags of `kill`.
#[derive(clap::Args, Debug)]
pub(crate) struct Kill {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Kill {
    const NAME: &'static str = "kill";
    const ABOUT: &'static str = "Kill one or more running containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let signal = self.signal.as_deref();
        each(&self.containers, |name| client.container_kill(name, signal).map_err(Fault::from))
    }
}
