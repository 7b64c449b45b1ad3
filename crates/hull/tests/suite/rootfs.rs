//! What the container stands on: overlay, /proc, /sys, /dev, and what is hidden.

use std::fs;

use hull_testkit::{Host, on_v2};

#[test]
fn writes_stay_in_the_container() {
    let host = Host::new();
    host.hull(&[
        "run",
        "--name",
        "writer",
        "busybox",
        "sh",
        "-c",
        "test -e /root/file && exit 7; echo mine > /root/file; rm /bin/vi",
    ])
    .ok();
    assert_eq!(host.sh(&[], "ls /root/file 2>/dev/null; ls /bin/vi"), "/bin/vi");
    assert_eq!(host.hull(&["start", "-a", "writer"]).code, 7, "and are there when it starts again");
}

#[test]
fn the_hosts_mount_table_never_shows_a_container() {
    let host = Host::new();
    let table = || fs::read_to_string(format!("/proc/{}/mountinfo", host.engine_pid())).expect("mountinfo");
    let before = table();
    let id = host.sleeper(&["-v", "/tmp:/data", "--tmpfs", "/scratch"]);
    assert_eq!(before, table(), "while it runs");
    host.hull(&["exec", &id, "true"]).ok();
    host.hull(&["rm", "-f", &id]).ok();
    assert_eq!(before, table(), "after it was removed");
}

#[test]
fn the_mounts_inside_are_those_of_a_container() {
    let host = Host::new();
    let table = host.sh(&[], "cat /proc/mounts");
    for (target, fstype, option) in [
        ("/", "overlay", "rw"),
        ("/proc", "proc", "nosuid"),
        ("/dev", "tmpfs", "nosuid"),
        ("/dev/pts", "devpts", "noexec"),
        ("/dev/mqueue", "mqueue", "noexec"),
        ("/dev/shm", "tmpfs", "size=65536k"),
        ("/sys", "sysfs", "ro"),
    ] {
        let line = table
            .lines()
            .find(|l| l.split(' ').nth(1) == Some(target))
            .unwrap_or_else(|| panic!("no {target}:\n{table}"));
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[2], fstype, "{line}");
        assert!(fields[3].split(',').any(|o| o == option), "{option}: {line}");
    }
}

#[test]
fn the_default_devices_and_links_are_there() {
    let host = Host::new();
    let list = host.sh(&[], "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' $d; done; for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done");
    let expected = "null 1:3 666\nzero 1:5 666\nfull 1:7 666\nrandom 1:8 666\nurandom 1:9 666\ntty 5:0 666\nfd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx";
    assert_eq!(list, expected);
}

#[test]
fn shm_size_is_as_asked() {
    let host = Host::new();
    assert!(host.sh(&["--shm-size=2m"], "grep /dev/shm /proc/mounts").contains("size=2048k"));
}

#[test]
fn the_cgroup_mount_is_read_only_and_shows_only_its_own() {
    let host = Host::new();
    let (file, list) = if on_v2() {
        ("/sys/fs/cgroup/cgroup.procs", "cgroup.procs")
    } else {
        ("/sys/fs/cgroup/memory/tasks", "tasks")
    };
    let seen = host.sh(
        &[],
        &format!("cat {file} | head -1; (echo 1 > {file}) 2>&1; ls {}", file.rsplit_once('/').expect("a path").0),
    );
    assert!(seen.starts_with('1'), "{seen}");
    assert!(seen.contains("Read-only file system"), "{seen}");
    assert!(seen.contains(list), "{seen}");
    assert!(host.sh(&[], "cat /proc/self/cgroup").lines().all(|l| l.ends_with(":/")), "the cgroup namespace roots it");
}

#[test]
fn a_read_only_root_is_read_only_but_its_mounts_are_not() {
    let host = Host::new();
    let seen =
        host.sh(&["--read-only", "--tmpfs", "/scratch"], "touch /x 2>&1; touch /scratch/x /dev/shm/x && echo fine");
    assert!(seen.contains("Read-only file system") && seen.ends_with("fine"), "{seen}");
}

