//! `hull create`: a container that does not run yet.

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::parse::Spoken;
use super::{creation, io};
use crate::options::flags::ContainerFlags;
use crate::options::request;

/// Flags of `create`.
#[derive(clap::Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    flags: ContainerFlags,
    #[arg(value_name = "IMAGE", required = true, trailing_var_arg = true, hide = true)]
    words: Vec<String>,
}

impl Spoken for Create {
    const NAME: &'static str = "create";
    const ABOUT: &'static str = "Create a new container";
    const USAGE: &'static str = "[OPTIONS] IMAGE [COMMAND] [ARG...]";

    fn run(self, context: &Context) -> Outcome {
        let (image, command) = creation::image_and_command(&self.words)?;
        let mut request = request::request(&self.flags, image, command, false).map_err(Failure::usage)?;
        creation::add_proxies(context, &mut request);
        let client = context.client()?;
        let id = creation::create(&client, &self.flags, &request)?;
        io::say(id).map(|()| 0)
    }
}
