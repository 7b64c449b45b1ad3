//! Compiling what an OCI bundle asks for: the same entry, confinement and command as docker's, around mounts
//! that are exactly the bundle's.

use std::sync::Arc;

use hull_confine::devices::LINKS;
use hull_confine::seccomp::Program;

use super::confinement::{self, Confined};
use super::entry::{self, Stand};
use super::facts::{CgroupJoin, DeviceFact, ExecFacts, Joined, Streams, Who};
use super::{Compiled, Error, exec, rootfs};
use crate::plan::{Attrs, LaunchPlan, Namespaces, Point, Slot, Step};
use crate::spec::{Bundle, BundleProcess};

/// What the compiler is told for a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFacts {
    /// The key of the launch.
    pub key: String,
    /// Whom it runs as.
    pub who: Who,
    /// The detached root file system.
    pub root: Slot,
    /// Its propagation.
    pub root_attrs: Attrs,
    /// Namespaces to join; a new user namespace is made ahead and joined.
    pub joined: Joined,
    /// How it enters its cgroup.
    pub cgroup: Option<CgroupJoin>,
    /// Nodes of its `/dev`.
    pub devices: Vec<DeviceFact>,
    /// The streams.
    pub streams: Streams,
    /// The compiled filter.
    pub seccomp: Option<Arc<Program>>,
    /// The filter asks a listener.
    pub listener: bool,
    /// AppArmor is active.
    pub apparmor: bool,
    /// SELinux is active.
    pub selinux: bool,
    /// The launcher has something to do at these points.
    pub hold: Vec<Point>,
    /// It waits here before its command.
    pub fifo: Option<Slot>,
}

/// What the compiler is told for a further process of a bundle's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleExecFacts {
    /// As for docker's.
    pub exec: ExecFacts,
    /// The filter asks a listener.
    pub listener: bool,
    /// Where a pidfd cannot be had: each namespace by a descriptor of its own, in the order they are entered; that of
    /// pids, if there is one, is [`ExecFacts::target`].
    pub apart: Vec<(Slot, Namespaces)>,
    /// The CPUs it has while it is made, before it joins the cgroup.
    pub first_affinity: Option<Vec<u32>>,
    /// `personality`, as the container's.
    pub personality: Option<u32>,
}

/// Compiles the start of a bundle's container.
///
/// # Errors
/// A NUL byte in a command or variable.
pub fn compile_bundle(spec: &Bundle, facts: &BundleFacts) -> Result<Compiled, Error> {
    let process = &spec.process.process;
    let mut entry = entry::start(&Stand {
        process,
        namespaces: &spec.namespaces,
        joined: &facts.joined,
        cgroup: facts.cgroup.as_ref(),
        hostname: spec.hostname.as_deref(),
        domainname: spec.domainname.as_deref(),
        sysctls: &spec.sysctls,
        keyring: keyring(&spec.process),
        hold: facts.hold.contains(&Point::Namespaces),
    });
    let steps = &mut entry.steps;
    // ORDER: before the first mount, which the host would otherwise see.
    steps.push(Step::ForgetPeers);
    steps.push(Step::AttachRoot { mount: facts.root, attrs: facts.root_attrs });
    steps.extend(spec.mounts.iter().cloned());
    if spec.own_dev {
        own_dev(&facts.devices, steps);
    }
    rootfs::hidden_paths(&spec.readonly_paths, &spec.masked_paths, steps);
    super::streams(facts.streams, spec.own_dev, facts.who.uid, steps);
    if facts.hold.contains(&Point::Mounted) {
        steps.push(Step::Sync(Point::Mounted));
    }
    hooks(&spec.create_container, steps);
    steps.push(if spec.pivot { Step::PivotRoot } else { Step::ChangeRoot });
    steps.extend(spec.root.clone());
    steps.push(Step::Workdir { path: process.cwd.clone(), create: true });
    rootfs::seal(spec.readonly_root, steps);
    priorities(&spec.process, steps);
    confined(&spec.process, &Confinement::of_bundle(facts), steps);
    if let Some(persona) = spec.personality {
        steps.push(Step::Personality(persona));
    }
    if let Some(fifo) = facts.fifo {
        steps.push(Step::AwaitStart { fifo });
    }
    hooks(&spec.start_container, steps);
    let exec = exec::command(process, &facts.who)?;
    Ok(Compiled { plan: LaunchPlan { key: facts.key.clone(), clone: entry.clone, steps: entry.steps, exec } })
}

