//! `hull commit`: an image of a container.

use hull_client::CommitOptions;
use hull_types::Fault;

use super::context::Context;
use super::failure::Outcome;
use super::io;
use super::parse::Spoken;

/// Flags of `commit`.
#[derive(clap::Args, Debug)]
pub(crate) struct Commit {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long, value_name = "string")]
    author: Option<String>,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "list")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long, value_name = "string")]
    message: Option<String>,
    /// Pause container during commit
    #[arg(short, long, value_name = "bool", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pause: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    container: String,
    #[arg(value_name = "REPOSITORY[:TAG]", hide = true)]
    reference: Option<String>,
}

impl Spoken for Commit {
    const NAME: &'static str = "commit";
    const ABOUT: &'static str = "Create a new image from a container's changes";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let options = CommitOptions {
            container: self.container,
            reference: self.reference,
            author: self.author,
            message: self.message,
            pause: self.pause,
            changes: self.change,
        };
        let made = client.commit(&options).map_err(Fault::from)?;
        io::say(made.id).map(|()| 0)
    }
}
