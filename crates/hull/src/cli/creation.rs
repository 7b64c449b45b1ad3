//! What `run` and `create` share: the request, the id file, warnings.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use hull_client::{Client, RemoveOptions};
use hull_types::{Fault, ImageRef, Kind};
use hull_wire::{ContainerCreateRequest, ContainerCreateResponse};

use super::context::Context;
use super::failure::{Failure, report};
use crate::credentials::Credentials;
use crate::options::flags::ContainerFlags;
use crate::output::layers::To;

/// Splits `IMAGE COMMAND ARG…`.
pub(super) fn image_and_command(words: &[String]) -> Result<(&str, &[String]), Failure> {
    match words.split_first() {
        Some((image, command)) if !image.is_empty() => Ok((image, command)),
        _ => Err(Failure::usage(Fault::invalid("the image has no name"))),
    }
}

/// Adds the proxies of docker's config.json to the container's variables. COMPAT(docker 28): a file that cannot be used says nothing.
pub(super) fn add_proxies(context: &Context, request: &mut ContainerCreateRequest) {
    if let Ok(config) = Credentials::read() {
        let proxies = config.proxies(&context.host, &request.config.env);
        request.config.env.extend(proxies);
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
    let made = pulled(client, flags, request);
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            discard(cidfile);
            return Err(error);
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

/// Asks for the container; its image is pulled first, always or when it is missing.
fn pulled(
    client: &Client,
    flags: &ContainerFlags,
    request: &ContainerCreateRequest,
) -> Result<ContainerCreateResponse, Fault> {
    let life = &flags.life;
    let make = || client.container_create(life.name.as_deref(), life.platform.as_deref(), request).map_err(Fault::from);
    let image = &request.config.image;
    // What is no name is an id: it can only be here.
    let name = if image.is_empty() { None } else { super::pull::reference(image).ok() };
    let name = name.map(ImageRef::with_default_tag).filter(|name| name.familiar_name() != "hull/host");
    let pull = |name: &ImageRef| super::pull::pull(client, name, life.platform.as_deref(), life.quiet, &To::Stderr);
    if life.pull == "always"
        && let Some(name) = &name
    {
        pull(name)?;
        return make();
    }
    match (make(), name) {
        (Err(fault), Some(name)) if life.pull == "missing" && is_missing(&fault) => {
            if !life.quiet {
                // COMPAT(docker 28)
                eprintln!("Unable to find image '{}' locally", name.familiar());
            }
            pull(&name)?;
            make()
        }
        (made, _) => made,
    }
}

/// Whether what is missing is the image, or its variant for the platform that was asked for.
fn is_missing(fault: &Fault) -> bool {
    let words = ["No such image", "image with reference"];
    fault.kind == Kind::NotFound && words.iter().any(|words| fault.summary.starts_with(words))
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
