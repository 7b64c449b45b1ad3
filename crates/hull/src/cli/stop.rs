//! `hull stop`.

use hull_types::{Fault, Kind};

use super::context::Context;
use super::each::each;
use super::failure::Outcome;
use super::parse::Spoken;

/// Flags of `stop`.
#[derive(clap::Args, Debug)]
pub(crate) struct Stop {
    /// Signal to send to the container
    #[arg(short, long, value_name = "string")]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, visible_alias = "time", value_name = "int")]
    timeout: Option<i64>,
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Stop {
    const NAME: &'static str = "stop";
    const ABOUT: &'static str = "Stop one or more running containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let (signal, timeout) = (self.signal.as_deref(), self.timeout);
        each(&self.containers, |name| match client.container_stop(name, signal, timeout) {
            // stopping what is stopped is no error
            Err(error) if error.kind() == Kind::NotModified => Ok(()),
            other => other.map_err(Fault::from),
        })
    }
}
