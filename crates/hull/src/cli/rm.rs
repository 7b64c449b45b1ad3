//! `hull rm`.

use hull_client::RemoveOptions;
use hull_types::{Fault, Kind};

use super::context::Context;
use super::each::each_there;
use super::failure::{Outcome, report};
use super::parse::Spoken;

/// Flags of `rm`.
#[derive(clap::Args, Debug)]
pub(crate) struct Rm {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove the specified link
    #[arg(short, long)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    containers: Vec<String>,
}

impl Spoken for Rm {
    const NAME: &'static str = "rm";
    const ABOUT: &'static str = "Remove one or more containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let options = RemoveOptions { force: self.force, volumes: self.volumes, link: self.link };
        each_there(&self.containers, |name| match client.container_remove(name, options) {
            // COMPAT(docker 28): `rm -f` of what is not there is said, but is no failure
            Err(error) if self.force && error.kind() == Kind::NotFound => {
                report(&error.into());
                Ok(None)
            }
            other => other.map(Some).map_err(Fault::from),
        })
    }
}
