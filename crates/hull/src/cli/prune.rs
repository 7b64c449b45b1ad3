//! `hull container prune`, `hull image prune`, `hull system prune`: what nobody uses goes, after a question.

use std::io::{BufRead, Write, stdin, stdout};

use hull_client::Client;
use hull_types::{ByteSize, Fault};
use hull_wire::{Filters, ImageDeleteItem};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::filters::filters;
use super::io;
use super::parse::Spoken;

/// Flags of `container prune`.
#[derive(clap::Args, Debug)]
pub(crate) struct Containers {
    /// Provide filter values (e.g. "until=timestamp")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

/// Flags of `image prune`.
#[derive(clap::Args, Debug)]
pub(crate) struct Images {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "until=timestamp")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

/// Flags of `system prune`.
#[derive(clap::Args, Debug)]
pub(crate) struct System {
    /// Remove all unused images not just dangling ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "label=name=value")
    #[arg(long, value_name = "filter")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
    /// Prune anonymous volumes
    #[arg(long)]
    volumes: bool,
}

impl Spoken for Containers {
    const NAME: &'static str = "prune";
    const ABOUT: &'static str = "Remove all stopped containers";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        confirm(self.force, "WARNING! This will remove all stopped containers.\n")?;
        let freed = containers(&context.client()?, &wanted)?;
        reclaimed(freed)
    }
}

impl Spoken for Images {
    const NAME: &'static str = "prune";
    const ABOUT: &'static str = "Remove unused images";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let which = if self.all {
            "all images without at least one container associated to them"
        } else {
            "all dangling images"
        };
        confirm(self.force, &format!("WARNING! This will remove {which}.\n"))?;
        let freed = images(&context.client()?, wanted, self.all)?;
        reclaimed(freed)
    }
}

impl Spoken for System {
    const NAME: &'static str = "prune";
    const ABOUT: &'static str = "Remove unused data";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let which = if self.all {
            "all images without at least one container associated to them"
        } else {
            "all dangling images"
        };
        let volumes_too =
            if self.volumes { "  - all anonymous volumes not used by at least one container\n" } else { "" };
        confirm(
            self.force,
            &format!(
                "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n{volumes_too}  - {which}\n\n"
            ),
        )?;
        let client = context.client()?;
        // ORDER: a container that goes frees its networks and its image.
        let mut freed = containers(&client, &wanted)?;
        networks(&client, &wanted)?;
        if self.volumes {
            freed += volumes(&client, &wanted)?;
        }
        reclaimed(freed + images(&client, wanted, self.all)?)
    }
}

/// Networks hold no data: nothing is freed.
pub(super) fn networks(client: &Client, wanted: &Filters) -> Result<(), Failure> {
    let report = client.network_prune(wanted).map_err(Fault::from)?;
    deleted("Networks", &report.networks_deleted)
}

pub(super) fn volumes(client: &Client, wanted: &Filters) -> Result<u64, Failure> {
    let report = client.volume_prune(wanted).map_err(Fault::from)?;
    deleted("Volumes", &report.volumes_deleted)?;
    Ok(report.space_reclaimed)
}

/// COMPAT(docker 28): anything but `y` ends the command without an error.
pub(super) fn confirm(force: bool, warning: &str) -> Result<(), Failure> {
    if force {
        return Ok(());
    }
    io::print(&format!("{warning}Are you sure you want to continue? [y/N] "))?;
    _ = stdout().flush();
    let mut answer = String::new();
    _ = stdin().lock().read_line(&mut answer);
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(Failure::silent(0)) }
}

fn containers(client: &Client, wanted: &Filters) -> Result<u64, Failure> {
    let report = client.container_prune(wanted).map_err(Fault::from)?;
    deleted("Containers", &report.containers_deleted)?;
    Ok(report.space_reclaimed)
}

fn images(client: &Client, mut wanted: Filters, all: bool) -> Result<u64, Failure> {
    wanted.add("dangling", if all { "false" } else { "true" });
    let report = client.image_prune(&wanted).map_err(Fault::from)?;
    if !report.images_deleted.is_empty() {
        let line = |item: &ImageDeleteItem| match item.untagged.as_str() {
            "" => format!("deleted: {}\n", item.deleted),
            name => format!("untagged: {name}\n"),
        };
        io::say(format_args!("Deleted Images:\n{}", report.images_deleted.iter().map(line).collect::<String>()))?;
    }
    Ok(report.space_reclaimed)
}

fn deleted(kind: &str, names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    io::say(format_args!("Deleted {kind}:\n{}\n", names.join("\n")))
}

pub(super) fn reclaimed(bytes: u64) -> Outcome {
    let bytes = ByteSize(i64::try_from(bytes).unwrap_or(i64::MAX));
    io::say(format_args!("Total reclaimed space: {}", bytes.human())).map(|()| 0)
}
