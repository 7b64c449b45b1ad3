//! The facts as text: one paragraph for each part, a line for each fact, its cause at the end of the line.

use hull_types::ByteSize;
use hull_wire as wire;
use wire::{ExplainedFact, Explanation};

use super::clean;
use super::paint::{Paint, paint};
use crate::cli::network::trace;
use crate::output::table::layout_with;

/// The whole page. `colour`: headings are bold.
pub(super) fn page(of: &Explanation, colour: bool) -> String {
    let running = !of.process.tree.is_empty() || of.status == "running" || of.status == "paused";
    let parts = [
        ("process", process(&of.process)),
        ("namespaces", namespaces(&of.namespaces)),
        ("limits", limits(&of.limits)),
        ("root file system", root(&of.root_filesystem)),
        ("confinement", confinement(&of.confinement)),
        ("network", network(&of.name, &of.network)),
    ];
    let brush = Paint::new(colour);
    let id: String = of.id.chars().take(12).collect();
    let is = match running {
        true => "a process with a boundary".to_owned(),
        false => format!(
            "not running ({}). This is what was asked for; of the rest the kernel has nothing",
            clean(&of.status)
        ),
    };
    let mut text = format!("{} ({id}) of {}: {is}\n", brush.heading(&clean(&of.name)), clean(&of.image));
    for (heading, part) in parts.into_iter().filter(|(_, part)| !part.trim().is_empty()) {
        text.push_str(&format!("\n{}\n{}", brush.heading(heading), paint(brush, heading, &indented(&part))));
    }
    text
}

fn indented(part: &str) -> String {
    part.lines().map(|line| format!("  {line}\n")).collect()
}

/// Rows of cells, laid out; empty cells at the end are left away.
fn table(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |row: Vec<String>| {
        let filled = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
        row[..filled].iter().map(|cell| clean(cell)).collect::<Vec<_>>().join("\t") + "\n"
    };
    layout_with(&rows.into_iter().map(line).collect::<String>(), 4)
}

/// `now`, then what was asked and by what, if it was.
fn facts(facts: &[ExplainedFact]) -> Vec<Vec<String>> {
    let row = |fact: &ExplainedFact| vec![fact.name.clone(), fact.now.clone(), cause(&fact.asked, &fact.by)];
    facts.iter().map(row).collect()
}

fn cause(asked: &str, by: &str) -> String {
    match (asked, by) {
        ("", "") => String::new(),
        (asked, "") => format!("← {asked}"),
        ("", by) => format!("← {by}"),
        (asked, by) => format!("← {asked} ({by})"),
    }
}

fn process(of: &wire::ExplainedProcess) -> String {
    let inside = |pid: i32| if pid < 0 { "–".to_owned() } else { pid.to_string() };
    let above =
        of.above.iter().rev().map(|one| {
            vec![one.pid.to_string(), String::new(), one.user.to_string(), String::new(), one.command.clone()]
        });
    let tree = of.tree.iter().map(|one| {
        let user = if one.user_inside < 0 { "–".to_owned() } else { one.user_inside.to_string() };
        vec![one.pid.to_string(), inside(one.pid_inside), one.user.to_string(), user, format!("└ {}", one.command)]
    });
    let titles = ["PID", "inside", "user", "inside", "command"].map(str::to_owned).to_vec();
    let ids = |name: &str, maps: &[wire::ExplainedIds]| -> Vec<Vec<String>> {
        let row = |map: &wire::ExplainedIds| {
            vec![name.to_owned(), format!("{} inside is {} outside, {} of them", map.inside, map.outside, map.size)]
        };
        maps.iter().map(row).collect()
    };
    let rest = [facts(&of.facts), ids("users", &of.uids), ids("groups", &of.gids)].concat();
    if of.tree.is_empty() && of.above.is_empty() {
        return table(rest);
    }
    format!("{}{}\n{}", table([titles].into_iter().chain(above).chain(tree)), of.reaped_by, table(rest))
}

fn namespaces(of: &[wire::ExplainedNamespace]) -> String {
    table(of.iter().map(|one| {
        let standing = match one.standing.as_str() {
            "host" => "the host's".to_owned(),
            "engine" => "hull's own, which is not the machine's first".to_owned(),
            "" => "–".to_owned(),
            "shared" => format!("shared with {}", one.with.join(", ")),
            other => other.to_owned(),
        };
        vec![
            one.kind.clone(),
            one.flag.clone(),
            if one.inode == 0 { String::new() } else { one.inode.to_string() },
            standing,
            one.enter.clone(),
            cause("", &one.by),
        ]
    }))
}

