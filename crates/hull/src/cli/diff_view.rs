//! `hull diff-view`: what differs in the boundaries of two running containers.

use std::collections::BTreeMap;

use hull_types::Fault;
use hull_wire::Explanation;
use serde_json::json;

use super::context::Context;
use super::explain::paint::Paint;
use super::explain::{clean, colour};
use super::failure::Outcome;
use super::io;
use super::parse::Spoken;
use crate::output::table::layout_with;

/// Flags of `diff-view`.
#[derive(clap::Args, Debug)]
pub(crate) struct DiffView {
    /// Also show what is the same
    #[arg(short, long)]
    all: bool,
    /// Print the differences as a JSON document
    #[arg(long)]
    json: bool,
    #[arg(value_name = "CONTAINER", hide = true)]
    one: String,
    #[arg(value_name = "CONTAINER", hide = true)]
    other: String,
}

impl Spoken for DiffView {
    const NAME: &'static str = "diff-view";
    const ABOUT: &'static str = "Show what differs between the boundaries of two running containers";
    const USAGE: &'static str = "[OPTIONS] CONTAINER CONTAINER";

    fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let one = client.container_explain(&self.one, &[]).map_err(Fault::from)?;
        let other = client.container_explain(&self.other, &[]).map_err(Fault::from)?;
        for of in [&one, &other] {
            if of.process.tree.is_empty() {
                return Err(Fault::conflict(format!("container {} is not running: it has no boundary", of.name)).into());
            }
        }
        let rows = rows(&one, &other, self.all);
        if self.json {
            return super::explain::document(&json!({ "Names": [one.name, other.name], "Facts": rows }));
        }
        let brush = Paint::new(colour(&std::io::stdout()));
        let shown: String = page((&one.name, &other.name), &rows).lines().map(|line| painted(brush, line)).collect();
        io::print(&shown).map(|()| 0)
    }
}

/// A fact of both: `Values` in the order of the containers, `–` where one has none.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    part: &'static str,
    name: String,
    values: [String; 2],
    differ: bool,
}

/// A heading, something that differs, or something else.
fn painted(brush: Paint, line: &str) -> String {
    let painted = if PARTS.contains(&line.trim_end()) {
        brush.heading(line)
    } else if line.trim_start().starts_with('≠') {
        brush.differs(line)
    } else {
        line.to_owned()
    };
    painted + "\n"
}

/// Parts in the order of `explain`, each with its facts by name.
type Facts = BTreeMap<(u8, String), String>;

const PARTS: [&str; 6] = ["process", "namespaces", "limits", "root file system", "confinement", "network"];

/// Part by part; what is the same too, if `all` is wanted.
fn rows(one: &Explanation, other: &Explanation, all: bool) -> Vec<Row> {
    let (left, right) = (facts(one), facts(other));
    let keys: std::collections::BTreeSet<&(u8, String)> = left.keys().chain(right.keys()).collect();
    let value = |facts: &Facts, key: &(u8, String)| facts.get(key).cloned().unwrap_or_else(|| "–".to_owned());
    let row = |key: &(u8, String)| {
        let values = [value(&left, key), value(&right, key)];
        let differ = values[0] != values[1];
        Row { part: PARTS[usize::from(key.0)], name: key.1.clone(), values, differ }
    };
    keys.into_iter().map(row).filter(|row| all || row.differ).collect()
}

fn page((one, other): (&str, &str), rows: &[Row]) -> String {
    if rows.is_empty() {
        return format!("{one} and {other} have the same boundary\n");
    }
    let mut text = format!(" \t\t{one}\t{other}\n");
    for part in rows.chunk_by(|a, b| a.part == b.part) {
        text.push_str(&format!("{}\t\t\t\n", part[0].part));
        for Row { name, values: [left, right], differ, .. } in part {
            let mark = if *differ { "≠" } else { " " };
            let cells = [name, left, right].map(|cell| clean(cell));
            text.push_str(&format!("  {mark}\t{}\n", cells.join("\t")));
        }
    }
    layout_with(&text, 4)
}

/// What a boundary is made of. What is each container's own in any case (process ids, inodes, addresses) and what changes
/// from moment to moment is left out.
fn facts(of: &Explanation) -> Facts {
    let mut all = Facts::new();
    let mut put = |part: u8, name: String, value: String| drop(all.insert((part, name), value));
    put(0, "image".into(), of.image.clone());
    for fact in &of.process.facts {
        put(0, fact.name.clone(), fact.now.clone());
    }
    for (name, maps) in [("users", &of.process.uids), ("groups", &of.process.gids)] {
        let maps = maps.iter().map(|map| format!("{}={} ×{}", map.inside, map.outside, map.size)).collect::<Vec<_>>();
        put(0, format!("{name} inside=outside"), maps.join(", "));
    }
    for space in &of.namespaces {
        let standing = match space.standing.as_str() {
            "shared" => format!("shared with {}", space.with.join(", ")),
            "host" => "the host's".into(),
            "engine" => "hull's own".into(),
            other => other.into(),
        };
        put(1, space.kind.clone(), standing);
    }
    for limit in &of.limits.limits {
        put(2, limit.name.clone(), limit.written.clone());
    }
    let layers: Vec<&str> = of.root_filesystem.layers.iter().map(|layer| short(&layer.id)).collect();
    put(3, "layers".into(), layers.join(" "));
    for mount in &of.root_filesystem.mounts {
        let mapped = if mount.idmapped { ", ids mapped" } else { "" };
        // The layers' own mount and hull's files have a source for each container.
        let own = ["/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(&mount.target.as_str());
        let from = if own || mount.by == "its cgroup" { String::new() } else { format!(" {}", mount.root) };
        put(3, mount.target.clone(), format!("{}{from} {}, {}{mapped}", mount.kind, mount.flags, mount.propagation));
    }
    put(3, "masked".into(), of.root_filesystem.masked.join(" "));
    put(3, "made read-only".into(), of.root_filesystem.read_only.join(" "));
    for name in of.confinement.kept.iter() {
        put(4, name.clone(), "kept".into());
    }
    for name in of.confinement.dropped.iter() {
        put(4, name.clone(), "dropped".into());
    }
    for fact in &of.confinement.facts {
        put(4, fact.name.clone(), fact.now.clone());
    }
    put(5, "mode".into(), of.network.mode.clone());
    for link in &of.network.interfaces {
        let state = if link.up { "up" } else { "down" };
        put(5, format!("network {}", link.network), format!("{} {state} on {}", link.name, link.bridge));
    }
    for fact in &of.network.names {
        put(5, fact.name.clone(), fact.now.clone());
    }
    for port in &of.network.ports {
        let reached: Vec<&str> = port.from.iter().filter(|from| from.reaches).map(|from| from.who.as_str()).collect();
        put(5, format!("port {}", port.port), format!("reached from: {}", reached.join(", ")));
    }
    all
}

fn short(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}
