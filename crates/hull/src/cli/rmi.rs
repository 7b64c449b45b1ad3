//! `hull rmi`: removes names of images, and images without further names.

use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome, report};
use super::io;
use super::parse::Spoken;

/// Flags of `rmi`.
#[derive(clap::Args, Debug)]
pub(crate) struct Rmi {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Remove only the given platform variant
    #[arg(long, value_name = "strings", hide = true)]
    platform: Vec<String>,
    #[arg(value_name = "IMAGE", required = true, hide = true)]
    images: Vec<String>,
}

impl Spoken for Rmi {
    const NAME: &'static str = "rmi";
    const ABOUT: &'static str = "Remove one or more images";
    const USAGE: &'static str = "[OPTIONS] IMAGE [IMAGE...]";

    fn run(self, context: &Context) -> Outcome {
        if !self.platform.is_empty() {
            return Err(Failure::usage(Fault::unsupported("`--platform` is not supported for removal")));
        }
        let client = context.client()?;
        let mut failed = false;
        for name in &self.images {
            match client.image_remove(name, self.force, self.no_prune) {
                Ok(effects) => {
                    for effect in effects {
                        if !effect.untagged.is_empty() {
                            io::say(format_args!("Untagged: {}", effect.untagged))?;
                        }
                        if !effect.deleted.is_empty() {
                            io::say(format_args!("Deleted: {}", effect.deleted))?;
                        }
                    }
                }
                Err(error) => {
                    report(&Fault::from(error));
                    failed = true;
                }
            }
        }
        if failed { Err(Failure::silent(1)) } else { Ok(0) }
    }
}
