//! Real cgroups on the host that runs the test, as root, below a parent of the test's own name.
//! Nothing is moved that the test did not start.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use hull_cgroup::{Access, Cgroup, DeviceKind, DeviceRule, Host, Join, Limits, Purpose, Version};

/// A parent that is gone after the test, whatever happens in it.
struct Parent {
    host: Host,
    name: String,
}

impl Parent {
    /// `None` without root: there is nothing to test then.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        Some(Self { host: Host::detect().unwrap(), name: format!("hull-test-{}-{serial}", std::process::id()) })
    }

    fn create(&self, id: &str, limits: &Limits) -> Cgroup {
        self.host.create(&self.name, id, limits).unwrap()
    }

    /// Where a controller's file of a group is.
    fn file(&self, controller: &str, id: &str, file: &str) -> PathBuf {
        let root = match self.host.hierarchies().find(|h| h.carries(controller)) {
            Some(hierarchy) => hierarchy.mountpoint.clone(),
            None => self.host.directory().unwrap().to_owned(),
        };
        root.join(&self.name).join(id).join(file)
    }

    fn read(&self, controller: &str, id: &str, file: &str) -> String {
        let text = std::fs::read_to_string(self.file(controller, id, file)).unwrap();
        text.trim().to_owned()
    }

    fn is_v1(&self) -> bool {
        self.host.version() == Version::V1
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        for id in self.host.list(&self.name).unwrap() {
            self.host.open(&self.name, &id).unwrap().remove().unwrap();
        }
        assert!(self.host.remove_parent(&self.name).unwrap());
    }
}

