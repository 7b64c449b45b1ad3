//! `hull ps`: the containers.

mod tree;

use hull_client::ListOptions;
use hull_types::{ByteSize, Fault};
use hull_wire::{ContainerSummary, PortSummary};
use serde_json::{Value, json};

use super::context::Context;
use super::explain::paint::Paint;
use super::explain::{colour, document};
use super::failure::Outcome;
use super::filters::filters;
use super::io;
use super::parse::Spoken;
use crate::output::format::{self, Listing};
use crate::output::human;

const LISTING: Listing = Listing {
    default: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
    headings: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("RunningFor", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Status", "STATUS"),
        ("State", "STATE"),
        ("Ports", "PORTS"),
        ("Names", "NAMES"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
    ],
};

const WITH_SIZE: Listing = Listing {
    default: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}",
    ..LISTING
};

/// Flags of `ps`.
#[derive(clap::Args, Debug)]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "int", default_value_t = -1, hide_default_value = true)]
    last: i64,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    /// Show each container's processes as a tree
    #[arg(long, conflicts_with_all = ["format", "quiet", "size"])]
    tree: bool,
    /// With --tree: print a JSON document
    #[arg(long, requires = "tree")]
    json: bool,
}

impl Spoken for Ps {
    const NAME: &'static str = "ps";
    const ABOUT: &'static str = "List containers";
    const USAGE: &'static str = "[OPTIONS]";

    fn run(self, context: &Context) -> Outcome {
        let format = self.format.as_deref().unwrap_or_default();
        let size = self.size || format.contains(".Size");
        let last = if self.latest { 1 } else { self.last };
        let options = ListOptions {
            all: self.all,
            limit: u64::try_from(last).ok().filter(|last| *last > 0),
            size,
            filters: filters(&self.filter)?,
        };
        let client = context.client()?;
        let list = client.containers(&options).map_err(Fault::from)?;
        if self.tree {
            let all = tree::gather(&client, &list);
            let brush = Paint::new(colour(&std::io::stdout()));
            return if self.json { document(&all) } else { io::print(&tree::page(&all, brush)).map(|()| 0) };
        }
        if self.quiet && format.is_empty() {
            let lines = list.iter().map(|item| format!("{}\n", self.id(item)));
            return io::print(&lines.collect::<String>()).map(|()| 0);
        }
        let rows: Vec<Value> = list.iter().map(|item| self.row(item)).collect();
        let listing = if self.size { &WITH_SIZE } else { &LISTING };
        let text = listing.render(format, &rows).map_err(format::refused)?;
        io::print(&text).map(|()| 0)
    }
}

impl Ps {
    fn id<'a>(&self, item: &'a ContainerSummary) -> &'a str {
        if self.no_trunc { &item.id } else { human::short_id(&item.id) }
    }

    fn row(&self, item: &ContainerSummary) -> Value {
        let command = if self.no_trunc { item.command.clone() } else { human::ellipsis(&item.command, 20) };
        let names = item.names.iter().map(|name| name.trim_start_matches('/'));
        let names: Vec<&str> = names.filter(|name| self.no_trunc || !name.contains('/')).collect();
        let labels: Vec<String> = item.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mounts: Vec<String> = item.mounts.iter().map(|mount| self.mount(mount)).collect();
        let volumes = item.mounts.iter().filter(|mount| mount.driver == "local").count();
        let networks: Vec<&str> = item.network_settings.networks.keys().map(String::as_str).collect();
        json!({
            "Command": format!("{command:?}"),
            "CreatedAt": human::local(item.created),
            "ID": self.id(item),
            "Image": if item.image.is_empty() { "<no image>" } else { image(&item.image, self.no_trunc) },
            "Labels": labels.join(","),
            "LocalVolumes": volumes.to_string(),
            "Mounts": mounts.join(","),
            "Names": names.join(","),
            "Networks": networks.join(","),
            "Ports": ports(&item.ports),
            "RunningFor": human::ago(item.created),
            "Size": size(item),
            "State": item.state,
            "Status": item.status,
            "Label()": item.labels,
        })
    }

    fn mount(&self, mount: &hull_wire::MountPoint) -> String {
        let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
        if self.no_trunc { name.clone() } else { human::ellipsis(name, 15) }
    }
}

/// An image named by digest is shown short.
fn image(name: &str, whole: bool) -> &str {
    if !whole && name.starts_with("sha256:") { human::short_id(name) } else { name }
}

fn size(item: &ContainerSummary) -> String {
    let written = ByteSize(item.size_rw.unwrap_or(0)).human();
    match item.size_root_fs {
        Some(whole) if whole > 0 => format!("{written} (virtual {})", ByteSize(whole).human()),
        _ => written,
    }
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`.
fn ports(ports: &[PortSummary]) -> String {
    let mut ports: Vec<&PortSummary> = ports.iter().collect();
    ports.sort_by_key(|port| (port.private_port, port.kind.clone(), port.public_port, port.ip.clone()));
    let one = |port: &&PortSummary| {
        let inside = format!("{}/{}", port.private_port, port.kind);
        // One that is reached at the container's own address has an address here, and no port.
        if port.public_port == 0 && port.ip.is_empty() {
            return inside;
        }
        let host = if port.ip.contains(':') { format!("[{}]", port.ip) } else { port.ip.clone() };
        format!("{host}:{}->{inside}", port.public_port)
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_shown_as_docker_does() {
        let port = |ip: &str, public, private| PortSummary {
            ip: ip.into(),
            private_port: private,
            public_port: public,
            kind: "tcp".into(),
        };
        let list = [port("", 0, 443), port("0.0.0.0", 8080, 80), port("::", 8080, 80), port("::", 0, 81)];
        assert_eq!(ports(&list), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, [::]:0->81/tcp, 443/tcp");
    }
}
