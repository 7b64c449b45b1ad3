//! `hull stats`: what containers use, sampled here once a second.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::thread::sleep;
use std::time::Duration;

use hull_client::{Client, ListOptions};
use hull_types::{ByteSize, Fault, Kind};
use hull_wire::ContainerStats;
use serde_json::{Value, json};

use super::context::Context;
use super::each::together;
use super::failure::{Outcome, report};
use super::io;
use super::parse::Spoken;
use crate::output::format::{self, Listing};
use crate::output::human;

const LISTING: Listing = Listing {
    default: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    headings: &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
};

/// Flags of `stats`.
#[derive(clap::Args, Debug)]
pub(crate) struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    containers: Vec<String>,
}

/// The sample before, by container.
type Previous = HashMap<String, ContainerStats>;

impl Spoken for Stats {
    const NAME: &'static str = "stats";
    const ABOUT: &'static str = "Display a live stream of container(s) resource usage statistics";
    const USAGE: &'static str = "[OPTIONS] [CONTAINER...]";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let format = self.format.as_deref().unwrap_or_default();
        let live = !self.no_stream && std::io::stdout().is_terminal();
        let mut previous = Previous::new();
        self.sample(&client, &mut previous)?;
        loop {
            sleep(Duration::from_secs(1));
            let rows = self.sample(&client, &mut previous)?;
            let text = LISTING.render(format, &rows).map_err(format::refused)?;
            // home, then clear what is left of the previous table
            io::print(&if live { format!("\x1b[H\x1b[J{text}") } else { text })?;
            if self.no_stream {
                return Ok(0);
            }
        }
    }
}

impl Stats {
    fn sample(&self, client: &Client, previous: &mut Previous) -> Result<Vec<Value>, Fault> {
        let names = self.names(client)?;
        let one = |name: &str| {
            let mut stream = client.container_stats(name, false, true)?;
            stream.next().transpose()
        };
        let mut rows = Vec::new();
        for (name, result) in names.iter().zip(together(&names, &one)) {
            match result {
                Ok(Some(now)) => {
                    rows.push(self.row(name, &now, previous.get(name)));
                    previous.insert(name.clone(), now);
                }
                Ok(None) => {}
                // it ended between the list and the question
                Err(error) if error.kind() == Kind::NotFound && self.containers.is_empty() => {}
                Err(error) if self.containers.len() > 1 => report(&error.into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(rows)
    }

    fn names(&self, client: &Client) -> Result<Vec<String>, Fault> {
        if !self.containers.is_empty() {
            return Ok(self.containers.clone());
        }
        let options = ListOptions { all: self.all, ..ListOptions::default() };
        Ok(client.containers(&options)?.into_iter().map(|item| item.id).collect())
    }

    fn row(&self, asked: &str, now: &ContainerStats, before: Option<&ContainerStats>) -> Value {
        let memory = used_memory(now);
        let limit = now.memory_stats.limit;
        let percent = if limit == 0 { 0.0 } else { memory as f64 / limit as f64 * 100.0 };
        let (received, sent) = now.networks.values().fold((0, 0), |(r, s), n| (r + n.rx_bytes, s + n.tx_bytes));
        let (read, written) = block_io(now);
        let size = |bytes: u64| ByteSize(i64::try_from(bytes).unwrap_or(i64::MAX));
        json!({
            "BlockIO": format!("{} / {}", size(read).human(), size(written).human()),
            "CPUPerc": format!("{:.2}%", cpu_percent(now, before)),
            "Container": asked,
            "ID": if self.no_trunc { &now.id } else { human::short_id(&now.id) },
            "MemPerc": format!("{percent:.2}%"),
            "MemUsage": format!("{} / {}", size(memory).human_binary(), size(limit).human_binary()),
            "Name": now.name.trim_start_matches('/'),
            "NetIO": format!("{} / {}", size(received).human(), size(sent).human()),
            "PIDs": now.pids_stats.current.to_string(),
        })
    }
}

/// Share of one CPU since the sample before.
fn cpu_percent(now: &ContainerStats, before: Option<&ContainerStats>) -> f64 {
    let Some(before) = before else { return 0.0 };
    let used = now.cpu_stats.cpu_usage.total_usage.saturating_sub(before.cpu_stats.cpu_usage.total_usage);
    let elapsed = now.read.nanos().saturating_sub(before.read.nanos());
    if elapsed > 0 { used as f64 / elapsed as f64 * 100.0 } else { 0.0 }
}

/// Without the page cache that the kernel can take back: docker's figure.
fn used_memory(now: &ContainerStats) -> u64 {
    let memory = &now.memory_stats;
    let cache = ["total_inactive_file", "inactive_file"].iter().find_map(|key| memory.stats.get(*key));
    match cache {
        Some(cache) if *cache < memory.usage => memory.usage - cache,
        _ => memory.usage,
    }
}

fn block_io(now: &ContainerStats) -> (u64, u64) {
    let sum = |word: &str| {
        let entries = now.blkio_stats.io_service_bytes_recursive.iter();
        entries.filter(|entry| entry.op.eq_ignore_ascii_case(word)).map(|entry| entry.value).sum()
    };
    (sum("read"), sum("write"))
}
