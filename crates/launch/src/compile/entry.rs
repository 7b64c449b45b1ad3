//! Entering: the cgroup and the namespaces, by `clone3` itself or as the child's first steps.

use super::confinement;
use super::facts::{CgroupJoin, ExecFacts, Facts};
use crate::plan::{Clone3, Namespaces, Slot, Step};
use crate::spec::{NamespaceWish, Process, Spec};

/// How the process comes to stand where it shall.
pub(super) struct Entry {
    pub clone: Clone3,
    pub steps: Vec<Step>,
}

/// For PID 1 of a container.
pub(super) fn start(spec: &Spec, facts: &Facts) -> Entry {
    let mut steps = Vec::new();
    let mut clone = Clone3 { join_pid: facts.joined.pid, ..Clone3::default() };
    let user = facts.joined.user;
    as_twin(facts.cgroup.as_ref(), &spec.process, user.is_some(), &mut clone, &mut steps);
    let new_time = is_new(&spec.namespaces.time, facts.joined.time);
    if new_time {
        new_clock(spec, &mut steps);
    }
    enter_joined(facts, &mut steps);
    if let Some(user) = user {
        // ORDER: after the namespaces that the host's user namespace owns, before those that this
        // one shall own.
        steps.push(Step::Enter { fd: user, namespaces: Namespaces::USER });
        steps.push(Step::BecomeNamespaceRoot);
    }
    let new = new_namespaces(spec, facts);
    if user.is_some() || new_time {
        // ORDER: a user namespace owns what is made inside it, and a clock takes effect in a child:
        // both want a second clone, which then makes the rest.
        steps.push(Step::Rebirth { new });
    } else {
        clone.new = new;
    }
    if is_new(&spec.namespaces.cgroup, facts.joined.cgroup) {
        // ORDER: after the cgroup is joined: the group its maker stands in becomes its root.
        steps.push(Step::Unshare { namespaces: Namespaces::CGROUP });
    }
    own_names(spec, facts, &mut steps);
    Entry { clone, steps }
}

/// For a further process of a running container.
pub(super) fn join(process: &Process, facts: &ExecFacts) -> Entry {
    let mut steps = Vec::new();
    let mut clone = Clone3 { join_pid: facts.own_pid.then_some(facts.target), ..Clone3::default() };
    let userns = facts.namespaces.contains(Namespaces::USER);
    as_twin(facts.cgroup.as_ref(), process, userns, &mut clone, &mut steps);
    steps.push(Step::Enter { fd: facts.target, namespaces: facts.namespaces });
    if userns {
        steps.push(Step::BecomeNamespaceRoot);
    }
    Entry { clone, steps }
}

/// What needs the keeper's own rights or the host's `/proc`.
fn as_twin(cgroup: Option<&CgroupJoin>, process: &Process, userns: bool, clone: &mut Clone3, steps: &mut Vec<Step>) {
    // ORDER: the cgroup first: all that follows is accounted to it.
    match cgroup {
        Some(CgroupJoin::V2(directory)) => clone.cgroup = Some(*directory),
        Some(CgroupJoin::V1(tasks)) => steps.push(Step::JoinCgroups { tasks: tasks.clone() }),
        None => {}
    }
    if let Some(score) = process.oom_score_adj {
        steps.push(Step::OomScoreAdj { value: score.value, required: score.required });
    }
    if userns {
        confinement::raise_limits(process, steps);
    }
    steps.push(Step::Keyring);
}

fn new_clock(spec: &Spec, steps: &mut Vec<Step>) {
    steps.push(Step::Unshare { namespaces: Namespaces::TIME });
    if let Some(offsets) = spec.namespaces.time_offsets {
        // ORDER: the namespace takes no offsets once a process is in it.
        steps.push(Step::TimeOffsets { monotonic: offsets.monotonic, boottime: offsets.boottime });
    }
}

fn is_new(wish: &NamespaceWish, joined: Option<Slot>) -> bool {
    *wish == NamespaceWish::New && joined.is_none()
}

/// Those that one clone makes: all but user, cgroup and time.
fn new_namespaces(spec: &Spec, facts: &Facts) -> Namespaces {
    let (wish, joined) = (&spec.namespaces, &facts.joined);
    [
        (is_new(&wish.pid, joined.pid), Namespaces::PID),
        (is_new(&wish.uts, joined.uts), Namespaces::UTS),
        (is_new(&wish.ipc, joined.ipc), Namespaces::IPC),
        (is_new(&wish.net, joined.net), Namespaces::NETWORK),
    ]
    .into_iter()
    .filter(|(new, _)| *new)
    .fold(Namespaces::MOUNT, |set, (_, one)| set.and(one))
}

/// One `setns` per descriptor, with all kinds that it stands for.
fn enter_joined(facts: &Facts, steps: &mut Vec<Step>) {
    let joined = &facts.joined;
    let mut by_fd: Vec<(Slot, Namespaces)> = Vec::new();
    for (slot, one) in [
        (joined.uts, Namespaces::UTS),
        (joined.ipc, Namespaces::IPC),
        (joined.net, Namespaces::NETWORK),
        (joined.cgroup, Namespaces::CGROUP),
        (joined.time, Namespaces::TIME),
    ] {
        let Some(slot) = slot else { continue };
        match by_fd.iter_mut().find(|(fd, _)| *fd == slot) {
            Some((_, set)) => *set = set.and(one),
            None => by_fd.push((slot, one)),
        }
    }
    for (fd, namespaces) in by_fd {
        steps.push(Step::Enter { fd, namespaces });
    }
}

/// Host name, loopback and sysctls of the namespaces that are this container's own.
fn own_names(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    if is_new(&spec.namespaces.uts, facts.joined.uts) {
        steps.push(Step::Hostname(spec.hostname.clone()));
        if let Some(domain) = &spec.domainname {
            steps.push(Step::Domainname(domain.clone()));
        }
    }
    if is_new(&spec.namespaces.net, facts.joined.net) {
        steps.push(Step::LoopbackUp);
    }
    // ORDER: in the namespaces they belong to, before /proc/sys of the container is read-only.
    for (key, value) in &spec.sysctls {
        steps.push(Step::Sysctl { key: key.clone(), value: value.clone() });
    }
}
