//! Every kind of namespace: new, the host's, another container's.

use std::fs;

use hull_testkit::{Host, status_field};

const KINDS: [&str; 6] = ["pid", "mnt", "uts", "ipc", "net", "cgroup"];

fn namespace(pid: u32, kind: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("the process lives");
    link.to_string_lossy().into_owned()
}

#[test]
fn a_container_has_namespaces_of_its_own() {
    let host = Host::new();
    let (one, two) = (host.sleeper(&[]), host.sleeper(&[]));
    let (one, two, engine) = (host.pid(&one), host.pid(&two), host.engine_pid());
    for kind in KINDS {
        assert_ne!(namespace(one, kind), namespace(engine, kind), "{kind} is the host's");
        assert_ne!(namespace(one, kind), namespace(two, kind), "{kind} is another container's");
    }
    assert_eq!(namespace(one, "user"), namespace(engine, "user"), "users are the host's unless asked for");
}

#[test]
fn pid_1_is_a_child_of_the_keeper_and_alone_inside() {
    let host = Host::new();
    let id = host.sleeper(&[]);
    let pid = host.pid(&id);
    assert_eq!(status_field(pid, "PPid"), host.keeper_pid().to_string());
    assert_eq!(status_field(pid, "NSpid"), format!("{pid}\t1"));
    let seen = host.sh(&[], "ps -o pid,comm");
    assert_eq!(seen.lines().count(), 2, "{seen}");
}

#[test]
fn each_namespace_can_be_the_hosts() {
    let host = Host::new();
    for (flag, kind) in [
        ("--pid=host", "pid"),
        ("--ipc=host", "ipc"),
        ("--uts=host", "uts"),
        ("--network=host", "net"),
        ("--cgroupns=host", "cgroup"),
    ] {
        let id = host.sleeper(&[flag]);
        let pid = host.pid(&id);
        assert_eq!(namespace(pid, kind), namespace(host.engine_pid(), kind), "{flag}");
        host.hull(&["rm", "-f", &id]).ok();
    }
}

#[test]
fn in_the_hosts_cgroup_namespace_the_hosts_groups_are_seen_and_its_mount_stays_as_it_is() {
    let host = Host::new();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let before = mounts();
    for flags in [&["--cgroupns=host"][..], &["--cgroupns=host", "--privileged"]] {
        let id = host.sleeper(flags);
        // Other groups come and go while it looks.
        let look = "find /sys/fs/cgroup -type d -name \"$(cat /etc/hostname)*\" 2>/dev/null; true";
        assert!(host.hull(&["exec", &id, "sh", "-c", look]).ok().contains(&id), "{flags:?}");
        let line = host.hull(&["exec", &id, "grep", "-m1", " /sys/fs/cgroup", "/proc/self/mountinfo"]).ok();
        let writable = line.split_whitespace().nth(5).expect("options").split(',').any(|option| option == "rw");
        // On v1 that is the tmpfs above the hierarchies, never writable.
        let v2 = line.contains(" - cgroup2 ");
        assert_eq!(writable, v2 && flags.contains(&"--privileged"), "{line}");
        // The options behind the dash are the kernel's for all mounts of the tree: `nsdelegate` stays.
        assert_eq!(mounts(), before, "{flags:?}");
        host.hull(&["rm", "-f", &id]).ok();
    }
}

#[test]
fn each_namespace_can_be_another_containers() {
    let host = Host::new();
    host.sleeper(&["--name", "first", "--ipc=shareable"]);
    let first = host.pid("first");
    for (flag, kind) in
        [("--pid=container:first", "pid"), ("--ipc=container:first", "ipc"), ("--network=container:first", "net")]
    {
        let id = host.sleeper(&[flag]);
        assert_eq!(namespace(host.pid(&id), kind), namespace(first, kind), "{flag}");
        host.hull(&["rm", "-f", &id]).ok();
    }
    let seen = host.sh(&["--pid=container:first"], "ps -o comm");
    assert!(seen.contains("sleep"), "{seen}");
}

