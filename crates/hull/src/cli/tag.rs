//! `hull tag`: a further name for an image.

use hull_types::{Fault, ImageRef};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;

/// Flags of `tag`.
#[derive(clap::Args, Debug)]
pub(crate) struct Tag {
    #[arg(value_name = "SOURCE_IMAGE[:TAG]", hide = true)]
    source: String,
    #[arg(value_name = "TARGET_IMAGE[:TAG]", hide = true)]
    target: String,
}

impl Spoken for Tag {
    const NAME: &'static str = "tag";
    const ABOUT: &'static str = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE";
    const USAGE: &'static str = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]";

    fn run(self, context: &Context) -> Outcome {
        let target: ImageRef = self.target.parse().map_err(|e: hull_types::Error| Failure::usage(e.into()))?;
        if target.digest().is_some() {
            return Err(Failure::usage(Fault::invalid("an image cannot be tagged with a digest")));
        }
        let client = context.client()?;
        let tag = target.tag().unwrap_or("latest");
        client.image_tag(&self.source, &target.familiar_name(), tag).map_err(Fault::from)?;
        Ok(0)
    }
}
