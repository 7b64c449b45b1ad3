//! `hull push`: an image to its registry.

use hull_types::Fault;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::{io, pull};
use crate::credentials::Credentials;
use crate::output::layers::{self, To};

/// Flags of `push`.
#[derive(clap::Args, Debug)]
pub(crate) struct Push {
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Skip image signing
    #[arg(long, default_value_t = true, action = clap::ArgAction::SetTrue, hide = true)]
    disable_content_trust: bool,
    /// Push a platform-specific manifest as a single-platform image
    #[arg(long, value_name = "string", hide = true)]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    #[arg(value_name = "NAME[:TAG]", hide = true)]
    name: String,
}

impl Spoken for Push {
    const NAME: &'static str = "push";
    const ABOUT: &'static str = "Upload an image to a registry";
    const USAGE: &'static str = "[OPTIONS] NAME[:TAG]";

    fn run(self, context: &Context) -> Outcome {
        if self.platform.is_some() {
            return Err(Failure::usage(Fault::unsupported("`--platform` is not supported for push")));
        }
        if !self.disable_content_trust {
            return Err(Failure::usage(Fault::unsupported("content trust (notary) is not supported")));
        }
        let name = pull::reference(&self.name)?;
        if name.digest().is_some() {
            return Err(Failure::usage(Fault::invalid("cannot push a digest reference")));
        }
        if self.all_tags && name.tag().is_some() {
            return Err(Failure::usage(Fault::invalid("tag can't be used with --all-tags/-a")));
        }
        if !self.all_tags && name.tag().is_none() && !self.quiet {
            io::say("Using default tag: latest")?;
        }
        let tag = if self.all_tags { None } else { Some(name.tag().unwrap_or("latest")) };
        let auth = Credentials::read()?.header(&name)?;
        let client = context.client()?;
        let messages = client.image_push(&name.full_name(), tag, &auth).map_err(Fault::from)?;
        let messages = messages.map(|message| message.map_err(Fault::from));
        if self.quiet {
            layers::quietly(messages)?;
            return io::say(name.with_default_tag().full()).map(|()| 0);
        }
        layers::follow(messages, &To::Stdout)?;
        Ok(0)
    }
}