#[test]
fn joining_a_container_that_does_not_run_is_refused_by_name() {
    let host = Host::new();
    let id = host.hull(&["create", "--name", "idle", "busybox", "true"]).ok();
    let err = host.hull(&["run", "--rm", "--pid=container:idle", "busybox", "true"]).fails(125);
    assert!(err.contains(&id[..12]) && err.contains("non running container"), "{err}");
    let err = host.hull(&["run", "--rm", "--pid=container:nobody", "busybox", "true"]).fails(125);
    assert!(err.contains("No such container: nobody"), "{err}");
}

#[test]
fn a_user_namespace_maps_root_to_nobody_in_particular() {
    let host = Host::new();
    let id = host.sleeper(&["--userns=auto"]);
    let pid = host.pid(&id);
    assert_ne!(namespace(pid, "user"), namespace(host.engine_pid(), "user"));
    let outside: u32 = status_field(pid, "Uid").split_whitespace().next().expect("uid").parse().expect("a number");
    assert!(outside >= 65536, "root inside is uid {outside} outside");
    assert_eq!(host.hull(&["exec", &id, "id", "-u"]).ok(), "0");
    assert_eq!(host.hull(&["exec", &id, "stat", "-c", "%u:%g", "/bin/busybox"]).ok(), "0:0", "the rootfs is idmapped");
    host.hull(&["exec", &id, "sh", "-c", "echo x > /root/made && chown 1000:1000 /root/made"]).ok();
    assert_eq!(host.hull(&["exec", &id, "stat", "-c", "%u:%g", "/root/made"]).ok(), "1000:1000");
}

#[test]
fn two_auto_user_namespaces_do_not_overlap() {
    let host = Host::new();
    let ranges: Vec<(u64, u64)> = ["one", "two"]
        .iter()
        .map(|name| {
            host.sleeper(&["--name", name, "--userns=auto"]);
            let text = fs::read_to_string(format!("/proc/{}/uid_map", host.pid(name))).expect("uid_map");
            let numbers: Vec<u64> = text.split_whitespace().map(|w| w.parse().expect("a number")).collect();
            (numbers[1], numbers[1] + numbers[2])
        })
        .collect();
    assert!(ranges[0].1 <= ranges[1].0 || ranges[1].1 <= ranges[0].0, "{ranges:?}");
}

#[test]
fn a_time_namespace_has_its_own_uptime() {
    let host = Host::new();
    let id = host.sleeper(&["--time=new", "--time-offset", "boottime=100000s"]);
    assert_ne!(namespace(host.pid(&id), "time"), namespace(host.engine_pid(), "time"));
    let uptime = host.hull(&["exec", &id, "cut", "-d.", "-f1", "/proc/uptime"]).ok();
    assert!(uptime.parse::<u64>().expect("seconds") >= 100_000, "{uptime}");
}

#[test]
fn hostname_and_domainname_are_the_containers() {
    let host = Host::new();
    let seen = host.sh(
        &["--hostname", "h1", "--domainname", "example.test"],
        "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname /etc/hostname; echo $HOSTNAME",
    );
    assert_eq!(seen, "h1\nexample.test\nh1\nh1");
    let own = fs::read_to_string("/proc/sys/kernel/hostname").expect("hostname");
    assert_ne!(own.trim(), "h1");
    let id = host.sleeper(&[]);
    assert_eq!(host.hull(&["exec", &id, "hostname"]).ok(), id[..12]);
}

#[test]
fn network_none_has_only_a_loopback_that_is_up() {
    let host = Host::new();
    assert_eq!(
        host.sh(&["--network=none"], "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up"),
        "lo\nup"
    );
}

#[test]
fn sysctls_change_the_containers_namespaces_only() {
    let host = Host::new();
    let before = fs::read_to_string("/proc/sys/kernel/shmmax").expect("shmmax");
    let seen = host.sh(
        &["--sysctl", "kernel.shmmax=123456", "--sysctl", "net.ipv4.ip_forward=1"],
        "cat /proc/sys/kernel/shmmax /proc/sys/net/ipv4/ip_forward",
    );
    assert_eq!(seen, "123456\n1");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/shmmax").expect("shmmax"), before);
    let err = host.hull(&["run", "--rm", "--sysctl", "kernel.panic=5", "busybox", "true"]).fails(125);
    assert!(err.contains("kernel.panic"), "{err}");
}
