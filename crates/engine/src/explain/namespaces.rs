//! The eight namespaces: which one, whose, and how to enter it.

use std::fs;

use hull_launch::spec::{NamespaceWish, NamespaceWishes, Userns};
use hull_wire as wire;

use super::Subject;

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
        (true, _) => "host",
        (false, true) => "private",
        (false, false) => "shared",
    };
    let asked = asked(of, sort.name);
    wire::ExplainedNamespace {
        kind: sort.name.into(),
        flag: sort.flag.into(),
        inode: own.unwrap_or(0),
        standing: standing.into(),
        with,
        by: if asked.is_empty() || sort.name == "mnt" {
            "hull's default".into()
        } else {
            format!("{} {asked}", sort.by)
        },
        asked,
        enter: format!("nsenter --target {} {}", of.pid, sort.option),
    }
}

/// The words of the request.
fn asked(of: &Subject<'_>, kind: &str) -> String {
    let host = &of.view.definition.host_config;
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