/// Compiles a further process.
///
/// # Errors
/// A NUL byte in a command or variable.
pub fn compile_bundle_exec(spec: &BundleProcess, facts: &BundleExecFacts) -> Result<Compiled, Error> {
    let ExecFacts { who, streams, .. } = &facts.exec;
    let mut entry = entry::join(&spec.process, &facts.exec, keyring(spec));
    if !facts.apart.is_empty() {
        let enter = |(fd, namespaces): &(Slot, Namespaces)| Step::Enter { fd: *fd, namespaces: *namespaces };
        let at = entry.steps.iter().position(|step| matches!(step, Step::Enter { .. })).unwrap_or(0);
        entry.steps.splice(at..=at, facts.apart.iter().map(enter));
    }
    if let Some(cpus) = &facts.first_affinity {
        // ORDER: before it joins the cgroup, which is what the specification has it for.
        entry.steps.insert(0, Step::Affinity(cpus.clone()));
    }
    let steps = &mut entry.steps;
    super::streams(*streams, false, who.uid, steps);
    steps.push(Step::Workdir { path: spec.process.cwd.clone(), create: false });
    priorities(spec, steps);
    confined(spec, &Confinement::of_exec(facts), steps);
    if let Some(persona) = facts.personality {
        steps.push(Step::Personality(persona));
    }
    let exec = exec::command(&spec.process, who)?;
    Ok(Compiled { plan: LaunchPlan { key: facts.exec.key.clone(), clone: entry.clone, steps: entry.steps, exec } })
}

fn keyring(process: &BundleProcess) -> entry::Keyring<'_> {
    process.keyring.as_deref().map_or(entry::Keyring::Kept, entry::Keyring::Named)
}

fn own_dev(devices: &[DeviceFact], steps: &mut Vec<Step>) {
    steps.extend(devices.iter().map(rootfs::node));
    for (path, to) in LINKS.into_iter().chain([("/dev/core", "/proc/kcore")]) {
        steps.push(Step::Symlink { path: path.into(), to: to.into() });
    }
}

/// What needs capabilities that the process may be about to lose.
fn priorities(process: &BundleProcess, steps: &mut Vec<Step>) {
    if let Some(scheduler) = process.scheduler {
        steps.push(Step::Scheduler(scheduler));
    }
    if let Some((class, level)) = process.io_priority {
        steps.push(Step::IoPriority { class, level });
    }
    if let Some(cpus) = &process.affinity {
        steps.push(Step::Affinity(cpus.clone()));
    }
}

/// The facts that both kinds of process are confined by.
struct Confinement<'a> {
    who: &'a Who,
    seccomp: Option<&'a Program>,
    listener: bool,
    apparmor: bool,
    selinux: bool,
}

impl<'a> Confinement<'a> {
    fn of_bundle(facts: &'a BundleFacts) -> Self {
        Self {
            who: &facts.who,
            seccomp: facts.seccomp.as_deref(),
            listener: facts.listener,
            apparmor: facts.apparmor,
            selinux: facts.selinux,
        }
    }

    fn of_exec(facts: &'a BundleExecFacts) -> Self {
        let exec = &facts.exec;
        Self {
            who: &exec.who,
            seccomp: exec.seccomp.as_deref(),
            listener: facts.listener,
            apparmor: exec.apparmor,
            selinux: exec.selinux,
        }
    }
}

fn confined(process: &BundleProcess, facts: &Confinement<'_>, steps: &mut Vec<Step>) {
    let sets = process.capabilities;
    let confined = Confined {
        process: &process.process,
        who: facts.who,
        seccomp: facts.seccomp,
        apparmor: facts.apparmor,
        selinux: facts.selinux,
        capabilities: Step::Capabilities {
            bounding: sets.bounding,
            permitted: sets.permitted,
            effective: sets.effective,
            inheritable: sets.inheritable,
            ambient: sets.ambient,
        },
        listener: facts.listener,
    };
    confinement::steps(&confined, steps);
}

fn hooks(hooks: &[crate::plan::Hook], steps: &mut Vec<Step>) {
    if !hooks.is_empty() {
        steps.push(Step::Hooks(hooks.to_vec()));
    }
}