#[test]
fn masked_paths_show_nothing_and_read_only_ones_refuse() {
    let host = Host::new();
    let seen = host.sh(&[], "cat /proc/kcore 2>/dev/null | wc -c; cat /proc/keys 2>/dev/null | wc -c; ls /sys/firmware | wc -l; for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do test -e $f && (echo x > $f) 2>&1; done; true");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(&lines[..3], ["0", "0", "0"], "{seen}");
    assert!(lines.len() > 3 && lines[3..].iter().all(|l| l.contains("Read-only file system")), "{seen}");
    let open = host.sh(&["--security-opt", "systempaths=unconfined"], "cat /proc/mounts");
    assert!(!open.contains(" /proc/"), "{open}");
}

#[test]
fn hosts_resolv_conf_and_hostname_are_files_of_the_container() {
    let host = Host::new();
    let seen = host.sh(
        &["--hostname", "me", "--add-host", "db:10.1.2.3", "--dns", "192.0.2.1", "--dns-search", "example.test"],
        "cat /etc/hosts /etc/resolv.conf",
    );
    assert!(seen.contains("127.0.0.1\tlocalhost"), "{seen}");
    assert!(seen.contains("10.1.2.3\tdb"), "{seen}");
    assert!(seen.contains("nameserver 192.0.2.1") && seen.contains("search example.test"), "{seen}");
    assert_eq!(
        host.sh(&[], "echo '1.2.3.4 x' >> /etc/hosts && grep -c '1.2.3.4 x' /etc/hosts"),
        "1",
        "and can be written"
    );
}

#[test]
fn privileged_means_the_machine() {
    let host = Host::new();
    let seen = host.sh(&["--privileged"], "grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; ls /dev | wc -l; touch /sys/fs/cgroup/x 2>&1; grep ' /sys ' /proc/mounts");
    let devices: u32 = seen.lines().nth(2).and_then(|l| l.parse().ok()).expect("a count");
    assert!(devices > 25, "{seen}");
    assert!(seen.contains("Seccomp:\t0"), "{seen}");
    assert!(seen.contains("sysfs rw"), "{seen}");
}

/// How programs find out that they are in a container. COMPAT(docker 28): its init layer, which is no change of the container's.
#[test]
fn what_tells_programs_that_they_are_in_a_container_is_there_and_is_no_change() {
    let host = Host::new();
    let look = "stat -c '%a %s %u' /.dockerenv; readlink /etc/mtab; grep -c ' / overlay ' /etc/mtab";
    for flags in
        [&["--name", "plain"][..], &["--name", "shifted", "--userns", "auto"], &["--name", "fixed", "--read-only"]]
    {
        assert_eq!(
            host.hull(&[&["run"], flags, &["busybox", "sh", "-c", look]].concat()).ok(),
            "755 0 0\n/proc/mounts\n1"
        );
        assert_eq!(host.hull(&["diff", flags[1]]).ok(), "");
    }
    host.hull(&["create", "--name", "never", "busybox", "true"]).ok();
    for name in ["plain", "never"] {
        let archive = host.path().join("exported.tar");
        host.hull(&["export", "-o", &archive.to_string_lossy(), name]).ok();
        let list = hull_testkit::run(std::process::Command::new("tar").arg("tvf").arg(&archive), b"").ok();
        for wanted in [" .dockerenv", " dev/console", " dev/pts/", " etc/mtab -> /proc/mounts", " etc/hosts"] {
            assert!(list.lines().any(|line| line.ends_with(wanted)), "{name}{wanted}: {list}");
        }
    }
    // An image made of one has none of it of its own, and one that was removed stays away.
    host.hull(&["commit", "plain", "committed"]).ok();
    assert_eq!(host.hull(&["history", "-q", "committed"]).ok().lines().count(), 2);
    host.hull(&["run", "--name", "without", "busybox", "sh", "-c", "test -e /.dockerenv && rm /.dockerenv"]).ok();
    assert_eq!(host.hull(&["start", "-a", "without"]).code, 1, "it is gone");
    for name in ["plain", "shifted", "fixed", "never", "without"] {
        host.hull(&["rm", name]).ok();
    }
    host.hull(&["rmi", "committed"]).ok();
}
