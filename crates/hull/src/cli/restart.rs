//! `hull restart`.

use hull_types::Fault;

use super::context::Context;
use super::each::each;
use super::failure::Outcome;
use super::parse::Spoken;

/// Flags of `restart`.
#[derive(clap::Args, Debug)]
pub(crate) struct Restart {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, visible_alias = "time", value_name = "int")]
    timeout: Option<i64>,
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Restart {
    const NAME: &'static str = "restart";
    const ABOUT: &'static str = "Restart one or more containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let (signal, timeout) = (self.signal.as_deref(), self.timeout);
        each(&self.containers, |name| client.container_restart(name, signal, timeout).map_err(Fault::from))
    }
}