/// Starts a shell that waits for a line, moves it, and lets it go on.
fn run_in(group: &Cgroup, script: &str) -> Child {
    let mut child = Command::new("sh")
        .args(["-c", &format!("read go; {script}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let enter = |file: OwnedFd| std::fs::File::from(file).write_all(pid.as_bytes()).unwrap();
    match group.join().unwrap() {
        Join::V1(tasks) => tasks.into_iter().for_each(enter),
        Join::V2(dir) => {
            let name = format!("/proc/self/fd/{}/cgroup.procs", raw(&dir));
            std::fs::write(name, &pid).unwrap();
        }
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    child
}

fn raw(fd: &OwnedFd) -> i32 {
    std::os::fd::AsRawFd::as_raw_fd(fd)
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not within a minute");
}

#[test]
fn limits_show_in_the_kernels_files() {
    let Some(parent) = Parent::new() else { return };
    let limits = Limits {
        memory: Some(64 << 20),
        cpu_quota: Some(50_000),
        cpu_shares: Some(512),
        pids: Some(33),
        cpuset_cpus: Some("0".into()),
        ..Limits::default()
    };
    let limits = limits.check(&parent.host, Purpose::Create).unwrap().limits;
    parent.create("a", &limits);
    let read = |controller, file| parent.read(controller, "a", file);
    assert_eq!(read("pids", "pids.max"), "33");
    assert_eq!(read("cpuset", "cpuset.cpus"), "0");
    if parent.is_v1() {
        assert_eq!(read("memory", "memory.limit_in_bytes"), "67108864");
        if parent.host.support().swap_limit {
            assert_eq!(read("memory", "memory.memsw.limit_in_bytes"), "134217728");
        }
        assert_eq!(read("cpu", "cpu.cfs_quota_us"), "50000");
        assert_eq!(read("cpu", "cpu.shares"), "512");
        assert_ne!(read("cpuset", "cpuset.mems"), "");
    } else {
        assert_eq!(read("memory", "memory.max"), "67108864");
        assert_eq!(read("cpu", "cpu.max"), "50000 100000");
        assert_eq!(read("cpu", "cpu.weight"), "59");
    }
}

#[test]
fn an_update_raises_and_lowers_memory_and_swap() {
    let Some(parent) = Parent::new() else { return };
    let mut group = parent.create("u", &Limits::default());
    for mib in [64, 512, 32, 100] {
        let limits = Limits { memory: Some(mib << 20), memory_swap: Some(mib << 21), ..Limits::default() };
        group.update(&limits).unwrap();
        let file = if parent.is_v1() { "memory.limit_in_bytes" } else { "memory.max" };
        assert_eq!(parent.read("memory", "u", file), (mib << 20).to_string());
    }
    let lifted = Limits { memory: Some(-1), pids: Some(-1), ..Limits::default() };
    group.update(&lifted).unwrap();
    assert_eq!(parent.read("pids", "u", "pids.max"), "max");
}

#[test]
fn a_cpuset_given_later_catches_the_running_processes() {
    let Some(parent) = Parent::new() else { return };
    let mut group = parent.create("late", &Limits::default());
    let mut child = run_in(&group, "sleep 100 & wait");
    wait_until(|| group.pids().unwrap().len() == 2);
    let limits = Limits { cpuset_cpus: Some("0".into()), ..Limits::default() };
    group.update(&limits).unwrap();
    for pid in group.pids().unwrap() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{pid}");
    }
    group.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_frozen_group_stands_still_and_dies_when_killed() {
    let Some(parent) = Parent::new() else { return };
    let group = parent.create("f", &Limits::default());
    let mut child = run_in(&group, "while :; do sleep 0.01; done");
    group.freeze(true).unwrap();
    assert!(group.is_frozen().unwrap());
    group.freeze(false).unwrap();
    assert!(!group.is_frozen().unwrap());
    group.freeze(true).unwrap();
    group.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
}

#[test]
fn removal_kills_what_is_inside_and_nested() {
    let Some(parent) = Parent::new() else { return };
    let group = parent.create("r", &Limits::default());
    let mut child = run_in(&group, "sleep 100 & wait");
    let nested = parent.file("pids", "r", "inner/innermost");
    std::fs::create_dir_all(&nested).unwrap();
    std::fs::write(nested.join("cgroup.procs"), child.id().to_string()).unwrap();
    assert!(group.pids().unwrap().contains(&(child.id() as i32)));
    group.freeze(true).unwrap();
    // A zombie that nobody reaps must not keep the directory.
    group.remove().unwrap();
    child.wait().unwrap();
    assert!(!parent.file("pids", "r", "").exists());
    assert_eq!(parent.host.list(&parent.name).unwrap().len(), 0);
    assert!(parent.host.open(&parent.name, "r").is_err());
}

#[test]
fn statistics_and_the_oom_counter_move() {
    let Some(parent) = Parent::new() else { return };
    let limits = Limits { memory: Some(8 << 20), memory_swap: Some(8 << 20), pids: Some(20), ..Limits::default() };
    let group = parent.create("o", &limits);
    let watch = group.oom_watch().unwrap();
    assert_eq!(group.oom_kills().unwrap(), 0);
    let mut child = run_in(&group, "x=$(head -c 64m /dev/zero | tr '\\0' x); sleep 100");
    wait_until(|| group.oom_kills().unwrap() > 0);
    let mut fds = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
    let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&second)).unwrap(), 1);
    let stats = group.stats().unwrap();
    assert_eq!(stats.memory.limit, 8 << 20);
    assert_eq!(stats.pids.limit, Some(20));
    assert!(stats.cpu.usage_ns > 0);
    assert!(stats.memory.stat.contains_key("pgfault"));
    group.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_device_outside_the_list_is_refused_by_the_kernel() {
    let Some(parent) = Parent::new() else { return };
    let null = DeviceRule { allow: true, kind: DeviceKind::Char, major: Some(1), minor: Some(3), access: Access::ALL };
    let limits = Limits { devices: Some(vec![null]), ..Limits::default() };
    let group = parent.create("d", &limits);
    let script = ": </dev/null && echo null; (: </dev/zero) && echo zero; true";
    let output = run_in(&group, script).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\n");
    let free = parent.create("free", &Limits::default());
    let output = run_in(&free, script).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\nzero\n");
}

/// A v2 mount is needed, which a hybrid host has beside its v1 hierarchies.
#[test]
fn the_kernel_accepts_and_obeys_the_device_program() {
    let Some(parent) = Parent::new() else { return };
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let unified = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let Some(mountpoint) = unified.and_then(|line| line.split(' ').nth(4)) else {
        eprintln!("skipped: no cgroup2 mount");
        return;
    };
    let host = Host::on_v2(Path::new(mountpoint)).unwrap();
    let parent = Parent { host, name: parent.name.clone() + "-v2" };
    let rule = |allow, kind, major, minor, access| DeviceRule { allow, kind, major, minor, access };
    let rules = vec![
        rule(true, DeviceKind::Char, None, None, Access::MKNOD),
        rule(true, DeviceKind::Char, Some(1), Some(3), Access::READ),
        rule(true, DeviceKind::All, Some(1), Some(5), Access::ALL),
        rule(false, DeviceKind::Char, Some(1), Some(5), Access::WRITE),
    ];
    let limits = Limits { devices: Some(rules), ..Limits::default() };
    let group = parent.create("p", &limits);
    let script = "for f in null zero; do (: </dev/$f) && echo r$f; (: >/dev/$f) && echo w$f; done; \
        (: </dev/full) && echo full; true";
    let output = run_in(&group, script).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "rnull\nrzero\n");
    // Freezing, killing and removing are the same files on every v2 mount.
    let mut child = run_in(&group, "sleep 100");
    group.freeze(true).unwrap();
    assert!(group.is_frozen().unwrap());
    group.kill().unwrap();
    child.wait().unwrap();
    group.remove().unwrap();
}

#[test]
fn spares_change_nothing_but_the_time() {
    let Some(parent) = Parent::new() else { return };
    parent.host.refill(&parent.name, 2).unwrap();
    assert!(parent.host.list(&parent.name).unwrap().is_empty());
    let limits = Limits { pids: Some(5), devices: Some(Vec::new()), ..Limits::default() };
    let shape = |id: &str| {
        let group = parent.create(id, &limits);
        assert_eq!(parent.read("pids", id, "pids.max"), "5");
        let names: Vec<_> = group.hierarchies().map(|h| h.controllers.clone()).collect();
        group.remove().unwrap();
        names
    };
    assert_eq!(shape("one"), shape("two"));
    assert_eq!(shape("one"), shape("three"));
    // Another engine's spares are swept, ours are kept.
    parent.host.refill(&parent.name, 1).unwrap();
    let orphan = parent.file("pids", ".spare-0-0", "");
    if parent.is_v1() {
        std::fs::create_dir(&orphan).unwrap();
        parent.host.sweep_spares(&parent.name).unwrap();
        assert!(!orphan.exists());
    }
    shape("four");
}

#[test]
fn a_spare_has_the_rules_of_its_container_and_of_no_other() {
    let Some(parent) = Parent::new().filter(Parent::is_v1) else { return };
    let rule = |minor| DeviceRule {
        allow: true,
        kind: DeviceKind::Char,
        major: Some(1),
        minor: Some(minor),
        access: Access::ALL,
    };
    let rules = |list: &[u32]| Some(list.iter().map(|minor| rule(*minor)).collect::<Vec<_>>());
    for (devices, want) in [
        (rules(&[3]), "c 1:3 rwm"),
        (rules(&[3]), "c 1:3 rwm"),
        (rules(&[5]), "c 1:5 rwm"),
        (None, "a *:* rwm"),
        (rules(&[]), ""),
        (None, "a *:* rwm"),
        (rules(&[3]), "c 1:3 rwm"),
    ] {
        parent.host.refill(&parent.name, 1).unwrap();
        let group = parent.create("x", &Limits { devices: devices.clone(), ..Limits::default() });
        assert_eq!(parent.read("devices", "x", "devices.list"), want, "{devices:?}");
        let mut child = run_in(&group, "sleep 100");
        group.kill().unwrap();
        child.wait().unwrap();
        group.remove().unwrap();
    }
}

#[test]
fn a_leftover_is_replaced_but_a_living_group_is_not() {
    let Some(parent) = Parent::new() else { return };
    let limits = Limits { pids: Some(5), ..Limits::default() };
    let group = parent.create("x", &limits);
    let group = {
        drop(group);
        parent.create("x", &Limits::default())
    };
    assert_eq!(parent.read("pids", "x", "pids.max"), "max");
    let mut child = run_in(&group, "sleep 100");
    assert!(parent.host.create(&parent.name, "x", &limits).is_err());
    assert!(child.try_wait().unwrap().is_none(), "nobody was killed");
    group.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_the_kernel_refuses_leaves_nothing() {
    let Some(parent) = Parent::new() else { return };
    let limits = Limits { cpu_period: Some(1), ..Limits::default() };
    let error = parent.host.create(&parent.name, "bad", &limits).unwrap_err();
    assert!(error.to_string().contains("cpu"), "{error}");
    assert!(parent.host.list(&parent.name).unwrap().is_empty());
}

#[test]
fn a_parent_goes_with_its_last_group_and_what_was_there_before_stays() {
    let Some(parent) = Parent::new() else { return };
    // The first directory is somebody else's: nothing says that it was made for a group.
    let before = parent.create("x", &Limits::default());
    before.remove().unwrap();
    let somebody = parent.file("pids", "else", "");
    std::fs::create_dir(&somebody).unwrap();
    let nested = format!("{}/else/made/deep", parent.name);
    let is_there = |path: &str| parent.file("pids", path, "").is_dir();
    let (one, two) = (
        parent.host.create(&nested, "one", &Limits::default()),
        parent.host.create(&nested, "two", &Limits::default()),
    );
    one.unwrap().remove().unwrap();
    parent.host.leave_parent(&nested).unwrap();
    assert!(is_there("else/made/deep/two"), "a group is still in it");
    two.unwrap().remove().unwrap();
    parent.host.leave_parent(&nested).unwrap();
    assert!(!is_there("else/made") && is_there("else"), "what was made goes, what was there stays");
    // The next group in it finds all anew.
    parent.host.create(&nested, "three", &Limits::default()).unwrap().remove().unwrap();
    parent.host.leave_parent(&nested).unwrap();
    assert!(!is_there("else/made"));
    for hierarchy in
        parent.host.hierarchies().map(|h| h.mountpoint.clone()).chain(parent.host.directory().map(Path::to_owned))
    {
        let _ = std::fs::remove_dir(hierarchy.join(&parent.name).join("else"));
    }
}