fn limits(of: &wire::ExplainedLimits) -> String {
    let groups =
        of.groups.iter().map(|group| vec!["cgroup".to_owned(), group.path.clone(), group.controllers.join(",")]);
    let rows = of.limits.iter().map(|limit| {
        let happened: Vec<String> = limit
            .events
            .iter()
            .filter(|event| event.now != "0")
            .map(|event| format!("{} {}", event.name, event.now))
            .collect();
        let used = if limit.used.is_empty() { String::new() } else { format!("{} used", limit.used) };
        vec![limit.name.clone(), limit.written.clone(), used, happened.join(", "), cause(&limit.asked, &limit.by)]
    });
    let pressure = of.pressure.iter().flat_map(|one| {
        one.now.lines().map(|line| vec![format!("{} pressure", one.name), line.to_owned()]).collect::<Vec<_>>()
    });
    format!("{}{}", table(groups), table(rows.chain(pressure)))
}

fn root(of: &wire::ExplainedRoot) -> String {
    let layers = of.layers.iter().map(|layer| {
        let digest = if layer.digest.is_empty() { &layer.id } else { &layer.digest };
        let id: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
        vec!["layer".to_owned(), id, ByteSize(layer.size).human(), layer.step.clone()]
    });
    let changed = vec![
        "changed".to_owned(),
        of.changed.to_string(),
        String::new(),
        of.changes.iter().take(5).cloned().collect::<Vec<_>>().join(", "),
    ];
    let mounts = of.mounts.iter().map(|mount| {
        let source = if mount.root == "/" || mount.root.is_empty() {
            mount.source.clone()
        } else {
            format!("{}:{}", mount.source, mount.root)
        };
        let mapped = if mount.idmapped { ", ids mapped" } else { "" };
        vec![
            mount.target.clone(),
            mount.kind.clone(),
            source,
            mount.flags.clone(),
            format!("{}{mapped}", mount.propagation),
            cause("", &mount.by),
        ]
    });
    let paths = |name: &str, paths: &[String]| {
        if paths.is_empty() { Vec::new() } else { vec![vec![name.to_owned(), paths.join(" ")]] }
    };
    let hidden = [paths("masked", &of.masked), paths("read-only", &of.read_only)].concat();
    format!("{}{}{}", table(layers.chain([changed])), table(mounts), table(hidden))
}

fn confinement(of: &wire::ExplainedConfinement) -> String {
    let names = |names: &[String]| match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| name.trim_start_matches("CAP_")).collect::<Vec<_>>().join(" "),
    };
    let capabilities = vec![
        vec!["capabilities".to_owned(), "kept".to_owned(), names(&of.kept)],
        vec![String::new(), "in use".to_owned(), names(&of.effective)],
        vec![String::new(), "dropped".to_owned(), names(&of.dropped)],
    ];
    let verdicts = of.syscalls.iter().map(|one| vec![format!("{}(2)", one.name), one.now.clone()]);
    format!("{}{}\n{}", table(capabilities), cause("", &of.by), table(facts(&of.facts).into_iter().chain(verdicts)))
}

fn network(name: &str, of: &wire::ExplainedNetwork) -> String {
    let interfaces = of.interfaces.iter().map(|one| {
        let state = if one.up { "up" } else { "down" };
        let outside = match one.peer.as_str() {
            "" => format!("on {}", one.bridge),
            peer => format!("⇄ {peer} on {}", one.bridge),
        };
        if one.name.is_empty() {
            return vec![one.network.clone(), cause("", &one.by)];
        }
        vec![one.name.clone(), state.to_owned(), one.addresses.join(" "), one.mac.clone(), outside, cause("", &one.by)]
    });
    let lines = facts(&of.routes).into_iter().map(|row| [vec!["route".to_owned()], row].concat());
    let ports: String = of.ports.iter().map(|port| trace::one(name, port)).collect();
    format!("mode {}\n{}{}{}{ports}", clean(&of.mode), table(interfaces), table(lines), table(facts(&of.names)))
}
