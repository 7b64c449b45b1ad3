//! Under systemd: the cgroup of a unit with `Delegate=yes` is found and used, and nothing outside it.
//!
//! Runs only where that is so: `cargo xtask vm systemd` says it by `HULL_TEST_DELEGATED`.

use std::path::{Path, PathBuf};

use hull_cgroup::{Host, Limits, Version};

/// The cgroup of this process as systemd knows it, before anything is moved.
fn own() -> PathBuf {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
    Path::new("/sys/fs/cgroup").join(path)
}

#[test]
fn containers_of_a_delegated_unit_live_in_it_beside_the_engine() {
    if std::env::var_os("HULL_TEST_DELEGATED").is_none() {
        eprintln!("skipped: needs a delegated unit (cargo xtask vm systemd)");
        return;
    }
    let unit = own();
    assert!(unit.to_string_lossy().ends_with(".service"), "{unit:?}");
    let outside = |file: &str| std::fs::read_to_string(unit.parent().unwrap().join(file)).unwrap();
    let before = outside("cgroup.subtree_control");

    let host = Host::detect().unwrap();
    assert_eq!((host.version(), host.is_delegated()), (Version::V2, true));
    let support = host.support();
    assert!(support.memory_limit && support.pids && support.cpu_cfs, "{support:?}");
    let limits = Limits { memory: Some(64 << 20), pids: Some(7), ..Limits::default() };
    let group = host.create("hull-test", "box", &limits).unwrap();
    assert_eq!(std::fs::read_to_string(unit.join("hull-test/box/pids.max")).unwrap(), "7\n");
    assert_eq!(std::fs::read_to_string(unit.join("hull-test/box/memory.max")).unwrap(), "67108864\n");

    assert_eq!(Path::new("/sys/fs/cgroup").join(group.path().strip_prefix("/").unwrap()), unit.join("hull-test/box"));

    // A cgroup that hands controllers down has no process of its own: this one stands in a leaf now.
    assert_eq!(own(), unit.join("hull-engine"));
    assert_eq!(std::fs::read_to_string(unit.join("cgroup.procs")).unwrap(), "");
    // An engine that is started again from there finds the same place.
    let again = Host::detect().unwrap();
    assert!(again.is_delegated());
    assert_eq!(again.list("hull-test").unwrap(), ["box"]);
    assert!(!Path::new("/sys/fs/cgroup/hull-test").exists());
    assert_eq!(outside("cgroup.subtree_control"), before, "what is above is systemd's");

    group.remove().unwrap();
    assert!(again.remove_parent("hull-test").unwrap());
    assert!(!unit.join("hull-test").exists());
}
