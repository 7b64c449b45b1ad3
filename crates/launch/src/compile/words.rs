//! Every step in words: what it does, for a sentence that begins with "cannot" as for the story of a start.

use std::borrow::Cow;
use std::path::Path;

use crate::plan::{LaunchPlan, Namespaces, Step, Target};

/// The part of the boundary that a step makes.
pub const fn part(step: &Step) -> &'static str {
    match step {
        Step::JoinCgroups { .. } => "cgroup",
        Step::Enter { .. }
        | Step::Unshare { .. }
        | Step::TimeOffsets { .. }
        | Step::BecomeNamespaceRoot
        | Step::Rebirth { .. }
        | Step::Hostname(_)
        | Step::Domainname(_)
        | Step::LoopbackUp
        | Step::Sysctl { .. } => "namespaces",
        Step::ForgetPeers
        | Step::AttachRoot { .. }
        | Step::Attach { .. }
        | Step::NewMount { .. }
        | Step::TmpfsCopyUp { .. }
        | Step::Device { .. }
        | Step::Symlink { .. }
        | Step::ReadonlyPath(_)
        | Step::MaskedPath(_)
        | Step::Remount { .. }
        | Step::PivotRoot
        | Step::ChangeRoot => "root file system",
        Step::Keyring
        | Step::NamedKeyring(_)
        | Step::Rlimit { .. }
        | Step::OomScoreAdj { .. }
        | Step::LsmLabel { .. }
        | Step::Identity { .. }
        | Step::Capabilities { .. }
        | Step::NoNewPrivileges
        | Step::Seccomp { .. }
        | Step::SeccompListener { .. } => "confinement",
        Step::Terminal { .. }
        | Step::Stdio { .. }
        | Step::OwnStreams { .. }
        | Step::Session
        | Step::Umask(_)
        | Step::Workdir { .. }
        | Step::Sync(_)
        | Step::Hooks(_)
        | Step::Scheduler(_)
        | Step::IoPriority { .. }
        | Step::Personality(_)
        | Step::Affinity(_)
        | Step::AwaitStart { .. }
        | Step::Init => "process",
    }
}

/// What it does, with its operands: `attach the root file system`.
pub fn words(step: &Step) -> Cow<'static, str> {
    let at = |what: &str, target: &Target| path(what, &target.path);
    match step {
        Step::JoinCgroups { .. } => "join the container's cgroup".into(),
        Step::Enter { namespaces, .. } => format!("enter {}", named(*namespaces)).into(),
        Step::Unshare { namespaces } => format!("make {} new", named(*namespaces)).into(),
        Step::Rebirth { new } if new.is_empty() => "go on as a copy of itself".into(),
        Step::Rebirth { new } => format!("make {} new, and go on as a copy of itself", named(*new)).into(),
        Step::TimeOffsets { .. } => "set the offsets of the time namespace".into(),
        Step::BecomeNamespaceRoot => "become root of the user namespace".into(),
        Step::Keyring => "make a session keyring".into(),
        Step::NamedKeyring(name) => format!("make the session keyring `{name}`").into(),
        Step::Hostname(name) => format!("set the host name `{name}`").into(),
        Step::Domainname(name) => format!("set the domain name `{name}`").into(),
        Step::LoopbackUp => "set the loopback interface up".into(),
        Step::AttachRoot { .. } => "attach the root file system".into(),
        Step::Attach { target, .. } => at("attach the mount at", target),
        Step::NewMount { fstype, target, .. } => at(&format!("mount {fstype} at"), target),
        Step::TmpfsCopyUp { target, .. } => at("mount tmpfs, filled with what it hides, at", target),
        Step::Device { path: node, .. } => path("make the device", node),
        Step::Symlink { path: link, .. } => path("make the link", link),
        Step::ReadonlyPath(hidden) => path("make read-only", hidden),
        Step::MaskedPath(hidden) => path("hide", hidden),
        Step::Remount { path: mount, .. } => path("remount", mount),
        Step::Terminal { .. } => "open a terminal in the container".into(),
        Step::Stdio { .. } | Step::OwnStreams { .. } => "connect the standard streams".into(),
        Step::Session => "make a session".into(),
        Step::PivotRoot | Step::ChangeRoot => "change the root".into(),
        Step::Sysctl { key, value } => format!("set the sysctl `{key}` to `{value}`").into(),
        Step::Rlimit { resource, soft, hard, .. } => rlimit(*resource, *soft, *hard).into(),
        Step::OomScoreAdj { value, .. } => format!("set the OOM score adjustment to {value}").into(),
        Step::LsmLabel { label, .. } => format!("apply the security label `{label}`").into(),
        Step::Identity { uid, gid, .. } => format!("become user {uid} and group {gid}").into(),
        Step::Capabilities { .. } => "set the capabilities".into(),
        Step::Umask(mask) => format!("set the umask {mask:04o}").into(),
        Step::Workdir { path: directory, .. } => path("change to", directory),
        Step::NoNewPrivileges => "set no_new_privs".into(),
        Step::Seccomp { program, .. } => format!("load the seccomp filter ({} instructions)", program.len()).into(),
        Step::SeccompListener { .. } => "load the seccomp filter with its listener".into(),
        Step::ForgetPeers => "keep its mounts from the host".into(),
        Step::Sync(_) => "wait for the runtime".into(),
        Step::Hooks(_) => "run its hooks".into(),
        Step::Scheduler(_) => "set its scheduler".into(),
        Step::IoPriority { .. } => "set its I/O priority".into(),
        Step::Personality(_) => "set its personality".into(),
        Step::Affinity(cpus) => format!("run on the CPUs {cpus:?}").into(),
        Step::AwaitStart { .. } => "wait to be started".into(),
        Step::Init => "start the init process".into(),
    }
}

