//! What `run` and `create` share: the request, the id file, warnings.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use hull_client::{Client, RemoveOptions};
use hull_types::Fault;
use hull_wire::ContainerCreateRequest;

use super::failure::{Failure, report};
use crate::options::flags::ContainerFlags;

/// Splits `IMAGE COMMAND ARG…`.
pub(super) fn image_and_command(words: &[String]) -> Result<(&str, &[String]), Failure> {
    match words.split_first() {
        Some((image, command)) if !image.is_empty() => Ok((image, command)),
        _ => Err(Failure::usage(Fault::invalid("the image has no name"))),
    }
}

/// Creates the container and writes its id file; the id.
pub(super) fn create(
    client: &Client,
    flags: &ContainerFlags,
    request: &ContainerCreateRequest,
) -> Result<String, Fault> {
    let cidfile = flags.life.cidfile.as_deref();
    let mut file = cidfile.map(id_file).transpose()?;
    let made = client.container_create(flags.life.name.as_deref(), flags.life.platform.as_deref(), request);
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            discard(cidfile);
            return Err(error.into());
        }
    };
    for warning in &made.warnings {
        eprintln!("warning: {warning}");
    }
    if let Some(file) = &mut file
        && let Err(error) = file.write_all(made.id.as_bytes())
    {
        discard(cidfile);
        // nobody could find it without its id; it has not run yet
        let _ = client.container_remove(&made.id, RemoveOptions { force: true, volumes: true, link: false });
        return Err(Fault::internal("cannot write the container id file").cause(error));
    }
    Ok(made.id)
}

/// Made before the container, so that a name in use costs nothing.
fn id_file(path: &str) -> Result<std::fs::File, Fault> {
    let shown = super::parse::shortened(path);
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Fault::conflict(format!("container id file `{shown}` exists"))
            .hint("make sure the other container does not run, or delete the file"),
        _ => Fault::invalid(format!("cannot make container id file `{shown}`")).cause(error),
    })
}

fn discard(path: Option<&str>) {
    if let Some(path) = path
        && let Err(error) = std::fs::remove_file(path)
    {
        report(&Fault::internal("cannot remove the container id file").cause(error));
    }
}
