//! The container's cgroup: made with its limits, entered by the child.

use hull_cgroup::{Access, Cgroup, DeviceKind, DeviceRule, Join, Limits, Version};
use hull_confine::devices::{self, Kind, Rule};
use hull_launch::compile::{CgroupJoin, CgroupMount};
use hull_launch::plan::Slot;
use hull_launch::spec::{NamespaceWish, Spec};
use hull_types::{ContainerId, Fault};

use super::devices::Granted;
use super::fds::Fds;
use super::files;
use super::peer::Found;
use super::{Parts, StartInput};

/// Makes it. The caller removes it if the preparation fails later.
pub(super) fn create(parts: &Parts, id: &ContainerId, spec: &Spec, granted: &Granted) -> Result<Cgroup, Fault> {
    Ok(parts.cgroups.create(parent(parts, spec), id.as_str(), &limits(spec, granted))?)
}

/// All of its limits, devices among them.
pub(super) fn limits(spec: &Spec, granted: &Granted) -> Limits {
    let devices = if spec.privileged { None } else { Some(rules(spec, granted)) };
    Limits { devices, ..spec.limits.clone() }
}

/// Finds that of a running container.
pub(super) fn open(parts: &Parts, id: &ContainerId, spec: &Spec) -> Result<Cgroup, Fault> {
    Ok(parts.cgroups.open(parent(parts, spec), id.as_str())?)
}

fn parent<'a>(parts: &'a Parts, spec: &'a Spec) -> &'a str {
    spec.cgroup_parent.as_deref().unwrap_or(&parts.instance)
}

/// How the child enters it.
pub(super) fn join(cgroup: &Cgroup, fds: &mut Fds) -> Result<CgroupJoin, Fault> {
    Ok(match cgroup.join()? {
        Join::V2(directory) => CgroupJoin::V2(fds.push(directory)?),
        Join::V1(tasks) => CgroupJoin::V1(tasks.into_iter().map(|fd| fds.push(fd)).collect::<Result<_, _>>()?),
    })
}

/// v2: a clone of the host's mount, for a container that stands in the host's cgroup namespace, its own
/// wish or that of the container whose namespace it joins.
pub(super) fn of_host(
    parts: &Parts,
    input: &StartInput<'_>,
    found: &mut Found,
    fds: &mut Fds,
) -> Result<Option<Slot>, Fault> {
    let Some(mountpoint) = parts.cgroups.mountpoint() else { return Ok(None) };
    let shared = match &input.spec.namespaces.cgroup {
        NamespaceWish::New => false,
        NamespaceWish::Host => true,
        NamespaceWish::Container(id) => {
            let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/cgroup")).ok();
            let peer = found.get(id, "cgroup namespace", input.peers, fds)?;
            namespace(&peer.pid.to_string()) == namespace("self")
        }
    };
    if !shared {
        return Ok(None);
    }
    let (mount, _) = files::bind_host(mountpoint, false)?;
    fds.push(mount.into_fd()).map(Some)
}

/// What stands under `/sys/fs/cgroup`: on v1 the hierarchies in which the container has a group.
pub(super) fn mounts(parts: &Parts, cgroup: &Cgroup, of_host: Option<Slot>) -> Vec<CgroupMount> {
    if parts.cgroups.version() == Version::V2 {
        return vec![of_host.map_or(CgroupMount::Unified, CgroupMount::Host)];
    }
    let named = cgroup.hierarchies().map(|hierarchy| {
        let directory = match &hierarchy.controllers[..] {
            [one] => one.strip_prefix("name=").unwrap_or(one).to_owned(),
            several => several.join(","),
        };
        CgroupMount::Named { directory, options: Some(hierarchy.controllers.clone()) }
    });
    named.collect()
}

/// The defaults, then what was asked for.
fn rules(spec: &Spec, granted: &Granted) -> Vec<DeviceRule> {
    let all = devices::default_rules().into_iter().chain(granted.rules.iter().copied());
    all.chain(spec.device_rules.iter().copied()).filter_map(|rule| allow(&rule)).collect()
}

fn allow(rule: &Rule) -> Option<DeviceRule> {
    let kind = match rule.kind {
        Kind::All => DeviceKind::All,
        Kind::Char => DeviceKind::Char,
        Kind::Block => DeviceKind::Block,
    };
    let access = Access::parse(&rule.access.to_string())?;
    Some(DeviceRule { allow: true, kind, major: rule.major, minor: rule.minor, access })
}
