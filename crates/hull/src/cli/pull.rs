//! `hull pull`: an image from its registry.

use hull_client::Client;
use hull_types::{Fault, ImageRef};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;
use crate::credentials::Credentials;
use crate::output::layers::{self, To};

/// Flags of `pull`.
#[derive(clap::Args, Debug)]
pub(crate) struct Pull {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Skip image verification
    #[arg(long, default_value_t = true, action = clap::ArgAction::SetTrue, hide = true)]
    disable_content_trust: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    #[arg(value_name = "NAME[:TAG|@DIGEST]", hide = true)]
    name: String,
}

impl Spoken for Pull {
    const NAME: &'static str = "pull";
    const ABOUT: &'static str = "Download an image from a registry";
    const USAGE: &'static str = "[OPTIONS] NAME[:TAG|@DIGEST]";

    fn run(self, context: &Context) -> Outcome {
        if !self.disable_content_trust {
            return Err(Failure::usage(Fault::unsupported("content trust (notary) is not supported")));
        }
        let name = reference(&self.name)?;
        let bare = name.tag().is_none() && name.digest().is_none();
        if self.all_tags && !bare {
            return Err(Failure::usage(Fault::invalid("tag can't be used with --all-tags/-a")));
        }
        if bare && !self.all_tags && !self.quiet {
            io::say("Using default tag: latest")?;
        }
        let name = if self.all_tags { name } else { name.with_default_tag() };
        let client = context.client()?;
        pull(&client, &name, self.platform.as_deref(), self.quiet, &To::Stdout)?;
        io::say(name.full()).map(|()| 0)
    }
}

/// A name as the user wrote it; the configured default registry is known from here on.
pub(super) fn reference(text: &str) -> Result<ImageRef, Failure> {
    default_registry()?;
    text.parse().map_err(|error: hull_types::Error| Failure::usage(error.into()))
}

/// Reads which registry names without one mean: the engine reads the same file.
pub(super) fn default_registry() -> Result<(), Fault> {
    let etc = std::env::var_os("HULL_ETC").unwrap_or_else(|| "/etc/hull".into());
    let path = std::path::Path::new(&etc).join("registries.json");
    let Ok(text) = std::fs::read(&path) else { return Ok(()) };
    let config: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| Fault::invalid(format!("cannot use `{}`", path.display())).cause(error))?;
    if let Some(domain) = config.get("default").and_then(serde_json::Value::as_str) {
        hull_types::set_default_registry(domain);
    }
    Ok(())
}

/// Pulls and shows how far it is; every tag if the name has neither tag nor digest.
pub(super) fn pull(
    client: &Client,
    name: &ImageRef,
    platform: Option<&str>,
    quiet: bool,
    to: &To,
) -> Result<(), Fault> {
    let auth = Credentials::read()?.header(name)?;
    let digest = name.digest().map(ToString::to_string);
    let tag = digest.as_deref().or(name.tag()).unwrap_or_default();
    let messages = client.image_pull(&name.full_name(), tag, platform, &auth)?;
    let messages = messages.map(|message| message.map_err(Fault::from));
    if quiet { layers::quietly(messages) } else { layers::follow(messages, to) }
}
