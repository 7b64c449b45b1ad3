//! `linux.namespaces` and what goes with them: mappings, time offsets, names, sysctls.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    what_is_asked_for_is_new;
    what_is_not_asked_for_is_the_runtimes;
    namespaces_by_path_are_joined;
    a_path_to_another_kind_is_refused;
    a_path_to_nothing_is_refused;
    the_loopback_link_of_a_new_network_is_up;
    hostname;
    domainname.not_over(Runtime::Runc, "since 1.1.8").not_over(Runtime::Crun, "since 1.8.5");
    hostname_without_a_namespace_is_refused;
    a_user_namespace_with_mappings;
    files_of_unmapped_users_are_nobodys;
    a_user_namespace_without_mappings_is_refused.not_over(Runtime::Crun, "makes a mapping up");
    mappings_without_a_user_namespace_are_refused.not_over(Runtime::Runc, "passes over them").not_over(Runtime::Crun, "makes the namespace");
    a_user_outside_of_the_mapping_is_refused;
    exec_in_a_user_namespace_is_its_root;
    a_time_namespace_has_its_offsets.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "sees no support here");
    time_offsets_without_a_namespace_are_refused.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "passes over them");
    a_cgroup_namespace_hides_the_path;
    sysctls_of_the_namespaces;
    a_sysctl_of_the_hosts_is_refused;
    a_sysctl_outside_of_the_namespace_is_refused;
    a_shared_pid_namespace_shows_the_other;
    personality.not_over(Runtime::Runc, "since 1.2");
    an_unknown_personality_is_refused.not_over(Runtime::Runc, "since 1.2");
];

const KINDS: [(&str, &str); 6] =
    [("pid", "pid"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("mount", "mnt"), ("cgroup", "cgroup")];

fn inode(pid: u32, file: &str) -> u64 {
    fs::metadata(format!("/proc/{pid}/ns/{file}")).expect("a namespace").ino()
}

#[track_caller]
fn refused(site: &Site) {
    let out = site.create(&[]);
    assert!(out.code != 0 && !out.stderr.is_empty(), "it was taken: {out:?}");
    assert_eq!(site.status(), "");
}

/// A process with namespaces of its own.
struct Other(Child);

impl Other {
    fn new(site: &Site, flags: &[&str]) -> Self {
        let child = site
            .inside("unshare")
            .args(flags)
            .args(["sh", "-c", "echo; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("unshare is installed");
        use std::io::Read;
        child.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("it is ready");
        Self(child)
    }

    /// `unshare` is executed by `nsenter`, `sh` by it, `cat` by that: one process.
    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn what_is_asked_for_is_new(rt: Runtime) {
    let mut site = Site::new(rt);
    site.namespaces().push(json!({ "type": "cgroup" }));
    site.up();
    for (kind, file) in KINDS {
        assert_ne!(inode(site.pid(), file), inode(std::process::id(), file), "{kind}");
    }
}

fn what_is_not_asked_for_is_the_runtimes(rt: Runtime) {
    for (kind, file) in KINDS.into_iter().filter(|(kind, _)| !["mount", "cgroup", "pid"].contains(kind)) {
        let mut site = Site::new(rt);
        site.drop_namespace(kind);
        // sysfs shows the network's devices: who has no network of its own may not mount it.
        site.mounts().retain(|m| m["type"] != "sysfs");
        site.up();
        let own = site.to_the_end(site.inside("stat").args(["-L", "-c", "%i", &format!("/proc/self/ns/{file}")])).ok();
        assert_eq!(inode(site.pid(), file).to_string(), own, "{kind}");
    }
}

fn namespaces_by_path_are_joined(rt: Runtime) {
    let mut site = Site::new(rt);
    let other = Other::new(&site, &["--net", "--ipc", "--uts"]);
    let pid = other.pid();
    site.namespaces().retain(|n| n["type"] == "pid" || n["type"] == "mount");
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        site.namespaces().push(json!({ "type": kind, "path": format!("/proc/{pid}/ns/{file}") }));
    }
    site.up();
    for file in ["net", "ipc", "uts"] {
        assert_eq!(inode(site.pid(), file), inode(pid, file), "{file}");
    }
}

fn a_path_to_another_kind_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.drop_namespace("network");
    site.namespaces().push(json!({ "type": "network", "path": "/proc/self/ns/uts" }));
    refused(&site);
}

fn a_path_to_nothing_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.drop_namespace("ipc");
    site.namespaces().push(json!({ "type": "ipc", "path": "/proc/not/there" }));
    refused(&site);
}

fn the_loopback_link_of_a_new_network_is_up(rt: Runtime) {
    let mut site = Site::new(rt);
    assert!(site.sh("ip addr show lo").contains("127.0.0.1"));
    assert_eq!(site.sh("ls /proc/sys/net/ipv4/conf"), "all\ndefault\nlo");
}

fn hostname(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["hostname"] = json!("slartibartfast");
    assert_eq!(site.sh("hostname"), "slartibartfast");
}

fn domainname(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["domainname"] = json!("foobarbaz.test");
    assert_eq!(site.sh("cat /proc/sys/kernel/domainname"), "foobarbaz.test");
}

fn hostname_without_a_namespace_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.drop_namespace("uts");
    site.config["hostname"] = json!("other");
    refused(&site);
}

