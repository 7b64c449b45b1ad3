//! A directory tree that stands in for a version 2 mount, so that the exact writes can be read back.

use std::path::{Path, PathBuf};

use crate::host::Host;
use crate::kernfs::Dir;
use crate::limits::{DeviceRate, Limits};
use crate::parent::Roots;

struct Fake {
    dir: tempfile::TempDir,
}

const FILES: [&str; 14] = [
    "memory.max",
    "memory.swap.max",
    "memory.low",
    "cpu.max",
    "cpu.weight",
    "cpuset.cpus",
    "cpuset.mems",
    "pids.max",
    "io.max",
    "io.bfq.weight",
    "cgroup.kill",
    "cgroup.freeze",
    "cgroup.procs",
    "memory.events",
];

impl Fake {
    fn new() -> Self {
        let fake = Self { dir: tempfile::tempdir().unwrap() };
        for group in [".", "hull"] {
            fake.put(group, "cgroup.controllers", "cpuset cpu io memory pids");
            fake.put(group, "cgroup.subtree_control", "");
            fake.put(group, "cgroup.procs", "");
        }
        for file in FILES {
            fake.put("hull/box", file, "");
        }
        fake
    }

    fn path(&self, group: &str, file: &str) -> PathBuf {
        self.dir.path().join(group).join(file)
    }

    fn put(&self, group: &str, file: &str, text: &str) {
        let path = self.path(group, file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn get(&self, group: &str, file: &str) -> String {
        std::fs::read_to_string(self.path(group, file)).unwrap()
    }

    fn host(&self) -> Host {
        let base = Dir::open(Path::new(self.dir.path())).unwrap();
        let host = Host::with_roots(Roots::V2 { base, delegated: None });
        host.assume(crate::Support {
            swap_limit: true,
            weight_file: Some("io.bfq.weight"),
            ..crate::Support::default()
        });
        host
    }
}

#[test]
fn limits_become_these_writes() {
    let fake = Fake::new();
    let rate = |rate| vec![DeviceRate { major: 8, minor: 0, rate }];
    let limits = Limits {
        memory: Some(64 << 20),
        memory_swap: Some(64 << 20),
        memory_reservation: Some(32 << 20),
        nano_cpus: Some(1_500_000_000),
        cpu_shares: Some(2048),
        cpuset_cpus: Some("0-1".into()),
        pids: Some(12),
        blkio_weight: Some(300),
        blkio_read_bps: rate(1024),
        blkio_write_iops: rate(9),
        ..Limits::default()
    };
    let mut group = fake.host().open("hull", "box").unwrap();
    group.update(&limits).unwrap();
    for (file, want) in [
        ("memory.max", "67108864"),
        ("memory.swap.max", "0"),
        ("memory.low", "33554432"),
        ("cpu.max", "150000 100000"),
        ("cpu.weight", "174"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", ""),
        ("pids.max", "12"),
        ("io.bfq.weight", "300"),
        ("io.max", "8:0 rbps=10248:0 wiops=9"),
    ] {
        assert_eq!(fake.get("hull/box", file), want, "{file}");
    }
}

#[test]
fn only_controllers_that_exist_are_handed_down_and_only_when_needed() {
    let fake = Fake::new();
    fake.put(".", "cgroup.subtree_control", "pids");
    fake.put("hull", "cgroup.controllers", "cpu memory pids");
    let host = fake.host();
    host.create("hull", "new", &Limits::default()).unwrap();
    // The stand-in is a plain file: a write replaces its beginning.
    assert_eq!(fake.get(".", "cgroup.subtree_control"), "+cpu +io +memory");
    assert_eq!(fake.get("hull", "cgroup.subtree_control"), "+cpu +memory +pids");
    let want = Limits { cpuset_cpus: Some("0".into()), ..Limits::default() };
    // The stand-in makes no files, so the write fails; the controller was asked for first.
    assert!(host.create("hull", "set", &want).is_err());
    assert!(fake.get(".", "cgroup.subtree_control").contains("+cpuset"));
    assert!(!fake.path("hull", "set").exists(), "a failed group is undone");
}

#[test]
fn a_threaded_parent_is_refused() {
    let fake = Fake::new();
    fake.put("hull", "cgroup.type", "threaded\n");
    let error = fake.host().create("hull", "x", &Limits::default());
    assert!(error.unwrap_err().to_string().contains("threaded cgroup"));
}

#[test]
fn counters_and_kill() {
    let fake = Fake::new();
    fake.put("hull/box", "memory.events", "low 0\noom 3\noom_kill 2\n");
    fake.put("hull/box", "memory.current", "4096\n");
    fake.put("hull/box", "memory.max", "max\n");
    fake.put("hull/box", "pids.current", "3\n");
    let group = fake.host().open("hull", "box").unwrap();
    assert_eq!(group.oom_kills().unwrap(), 2);
    let stats = group.stats().unwrap();
    assert_eq!((stats.memory.usage, stats.pids.current), (4096, 3));
    assert!(stats.memory.limit > 4096, "no limit reads as the machine's");
    group.kill().unwrap();
    assert_eq!(fake.get("hull/box", "cgroup.kill"), "1");
}
