//! Fixtures, and starts up to the plan against the real kernel.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hull_launch::plan::Step;
use hull_launch::spec::{LogWish, Lsm, NamespaceWishes, Process, Resolver, SeccompWish, Shm, Spec, Stop};
use hull_types::{ContainerId, Fault};

use crate::prepare::{HostFacts, IdRanges, Io, Parts, Peer, Peers, Prepared, Rootfs, StartInput};

/// A plain wish.
pub(crate) fn spec() -> Spec {
    Spec {
        process: Process {
            argv: vec!["/bin/true".into()],
            env: vec!["PATH=/bin".into()],
            cwd: PathBuf::from("/"),
            user: String::new(),
            groups: Vec::new(),
            tty: false,
            stdin: false,
            capabilities: 0,
            seccomp: SeccompWish::Unconfined,
            no_new_privileges: false,
            lsm: Lsm::default(),
            rlimits: Vec::new(),
            oom_score_adj: None,
            umask: None,
        },
        hostname: "box".into(),
        domainname: None,
        namespaces: NamespaceWishes::default(),
        privileged: false,
        writable_cgroups: false,
        init: false,
        readonly_root: false,
        mounts: Vec::new(),
        shm: Shm::Own { size: 1 << 20 },
        devices: Vec::new(),
        device_rules: Vec::new(),
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        sysctls: Default::default(),
        limits: Default::default(),
        cgroup_parent: None,
        resolver: Resolver::default(),
        stop: Stop { signal: 15, timeout: 10 },
        log: LogWish { driver: "json-file".into(), max_bytes: None, packed_after: None, cache_disabled: false },
    }
}

struct Nobody;

impl Peers for Nobody {
    fn running(&self, _: &str) -> Option<Peer> {
        None
    }
}

/// Parts of an engine with a root of its own.
fn parts(root: &Path) -> Parts {
    Parts {
        root: root.to_owned(),
        instance: format!("hull-test-{}", ContainerId::new_random().short()),
        snapshots: Arc::new(hull_snapshot::Snapshots::open(root).unwrap()),
        volumes: Arc::new(
            hull_volume::Volumes::open(root, hull_records::Db::open(root.join("state.db")).unwrap()).unwrap().0,
        ),
        cgroups: Arc::new(hull_cgroup::Host::detect().unwrap()),
        netns: Arc::new(hull_network::Pool::new()),
        host: HostFacts::read().unwrap(),
        ranges: IdRanges::new(),
        filters: hull_confine::seccomp::Cache::new(),
    }
}

/// Starts with the machine's own root file system; returns what came out and what is left of cgroups.
fn attempt(spec: &Spec) -> (Result<Prepared, Fault>, Vec<String>) {
    let root = tempfile::tempdir().unwrap();
    let parts = parts(root.path());
    let id = ContainerId::new_random();
    let null = || OwnedFd::from(File::open("/dev/null").unwrap());
    let input = StartInput {
        endpoints: &[],
        gateway: &[],
        ready: &|| None,
        wire: &|_| Ok(()),
        id: &id,
        name: "test",
        spec,
        rootfs: Rootfs { base: hull_snapshot::Base::Host, slot: id.to_string(), ephemeral: true },
        io: Io::Streams { stdin: null(), stdout: null(), stderr: null() },
        laps: &mut crate::story::Laps::default(),
        peers: &Nobody,
        userns: &|_| Err(Fault::internal("no keeper")),
    };
    let outcome = super::start(&parts, input);
    let groups = parts.cgroups.list(&parts.instance).unwrap();
    if let Ok(group) = parts.cgroups.open(&parts.instance, id.as_str()) {
        group.remove().unwrap();
    }
    parts.cgroups.remove_parent(&parts.instance).unwrap();
    (outcome, groups)
}

#[test]
fn a_start_gathers_every_descriptor_that_its_plan_names() {
    let mut spec = spec();
    spec.process.seccomp = SeccompWish::Default;
    let bind = hull_launch::spec::MountKind::Bind {
        source: "/etc".into(),
        create: false,
        recursive: true,
        readonly: Default::default(),
        propagation: Default::default(),
        idmap: Default::default(),
    };
    spec.mounts = vec![hull_launch::spec::MountWish { target: "/mnt".into(), kind: bind }];
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (outcome, groups) = attempt(&spec);
    let prepared = outcome.unwrap();
    assert_eq!(groups.len(), 1);
    assert!(prepared.plan.steps.contains(&Step::PivotRoot));
    let slots = format!("{:?}", prepared.plan);
    let named = slots.split("Slot(").skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok());
    let highest: usize = named.max().unwrap();
    assert!(highest < prepared.fds.len(), "{highest} of {}", prepared.fds.len());
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), table, "nothing is attached");
}

#[test]
fn a_start_that_fails_leaves_no_cgroup() {
    let mut late = spec();
    late.process.argv = vec!["a\0b".into()];
    let mut early = spec();
    early.process.user = "nobody-of-this-name".into();
    let mut absent = spec();
    absent.namespaces.net = hull_launch::spec::NamespaceWish::Container("f".repeat(64));
    for (spec, words) in [(late, "NUL"), (early, "nobody-of-this-name"), (absent, "non running container")] {
        let (outcome, groups) = attempt(&spec);
        let fault = outcome.err().expect(words);
        assert!(fault.summary.contains(words), "{fault}");
        assert!(groups.is_empty(), "{groups:?}");
    }
}
