//! Entering: the cgroup and the namespaces, by `clone3` itself or as the child's first steps.

use std::collections::BTreeMap;

use super::confinement;
use super::facts::{CgroupJoin, ExecFacts, Joined};
use crate::plan::{Clone3, Namespaces, Point, Slot, Step};
use crate::spec::{NamespaceWish, NamespaceWishes, Process};

/// Which session keyring a process has.
#[derive(Clone, Copy)]
pub(super) enum Keyring<'a> {
    /// The launcher's.
    Kept,
    /// A new one.
    Own,
    /// One of this name.
    Named(&'a str),
}

/// Where a container's first process shall stand.
pub(super) struct Stand<'a> {
    pub process: &'a Process,
    pub namespaces: &'a NamespaceWishes,
    pub joined: &'a Joined,
    pub cgroup: Option<&'a CgroupJoin>,
    pub hostname: Option<&'a str>,
    pub domainname: Option<&'a str>,
    pub sysctls: &'a BTreeMap<String, String>,
    /// Its session keyring.
    pub keyring: Keyring<'a>,
    /// The launcher is waited for once the namespaces are made.
    pub hold: bool,
}

/// How the process comes to stand where it shall.
pub(super) struct Entry {
    pub clone: Clone3,
    pub steps: Vec<Step>,
}

/// For PID 1 of a container.
pub(super) fn start(stand: &Stand<'_>) -> Entry {
    let mut steps = Vec::new();
    let joined = stand.joined;
    let mut clone = Clone3 { join_pid: joined.pid, ..Clone3::default() };
    let user = joined.user;
    let twin = Twin { cgroup: stand.cgroup, process: stand.process, userns: user.is_some(), keyring: stand.keyring };
    as_twin(&twin, &mut clone, &mut steps);
    let new_time = is_new(&stand.namespaces.time, joined.time);
    if new_time {
        new_clock(stand.namespaces, &mut steps);
    }
    enter_joined(joined, &mut steps);
    if let Some(user) = user {
        // ORDER: after the namespaces that the host's user namespace owns, before those that this
        // one shall own.
        steps.push(Step::Enter { fd: user, namespaces: Namespaces::USER });
        steps.push(Step::BecomeNamespaceRoot);
    }
    let new = new_namespaces(stand.namespaces, joined);
    if user.is_some() || new_time {
        // ORDER: a user namespace owns what is made inside it, and a clock takes effect in a child:
        // both want a second clone, which then makes the rest.
        steps.push(Step::Rebirth { new });
    } else {
        clone.new = new;
    }
    if is_new(&stand.namespaces.cgroup, joined.cgroup) {
        // ORDER: after the cgroup is joined: the group its maker stands in becomes its root.
        steps.push(Step::Unshare { namespaces: Namespaces::CGROUP });
    }
    if stand.hold {
        steps.push(Step::Sync(Point::Namespaces));
    }
    own_names(stand, &mut steps);
    Entry { clone, steps }
}

/// For a further process of a running container.
pub(super) fn join(process: &Process, facts: &ExecFacts, keyring: Keyring<'_>) -> Entry {
    let mut steps = Vec::new();
    let mut clone = Clone3 { join_pid: facts.own_pid.then_some(facts.target), ..Clone3::default() };
    let userns = facts.namespaces.contains(Namespaces::USER);
    as_twin(&Twin { cgroup: facts.cgroup.as_ref(), process, userns, keyring }, &mut clone, &mut steps);
    steps.push(Step::Enter { fd: facts.target, namespaces: facts.namespaces });
    if userns {
        steps.push(Step::BecomeNamespaceRoot);
    }
    Entry { clone, steps }
}

/// What is done while the child is still the launcher's twin.
struct Twin<'a> {
    cgroup: Option<&'a CgroupJoin>,
    process: &'a Process,
    userns: bool,
    keyring: Keyring<'a>,
}

/// What needs the launcher's own rights or the host's `/proc`.
fn as_twin(twin: &Twin<'_>, clone: &mut Clone3, steps: &mut Vec<Step>) {
    // ORDER: the cgroup first: all that follows is accounted to it.
    match twin.cgroup {
        Some(CgroupJoin::V2(directory)) => clone.cgroup = Some(*directory),
        Some(CgroupJoin::V1(tasks)) => steps.push(Step::JoinCgroups { tasks: tasks.clone() }),
        None => {}
    }
    if let Some(score) = twin.process.oom_score_adj {
        steps.push(Step::OomScoreAdj { value: score.value, required: score.required });
    }
    if twin.userns {
        confinement::raise_limits(twin.process, steps);
    }
    match twin.keyring {
        Keyring::Kept => {}
        Keyring::Own => steps.push(Step::Keyring),
        Keyring::Named(name) => steps.push(Step::NamedKeyring(name.to_owned())),
    }
}

fn new_clock(namespaces: &NamespaceWishes, steps: &mut Vec<Step>) {
    steps.push(Step::Unshare { namespaces: Namespaces::TIME });
    if let Some(offsets) = namespaces.time_offsets {
        // ORDER: the namespace takes no offsets once a process is in it.
        steps.push(Step::TimeOffsets { monotonic: offsets.monotonic, boottime: offsets.boottime });
    }
}

pub(super) fn is_new(wish: &NamespaceWish, joined: Option<Slot>) -> bool {
    *wish == NamespaceWish::New && joined.is_none()
}

/// Those that one clone makes: all but user, cgroup and time.
fn new_namespaces(wish: &NamespaceWishes, joined: &Joined) -> Namespaces {
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
fn enter_joined(joined: &Joined, steps: &mut Vec<Step>) {
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
fn own_names(stand: &Stand<'_>, steps: &mut Vec<Step>) {
    if let Some(name) = stand.hostname {
        steps.push(Step::Hostname(name.to_owned()));
    }
    if let Some(domain) = stand.domainname {
        steps.push(Step::Domainname(domain.to_owned()));
    }
    if is_new(&stand.namespaces.net, stand.joined.net) {
        steps.push(Step::LoopbackUp);
    }
    // ORDER: in the namespaces they belong to, before /proc/sys of the container is read-only.
    for (key, value) in stand.sysctls {
        steps.push(Step::Sysctl { key: key.clone(), value: value.clone() });
    }
}
