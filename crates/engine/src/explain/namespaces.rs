//! The eight namespaces: which one, whose, and how to enter it.

use std::fs;

use hull_launch::spec::{NamespaceWish, NamespaceWishes, Userns};
use hull_wire as wire;

use super::Subject;
use crate::container::View;

/// A kind of namespace: its name in `/proc/PID/ns`, clone's flag, nsenter's option, docker's flag.
struct Sort {
    name: &'static str,
    flag: &'static str,
    option: &'static str,
    by: &'static str,
}

const SORTS: [Sort; 8] = [
    Sort { name: "mnt", flag: "CLONE_NEWNS", option: "--mount", by: "always new" },
    Sort { name: "pid", flag: "CLONE_NEWPID", option: "--pid", by: "--pid" },
    Sort { name: "net", flag: "CLONE_NEWNET", option: "--net", by: "--network" },
    Sort { name: "uts", flag: "CLONE_NEWUTS", option: "--uts", by: "--uts" },
    Sort { name: "ipc", flag: "CLONE_NEWIPC", option: "--ipc", by: "--ipc" },
    Sort { name: "cgroup", flag: "CLONE_NEWCGROUP", option: "--cgroup", by: "--cgroupns" },
    Sort { name: "user", flag: "CLONE_NEWUSER", option: "--user", by: "--userns" },
    Sort { name: "time", flag: "CLONE_NEWTIME", option: "--time", by: "annotation" },
];

pub(super) fn explain(of: &Subject<'_>) -> Vec<wire::ExplainedNamespace> {
    let others = others(of);
    SORTS.iter().map(|sort| namespace(of, sort, &others)).collect()
}

fn namespace(of: &Subject<'_>, sort: &Sort, others: &[(String, i32)]) -> wire::ExplainedNamespace {
    let own = inode(&of.pid.to_string(), sort.name);
    // The engine's mount namespace is its own, so that of the container is never compared with it.
    let host = sort.name != "mnt" && own == inode("self", sort.name);
    let with: Vec<String> = match host {
        true => Vec::new(),
        false => others
            .iter()
            .filter(|(_, pid)| inode(&pid.to_string(), sort.name) == own)
            .map(|(name, _)| name.clone())
            .collect(),
    };
    let standing = match (host, with.is_empty()) {
        (true, _) if nested(sort.name) => "engine",
        (true, _) => "host",
        (false, true) => "private",
        (false, false) => "shared",
    };
    let asked = asked(of.view, sort.name);
    wire::ExplainedNamespace {
        kind: sort.name.into(),
        flag: sort.flag.into(),
        inode: own.unwrap_or(0),
        standing: standing.into(),
        with,
        by: cause(sort, &asked),
        asked,
        // Nobody enters the user namespace that he stands in.
        enter: match (sort.name, standing) {
            ("user", "host" | "engine") => String::new(),
            _ => format!("nsenter --target {} {}", of.pid, sort.option),
        },
    }
}

/// Of a container that does not run.
pub(super) fn asked_for(view: &View) -> Vec<wire::ExplainedNamespace> {
    let one = |sort: &Sort| {
        let asked = asked(view, sort.name);
        let (kind, flag, by) = (sort.name.into(), sort.flag.into(), cause(sort, &asked));
        wire::ExplainedNamespace { kind, flag, by, asked, ..Default::default() }
    };
    SORTS.iter().map(one).collect()
}

fn cause(sort: &Sort, asked: &str) -> String {
    if asked.is_empty() || sort.name == "mnt" { "hull's default".into() } else { format!("{} {asked}", sort.by) }
}

/// Whether hull stands in a namespace of this kind that is not the machine's first: in a container itself.
///
/// Source: the kernel's `include/linux/proc_ns.h`, `PROC_*_INIT_INO`. The first network has no number of its own; it is that of
/// the machine's PID 1, if that is seen.
fn nested(kind: &str) -> bool {
    let first = |kind: &str| match kind {
        "ipc" => Some(0xEFFF_FFFF),
        "uts" => Some(0xEFFF_FFFE),
        "user" => Some(0xEFFF_FFFD),
        "pid" => Some(0xEFFF_FFFC),
        "cgroup" => Some(0xEFFF_FFFB),
        "time" => Some(0xEFFF_FFFA),
        _ if inode("self", "pid") == Some(0xEFFF_FFFC) => inode("1", kind),
        _ => None,
    };
    let own = inode("self", kind);
    own.is_some() && first(kind).is_some_and(|first| own != Some(first))
}

/// The words of the request.
fn asked(view: &View, kind: &str) -> String {
    let host = &view.definition.host_config;
    match kind {
        "pid" => host.pid_mode.clone(),
        "net" => host.network_mode.clone(),
        "uts" => host.uts_mode.clone(),
        "ipc" => host.ipc_mode.clone(),
        "cgroup" => host.cgroupns_mode.clone(),
        "user" => host.userns_mode.clone(),
        _ => String::new(),
    }
}

/// Running containers that can share a namespace with this one: each that joins another's, and all if this one does.
fn others(of: &Subject<'_>) -> Vec<(String, i32)> {
    let own = joins(&of.view.definition.spec.namespaces);
    let all = of.core.registry.all();
    let candidates = all.iter().filter(|container| container.id != of.view.definition.id).filter_map(|container| {
        let view = container.view();
        let live = container.live()?;
        (own || joins(&view.definition.spec.namespaces)).then(|| (view.name().to_string(), live.pid))
    });
    candidates.collect()
}

fn joins(wishes: &NamespaceWishes) -> bool {
    let NamespaceWishes { pid, uts, ipc, net, cgroup, time, user, .. } = wishes;
    [pid, uts, ipc, net, cgroup, time].into_iter().any(|wish| matches!(wish, NamespaceWish::Container(_)))
        || matches!(user, Userns::Container(_))
}

/// `None`: the process is gone, or the kernel has no such kind.
fn inode(pid: &str, kind: &str) -> Option<u64> {
    let target = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
    let text = target.to_string_lossy();
    text.split_once('[')?.1.trim_end_matches(']').parse().ok()
}
