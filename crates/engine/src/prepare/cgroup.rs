//! The container's cgroup: made with its limits, entered by the child.

use hull_cgroup::{Access, Cgroup, DeviceKind, DeviceRule, Join, Limits, Version};
use hull_confine::devices::{self, Kind, Rule};
use hull_launch::compile::{CgroupJoin, CgroupMount};
use hull_launch::spec::Spec;
use hull_types::{ContainerId, Fault};

use super::Parts;
use super::devices::Granted;
use super::fds::Fds;

/// Makes it. The caller removes it if the preparation fails later.
pub(super) fn create(parts: &Parts, id: &ContainerId, spec: &Spec, granted: &Granted) -> Result<Cgroup, Fault> {
    let mut limits: Limits = spec.limits.clone();
    limits.devices = if spec.privileged { None } else { Some(rules(spec, granted)) };
    Ok(parts.cgroups.create(parent(parts, spec), id.as_str(), &limits)?)
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

/// What stands under `/sys/fs/cgroup`: on v1 the hierarchies in which the container has a group.
pub(super) fn mounts(parts: &Parts, cgroup: &Cgroup) -> Vec<CgroupMount> {
    if parts.cgroups.version() == Version::V2 {
        return vec![CgroupMount::Unified];
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
