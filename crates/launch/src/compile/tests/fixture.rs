//! A plain container, as the tests change it.

use std::path::PathBuf;

use crate::compile::{
    CgroupJoin, CgroupMount, Compiled, DeviceFact, EtcFile, ExecFacts, Facts, Joined, MountFact, Mqueue, Streams, Who,
    compile,
};
use crate::plan::{IdMaps, IdRange, Namespaces, Slot, Step};
use crate::spec::{LogWish, Lsm, MountKind, NamespaceWishes, Process, Resolver, SeccompWish, Shm, Spec, Stop};

pub const ROOT: Slot = Slot(1);
pub const TASKS: Slot = Slot(2);
pub const NETNS: Slot = Slot(3);
pub const OTHER: Slot = Slot(20);
pub const USERNS: Slot = Slot(21);

pub fn process() -> Process {
    Process {
        argv: vec!["true".into()],
        env: vec!["PATH=/bin".into()],
        cwd: PathBuf::from("/"),
        user: String::new(),
        groups: Vec::new(),
        tty: false,
        stdin: false,
        capabilities: 0xa804_25fb,
        seccomp: SeccompWish::Default,
        no_new_privileges: false,
        lsm: Lsm::default(),
        rlimits: Vec::new(),
        oom_score_adj: None,
        umask: None,
    }
}

pub fn spec() -> Spec {
    Spec {
        process: process(),
        hostname: "box".into(),
        domainname: None,
        namespaces: NamespaceWishes::default(),
        privileged: false,
        writable_cgroups: false,
        init: false,
        readonly_root: false,
        mounts: Vec::new(),
        shm: Shm::Own { size: 64 << 20 },
        devices: Vec::new(),
        device_rules: Vec::new(),
        masked_paths: vec!["/proc/kcore".into()],
        readonly_paths: vec!["/proc/sys".into()],
        sysctls: Default::default(),
        limits: Default::default(),
        cgroup_parent: None,
        resolver: Resolver::default(),
        stop: Stop { signal: 15, timeout: 10 },
        log: LogWish { driver: "json-file".into(), max_bytes: None, packed_after: None, cache_disabled: false },
    }
}

/// As prepared for [`spec`] on a v2 host, with a network namespace from the pool.
pub fn facts() -> Facts {
    Facts {
        key: "k".into(),
        who: Who { uid: 0, gid: 0, groups: vec![0], home: "/root".into() },
        root: ROOT,
        id_maps: None,
        joined: Joined { net: Some(NETNS), ..Joined::default() },
        cgroup: Some(CgroupJoin::V2(TASKS)),
        cgroup_mounts: vec![CgroupMount::Unified],
        mounts: Vec::new(),
        shm: None,
        mqueue: Mqueue::New,
        sysfs: None,
        procfs: None,
        devices: vec![null(None)],
        etc: vec![EtcFile { path: "/etc/hosts".into(), mount: Slot(4) }],
        streams: Streams::Pipes { stdin: Slot(5), stdout: Slot(6), stderr: Slot(7) },
        seccomp: Some(std::sync::Arc::new(hull_confine::seccomp::Program { filter: vec![6], flags: 4, clock: true })),
        apparmor: false,
        selinux: false,
    }
}

pub fn exec_facts() -> ExecFacts {
    ExecFacts {
        key: "e".into(),
        who: facts().who,
        target: OTHER,
        namespaces: Namespaces::MOUNT.and(Namespaces::NETWORK),
        own_pid: true,
        cgroup: Some(CgroupJoin::V2(TASKS)),
        streams: facts().streams,
        seccomp: facts().seccomp,
        apparmor: false,
        selinux: false,
    }
}

pub fn null(bind: Option<Slot>) -> DeviceFact {
    let kind = 0o020_000;
    DeviceFact { path: "/dev/null".into(), kind, major: 1, minor: 3, mode: 0o666, uid: 0, gid: 0, bind }
}

pub fn maps() -> IdMaps {
    let range = IdRange { inside: 0, outside: 100_000, length: 65_536 };
    IdMaps { uids: vec![range], gids: vec![range] }
}

/// Compiles a plain container after a change of its wish and facts.
pub fn plan(change: impl FnOnce(&mut Spec, &mut Facts)) -> Compiled {
    let (mut spec, mut facts) = (spec(), facts());
    change(&mut spec, &mut facts);
    while facts.mounts.len() < spec.mounts.len() {
        let next = &spec.mounts[facts.mounts.len()];
        facts.mounts.push(match next.kind {
            MountKind::Tmpfs { .. } => MountFact::Made { mode: None },
            _ => MountFact::Detached { mount: Slot(40 + facts.mounts.len() as u16), directory: true },
        });
    }
    compile(&spec, &facts).expect("compiles")
}

/// The steps of such a container.
pub fn steps(change: impl FnOnce(&mut Spec, &mut Facts)) -> Vec<Step> {
    plan(change).plan.steps
}

/// Where the one step that fits stands.
#[track_caller]
pub fn at(steps: &[Step], fits: impl Fn(&Step) -> bool) -> usize {
    let found: Vec<usize> = (0..steps.len()).filter(|index| fits(&steps[*index])).collect();
    assert_eq!(found.len(), 1, "{found:?} in {steps:#?}");
    found[0]
}

/// The mount step at a path.
#[track_caller]
pub fn mounted<'a>(steps: &'a [Step], path: &str) -> &'a Step {
    &steps[at(steps, |step| target(step) == Some(path.as_ref()))]
}

pub fn target(step: &Step) -> Option<&std::path::Path> {
    match step {
        Step::Attach { target, .. } | Step::NewMount { target, .. } | Step::TmpfsCopyUp { target, .. } => {
            Some(&target.path)
        }
        _ => None,
    }
}