/// What the launcher does before the first step: `clone the process with its pid, mount and uts namespaces`.
pub fn clone_words(plan: &LaunchPlan) -> String {
    let made = match plan.clone.new {
        none if none.is_empty() => "clone the process".to_owned(),
        new => format!("clone the process with {} new", named(new)),
    };
    let born = if plan.clone.join_pid.is_some() { ", born into the pid namespace it joins" } else { "" };
    let cgroup = if plan.clone.cgroup.is_some() { ", born into its cgroup" } else { "" };
    format!("{made}{born}{cgroup}")
}

/// As [`Step::Rlimit`] is told.
pub(super) fn rlimit(resource: u32, soft: u64, hard: u64) -> String {
    let name = hull_confine::rlimits::Rlimit { resource, soft, hard }.name();
    let show = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
    format!("set the limit {name} to {}:{}", show(soft), show(hard))
}

fn path(what: &str, path: &Path) -> Cow<'static, str> {
    format!("{what} `{}`", path.display()).into()
}

/// `its mount namespace`, `its pid, mount and uts namespaces`.
fn named(set: Namespaces) -> String {
    let kinds = [
        ("user", Namespaces::USER),
        ("pid", Namespaces::PID),
        ("mount", Namespaces::MOUNT),
        ("uts", Namespaces::UTS),
        ("ipc", Namespaces::IPC),
        ("network", Namespaces::NETWORK),
        ("cgroup", Namespaces::CGROUP),
        ("time", Namespaces::TIME),
    ];
    let names: Vec<&str> = kinds.into_iter().filter(|(_, kind)| set.contains(*kind)).map(|(name, _)| name).collect();
    match names.split_last() {
        None => "no namespace".to_owned(),
        Some((one, [])) => format!("its {one} namespace"),
        Some((last, rest)) => format!("its {} and {last} namespaces", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_named_as_a_list() {
        let set = Namespaces::PID.and(Namespaces::MOUNT).and(Namespaces::UTS);
        assert_eq!(named(set), "its pid, mount and uts namespaces");
        assert_eq!(named(Namespaces::CGROUP), "its cgroup namespace");
    }
}
