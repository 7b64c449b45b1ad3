//! What a process may: limits, labels, identity, capabilities, system calls. Start and exec share it.

use hull_confine::seccomp::Program;

use super::facts::Who;
use crate::plan::Step;
use crate::spec::Process;

/// A process with the facts about its confinement.
pub(super) struct Confined<'a> {
    pub process: &'a Process,
    pub who: &'a Who,
    pub seccomp: Option<&'a Program>,
    pub apparmor: bool,
    pub selinux: bool,
    /// The sets, as a step.
    pub capabilities: Step,
    /// The filter has a listener.
    pub listener: bool,
}

/// The steps, in the order that lets each still be done.
pub(super) fn steps(confined: &Confined<'_>, steps: &mut Vec<Step>) {
    let process = confined.process;
    labels(confined, steps);
    // ORDER: after the last step that opens files or writes (nofile, fsize), before the capability
    // to raise a limit is gone.
    for limit in &process.rlimits {
        steps.push(Step::Rlimit {
            resource: limit.resource,
            soft: limit.soft,
            hard: limit.hard,
            required: limit.required,
        });
    }
    steps.push(Step::Umask(process.umask.unwrap_or(0o022)));
    // ORDER: without no_new_privs only CAP_SYS_ADMIN may load a filter, so it comes before the
    // capabilities go; with it the filter comes last and need not allow the steps in between.
    if !process.no_new_privileges {
        seccomp(confined, steps);
    }
    steps.push(Step::Identity { uid: confined.who.uid, gid: confined.who.gid, groups: confined.who.groups.clone() });
    // ORDER: the identity keeps capabilities for this step; the sets are final from here on.
    steps.push(confined.capabilities.clone());
    if process.no_new_privileges {
        // ORDER: after the capabilities, since it would not hinder them, and before the filter.
        steps.push(Step::NoNewPrivileges);
        seccomp(confined, steps);
    }
}

/// Below this no limit needs to be raised, and lowering it before the set-up could stop the set-up.
const SURELY_ENOUGH: u64 = 4096;

/// Hard limits that may need a raise, which only the host's user namespace allows.
pub(super) fn raise_limits(process: &Process, steps: &mut Vec<Step>) {
    for limit in process.rlimits.iter().filter(|limit| limit.hard >= SURELY_ENOUGH) {
        steps.push(Step::Rlimit {
            resource: limit.resource,
            soft: limit.hard,
            hard: limit.hard,
            required: limit.required,
        });
    }
}

/// Root gets the set; anyone else keeps it only as the bound of what a set-uid program may gain, as
/// docker. Never inheritable or ambient (CVE-2022-24769).
pub(super) fn docker_capabilities(set: u64, uid: u32) -> Step {
    let own = if uid == 0 { set } else { 0 };
    Step::Capabilities { bounding: set, permitted: own, effective: own, inheritable: 0, ambient: 0 }
}

fn labels(confined: &Confined<'_>, steps: &mut Vec<Step>) {
    let lsm = &confined.process.lsm;
    if let (true, Some(profile)) = (confined.apparmor, &lsm.apparmor) {
        steps.push(Step::LsmLabel { apparmor: true, label: profile.clone() });
    }
    if let (true, Some(label)) = (confined.selinux, &lsm.selinux_process) {
        steps.push(Step::LsmLabel { apparmor: false, label: label.clone() });
    }
}

fn seccomp(confined: &Confined<'_>, steps: &mut Vec<Step>) {
    let Some(program) = confined.seccomp else { return };
    let (program, flags, clock) = (program.filter.clone(), program.flags, program.clock);
    steps.push(if confined.listener {
        Step::SeccompListener { program, flags }
    } else {
        Step::Seccomp { program, flags, clock }
    });
}
