//! `hull system df`: what takes how much of the disk.

use hull_types::{ByteSize, Fault};
use hull_wire::DiskUsage;
use serde_json::{Value, json};

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::io;
use super::parse::Spoken;
use crate::output::format::{self, Listing};
use crate::output::human;
use crate::output::table;

const LISTING: Listing = Listing {
    default: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    headings: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
};

/// Flags of `system df`.
#[derive(clap::Args, Debug)]
pub(crate) struct Df {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

impl Spoken for Df {
    const NAME: &'static str = "df";
    const ABOUT: &'static str = "Show disk usage";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        if self.verbose && self.format.is_some() {
            return Err(Failure::usage(Fault::invalid("`--verbose` and `--format` exclude each other")));
        }
        let client = context.client()?;
        let usage = client.disk_usage().map_err(Fault::from)?;
        if self.verbose {
            return io::print(&details(&usage)).map(|()| 0);
        }
        let format = self.format.as_deref().unwrap_or_default();
        let text =
            LISTING.render(format, &[images(&usage), containers(&usage), volumes(&usage)]).map_err(format::refused)?;
        io::print(&text).map(|()| 0)
    }
}

fn row(kind: &str, total: usize, active: usize, size: i64, reclaimable: i64) -> Value {
    let percent =
        if size > 0 { format!(" ({}%)", 100 * i128::from(reclaimable) / i128::from(size)) } else { String::new() };
    json!({
        "Type": kind,
        "TotalCount": total.to_string(),
        "Active": active.to_string(),
        "Size": ByteSize(size).human(),
        "Reclaimable": format!("{}{percent}", ByteSize(reclaimable).human()),
    })
}

/// Layers and their archives, each byte once.
fn images(usage: &DiskUsage) -> Value {
    let active = usage.images.iter().filter(|image| image.containers > 0).count();
    row("Images", usage.images.len(), active, usage.layers_size + usage.blobs_size, usage.images_reclaimable)
}

fn containers(usage: &DiskUsage) -> Value {
    let active = |state: &str| matches!(state, "running" | "paused" | "restarting");
    let (up, down): (Vec<_>, Vec<_>) = usage.containers.iter().partition(|container| active(&container.state));
    let size = |all: &[&hull_wire::ContainerSummary]| all.iter().filter_map(|container| container.size_rw).sum::<i64>();
    let (up_size, down_size) = (size(&up), size(&down));
    row("Containers", usage.containers.len(), up.len(), up_size + down_size, down_size)
}

fn volumes(usage: &DiskUsage) -> Value {
    let of = |used: bool| {
        let all = usage.volumes.iter().filter_map(|volume| volume.usage_data.as_ref());
        let these: Vec<i64> = all.filter(|one| (one.ref_count > 0) == used).map(|one| one.size).collect();
        (these.len(), these.iter().sum::<i64>())
    };
    let ((active, used), (_, unused)) = (of(true), of(false));
    row("Local Volumes", usage.volumes.len(), active, used + unused, unused)
}

fn details(usage: &DiskUsage) -> String {
    let mut images = "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n".to_owned();
    for image in &usage.images {
        let none = vec!["<none>:<none>".to_owned()];
        for name in if image.repo_tags.is_empty() { &none } else { &image.repo_tags } {
            let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
            let cells = [
                repository.to_owned(),
                tag.to_owned(),
                human::short_id(&image.id).to_owned(),
                if image.created > 0 { human::ago(image.created) } else { "N/A".to_owned() },
                ByteSize(image.size).human(),
                ByteSize(image.shared_size).human(),
                ByteSize(image.size - image.shared_size).human(),
                image.containers.to_string(),
            ];
            images.push_str(&(cells.join("\t") + "\n"));
        }
    }
    let mut containers = "CONTAINER ID\tIMAGE\tCOMMAND\tSIZE\tCREATED\tSTATUS\tNAMES\n".to_owned();
    for container in &usage.containers {
        let names: Vec<&str> = container.names.iter().map(|name| name.trim_start_matches('/')).collect();
        let cells = [
            human::short_id(&container.id).to_owned(),
            container.image.clone(),
            format!("{:?}", container.command.chars().take(20).collect::<String>()),
            ByteSize(container.size_rw.unwrap_or(0)).human(),
            human::ago(container.created),
            container.status.clone(),
            names.join(","),
        ];
        containers.push_str(&(cells.join("\t") + "\n"));
    }
    let mut volumes = "VOLUME NAME\tLINKS\tSIZE\n".to_owned();
    for volume in &usage.volumes {
        let of = volume.usage_data.clone().unwrap_or_default();
        volumes.push_str(&format!("{}\t{}\t{}\n", volume.name, of.ref_count, ByteSize(of.size).human()));
    }
    format!(
        "Images space usage ({} of layers, {} of archives):\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}",
        ByteSize(usage.layers_size).human(),
        ByteSize(usage.blobs_size).human(),
        table::layout(&images),
        table::layout(&containers),
        table::layout(&volumes)
    )
}
