//! `hull wait`: blocks until containers stop, prints their exit codes.

use hull_client::{WaitCondition, Waiting};
use hull_types::Fault;

use super::context::Context;
use super::each::together;
use super::failure::{Failure, Outcome, report};
use super::io;
use super::parse::Spoken;

/// Flags of `wait`.
#[derive(clap::Args, Debug)]
pub(crate) struct Wait {
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Wait {
    const NAME: &'static str = "wait";
    const ABOUT: &'static str = "Block until one or more containers stop, then print their exit codes";
    const USAGE: &'static str = "CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let wait = |name: &str| client.container_wait(name, WaitCondition::NotRunning).and_then(Waiting::done);
        let mut failed = false;
        for result in together(&self.containers, &wait) {
            match result {
                Ok(answer) => io::say(answer.status_code)?,
                Err(error) => {
                    report(&Fault::from(error));
                    failed = true;
                }
            }
        }
        if failed { Err(Failure::silent(1)) } else { Ok(0) }
    }
}
