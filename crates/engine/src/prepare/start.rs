//! [`start`]: the facts of a container's start, and the plan.

use std::os::fd::AsFd;
use std::sync::Arc;

use hull_confine::caps::CapSet;
use hull_confine::seccomp::{Arch, Kernel, Profile, Program, Target};
use hull_launch::compile::{self, Facts};
use hull_launch::spec::{Process, SeccompWish};
use hull_types::Fault;

use super::fds::Fds;
use super::peer::Found;
use super::{Parts, Prepared, StartInput};
use super::{cgroup, devices, etc, identity, mounts, namespaces};

/// Gathers everything for a container's start and compiles its plan.
///
/// # Errors
/// What is missing or refused, in a sentence. Nothing of this attempt is left then, but for a
/// directory made for a missing bind source.
pub fn start(parts: &Parts, input: StartInput<'_>) -> Result<Prepared, Fault> {
    let spec = input.spec;
    let mut fds = Fds::default();
    let mut found = Found::default();
    input.laps.next("gather the namespaces");
    let spaces = namespaces::gather(parts, &input, &mut found, &mut fds)?;
    let user = spaces.user.as_ref();
    input.laps.next("put the root file system together from its layers");
    let root = parts.snapshots.prepare(&hull_snapshot::Rootfs {
        base: &input.rootfs.base,
        slot: &input.rootfs.slot,
        ephemeral: input.rootfs.ephemeral,
        userns: user.map(|user| &user.fd),
    })?;
    input.laps.next("find its user");
    let who = identity::resolve(root.mount.as_fd(), &spec.process)?;
    input.laps.next("open what is mounted");
    let mounts = mounts::gather(parts, &input, root.mount.as_fd(), user, &mut fds)?;
    input.laps.next("write hosts, hostname and resolv.conf");
    let etc = etc::gather(parts, &input, user, &mut fds)?;
    input.laps.next("gather its devices");
    let granted = devices::gather(spec, user.is_some(), &mut fds)?;
    input.laps.next("take the compiled seccomp filter");
    let seccomp = filter(parts, &spec.process)?;
    input.laps.next("make its cgroup, and set its limits");
    let host_cgroups = cgroup::of_host(parts, &input, &mut found, &mut fds)?;
    let (root, streams) = (fds.push(root.mount.into_fd())?, fds.streams(input.io)?);
    // ORDER: last, since it is all that has a global name and would have to be undone.
    let group = cgroup::create(parts, input.id, spec, &granted)?;
    input.laps.next("compile the plan");
    let compiled = cgroup::join(&group, &mut fds).and_then(|join| {
        let facts = Facts {
            key: input.id.to_string(),
            who,
            root,
            id_maps: user.map(|user| user.maps.clone()),
            joined: spaces.joined.clone(),
            cgroup: Some(join),
            cgroup_mounts: cgroup::mounts(parts, &group, host_cgroups),
            mounts,
            shm: spaces.shm,
            mqueue: spaces.mqueue,
            sysfs: spaces.sysfs,
            procfs: spaces.procfs,
            devices: granted.nodes,
            etc,
            streams,
            seccomp,
            apparmor: parts.host.lsm.apparmor,
            selinux: parts.host.lsm.selinux,
        };
        Ok(compile::compile(spec, &facts)?)
    });
    match compiled {
        Ok(compiled) => Ok(Prepared { plan: compiled.plan, fds: fds.into_vec(), warnings: Vec::new() }),
        Err(fault) => Err(undo(&group, fault)),
    }
}

/// Both errors are told: the one that stopped the start, and the one that stopped its undoing.
fn undo(group: &hull_cgroup::Cgroup, fault: Fault) -> Fault {
    match group.remove() {
        Ok(()) => fault,
        Err(error) => {
            let cause = fault.cause.as_deref().map_or(String::new(), |cause| format!("{cause}; "));
            fault.cause(format!("{cause}and the cgroup could not be removed: {error}"))
        }
    }
}

/// The filter that the process asks for, compiled for its capabilities.
pub(super) fn filter(parts: &Parts, process: &Process) -> Result<Option<Arc<Program>>, Fault> {
    let target = Target {
        arch: Arch::NATIVE,
        caps: CapSet(process.capabilities),
        kernel: parts.host.release.parse::<Kernel>()?,
    };
    let program = match &process.seccomp {
        SeccompWish::Unconfined => return Ok(None),
        SeccompWish::Default => parts.filters.program(Profile::builtin(), &target)?,
        SeccompWish::Profile(text) => parts.filters.program(&Profile::parse(text)?, &target)?,
    };
    Ok(Some(program))
}

#[cfg(test)]
pub(crate) mod tests;
