//! `hull inspect`: everything about an object, as JSON or through a template.

use hull_client::{Client, Error};
use hull_types::{Fault, Kind};
use serde_json::Value;

use super::context::Context;
use super::failure::{Failure, Outcome, report};
use super::io;
use super::parse::{Spoken, shortened};
use crate::output::{format, json};

/// Flags of `inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct Inspect {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type (container|image)
    #[arg(long = "type", value_name = "string")]
    kind: Option<String>,
    #[arg(value_name = "NAME|ID", required = true, hide = true)]
    names: Vec<String>,
}

/// Flags of `container inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct InspectContainer {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    #[arg(value_name = "CONTAINER", required = true, hide = true)]
    names: Vec<String>,
}

/// Flags of `image inspect`.
#[derive(clap::Args, Debug)]
pub(crate) struct InspectImage {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
    /// Inspect a specific platform of the multi-platform image
    #[arg(long, value_name = "string", hide = true)]
    platform: Option<String>,
    #[arg(value_name = "IMAGE", required = true, hide = true)]
    names: Vec<String>,
}

impl Spoken for Inspect {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Return low-level information on hull objects";
    const USAGE: &'static str = "[OPTIONS] NAME|ID [NAME|ID...]";

    fn run(self, context: &Context) -> Outcome {
        let look: fn(&Client, &str, bool) -> Result<Value, Fault> = match self.kind.as_deref() {
            None | Some("") => any,
            Some("container") => container,
            Some("image") => image,
            Some(other) => {
                let other = shortened(other);
                let fault = Fault::unsupported(format!("there are no objects of type `{other}`"));
                return Err(Failure::usage(fault.hint("types are container and image")));
            }
        };
        let client = context.client()?;
        show(&self.names, self.format.as_deref(), |name| look(&client, name, self.size))
    }
}

impl Spoken for InspectContainer {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Display detailed information on one or more containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        show(&self.names, self.format.as_deref(), |name| container(&client, name, self.size))
    }
}

impl Spoken for InspectImage {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str = "Display detailed information on one or more images";
    const USAGE: &'static str = "[OPTIONS] IMAGE [IMAGE...]";

    fn run(self, context: &Context) -> Outcome {
        if self.platform.is_some() {
            return Err(Failure::usage(Fault::unsupported("`--platform` is not supported for inspect")));
        }
        let client = context.client()?;
        show(&self.names, self.format.as_deref(), |name| image(&client, name, false))
    }
}

fn container(client: &Client, name: &str, size: bool) -> Result<Value, Fault> {
    Ok(client.container_inspect_raw(name, size)?)
}

fn image(client: &Client, name: &str, _size: bool) -> Result<Value, Fault> {
    Ok(client.image_inspect_raw(name)?)
}

/// A container of that name, else an image.
fn any(client: &Client, name: &str, size: bool) -> Result<Value, Fault> {
    // `name:tag` can be no container: the engine says that it is malformed, not that it is absent
    let absent = |error: &Error| matches!(error.kind(), Kind::NotFound | Kind::Invalid);
    match client.container_inspect_raw(name, size) {
        Err(error) if absent(&error) => {}
        other => return Ok(other?),
    }
    match client.image_inspect_raw(name) {
        // what no image can be called is no image
        Err(error) if absent(&error) || error.kind() == Kind::Invalid => {
            Err(Fault::not_found(format!("no such object: {}", shortened(name))))
        }
        other => Ok(other?),
    }
}

/// Prints what was found, even if not all were.
pub(super) fn show(names: &[String], format: Option<&str>, look: impl Fn(&str) -> Result<Value, Fault>) -> Outcome {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for name in names {
        match look(name) {
            Ok(value) => found.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    match format {
        None | Some("") => io::say(json::pretty(&Value::Array(found).to_string()))?,
        Some(format) => {
            for value in &found {
                io::say(format::object(format, value).map_err(format::refused)?)?;
            }
        }
    }
    faults.iter().for_each(report);
    if faults.is_empty() { Ok(0) } else { Err(Failure::silent(1)) }
}