fn user_namespace(site: &mut Site) {
    site.namespaces().push(json!({ "type": "user" }));
    let map = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    site.config["linux"]["uidMappings"] = map.clone();
    site.config["linux"]["gidMappings"] = map;
    crate::site::give(&site.rootfs(), 100_000);
}

fn a_user_namespace_with_mappings(rt: Runtime) {
    let mut site = Site::new(rt);
    user_namespace(&mut site);
    assert_eq!(
        site.sh("id -u; awk '{ print $1, $2, $3 }' /proc/self/uid_map /proc/self/gid_map"),
        "0\n0 100000 65536\n0 100000 65536"
    );
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    site.args(&["sleep", "1000"]);
    site.up();
    assert!(hull_testkit::status_field(site.pid(), "Uid").starts_with("101000\t101000"));
}

fn files_of_unmapped_users_are_nobodys(rt: Runtime) {
    let mut site = Site::new(rt);
    user_namespace(&mut site);
    let file = site.rootfs().join("unmapped");
    fs::write(&file, "").expect("write");
    assert_eq!(site.sh("stat -c %u /unmapped /bin/busybox"), "65534\n0");
}

fn a_user_namespace_without_mappings_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.namespaces().push(json!({ "type": "user" }));
    refused(&site);
}

fn mappings_without_a_user_namespace_are_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 100000, "size": 65536 }]);
    refused(&site);
}

fn a_user_outside_of_the_mapping_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    user_namespace(&mut site);
    site.config["process"]["user"] = json!({ "uid": 70000, "gid": 0 });
    refused(&site);
}

fn exec_in_a_user_namespace_is_its_root(rt: Runtime) {
    let mut site = Site::new(rt);
    user_namespace(&mut site);
    site.up();
    assert_eq!(site.exec_sh(&[], "id -u; touch /made; stat -c %u /made"), "0\n0");
    assert_eq!(fs::metadata(site.rootfs().join("made")).expect("metadata").uid(), 100_000);
}

fn a_time_namespace_has_its_offsets(rt: Runtime) {
    let mut site = Site::new(rt);
    site.namespaces().push(json!({ "type": "time" }));
    site.config["linux"]["timeOffsets"] =
        json!({ "monotonic": { "secs": 172800, "nanosecs": 0 }, "boottime": { "secs": 604800, "nanosecs": 0 } });
    let seen = site.sh("awk '{ print $1, $2, $3 }' /proc/self/timens_offsets; cut -d. -f1 /proc/uptime");
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..2], ["monotonic 172800 0", "boottime 604800 0"]);
    assert!(lines[2].parse::<u64>().expect("seconds") >= 604_800, "{seen}");
}

fn time_offsets_without_a_namespace_are_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 1, "nanosecs": 0 } });
    refused(&site);
}

fn a_cgroup_namespace_hides_the_path(rt: Runtime) {
    let mut site = Site::new(rt);
    assert!(site.sh("cat /proc/self/cgroup").contains(&site.id.clone()));
    site.namespaces().push(json!({ "type": "cgroup" }));
    let seen = site.sh("cat /proc/self/cgroup");
    assert!(!seen.contains(&site.id) && seen.lines().all(|l| l.ends_with(":/")), "{seen}");
}

fn sysctls_of_the_namespaces(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["sysctl"] = json!({ "net.ipv4.ip_forward": "1", "net.core.somaxconn": "256", "kernel.msgmax": "4096", "fs.mqueue.msg_max": "5" });
    let script = "cd /proc/sys; cat net/ipv4/ip_forward net/core/somaxconn kernel/msgmax fs/mqueue/msg_max";
    assert_eq!(site.sh(script), "1\n256\n4096\n5");
}

fn a_sysctl_of_the_hosts_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    let value = read("/proc/sys/vm/overcommit_memory");
    for name in ["vm.overcommit_memory", "kernel.core_pattern", "no.such.thing", "../escape"] {
        site.config["linux"]["sysctl"] = json!({ name: "1" });
        refused(&site);
    }
    assert_eq!(read("/proc/sys/vm/overcommit_memory"), value);
}

fn a_sysctl_outside_of_the_namespace_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.drop_namespace("ipc");
    site.config["linux"]["sysctl"] = json!({ "kernel.msgmax": "4096" });
    refused(&site);
}

fn a_shared_pid_namespace_shows_the_other(rt: Runtime) {
    let mut site = Site::new(rt);
    site.up();
    let (first, pid) = (site.id.clone(), site.pid());
    site.id = format!("{first}-2");
    site.config["linux"]["cgroupsPath"] = json!(format!("/{first}-2"));
    site.drop_namespace("pid");
    site.namespaces().push(json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") }));
    assert!(site.sh("cat /proc/1/cmdline").starts_with("sleep"));
    site.id = first;
}

fn personality(rt: Runtime) {
    let mut site = Site::new(rt);
    let native = Command::new("uname").arg("-m").output().expect("uname").stdout;
    if native != b"x86_64\n" {
        return;
    }
    site.config["linux"]["personality"] = json!({ "domain": "LINUX32" });
    assert_eq!(site.sh("uname -m"), "i686");
    site.config["linux"]["personality"] = json!({ "domain": "LINUX" });
    assert_eq!(site.sh("uname -m"), "x86_64");
}

fn an_unknown_personality_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["personality"] = json!({ "domain": "BSD" });
    refused(&site);
}
