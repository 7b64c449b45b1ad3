//! `explain --by-hand`: the script is run beside the container, and the two are compared from outside. What differs is what
//! the script says.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hull_testkit::{Host, eventually, patience, run, within};
use serde_json::Value;

/// A script that runs.
pub(crate) struct ByHand {
    script: Child,
    errors: PathBuf,
    groups: Vec<PathBuf>,
    pub(crate) text: String,
    pub(crate) differences: Vec<String>,
}

impl ByHand {
    /// Runs the script of a container in the machine of its engine.
    pub(crate) fn of(host: &Host, name: &str) -> Self {
        let told: Value =
            serde_json::from_str(&host.hull(&["explain", "--by-hand", "--json", name]).ok()).expect("JSON");
        let text = told["Script"].as_str().expect("a script").to_owned();
        assert_eq!(host.hull(&["explain", "--by-hand", name]).ok(), text.trim_end());
        let differences = told["Differences"].as_array().expect("a list").iter();
        let differences = differences.map(|one| one.as_str().expect("a sentence").to_owned()).collect();
        let file = host.path().join(format!("{name}.sh"));
        fs::write(&file, &text).expect("write");
        let engine = host.engine_pid().to_string();
        let script = Command::new("nsenter")
            .args(["-t", &engine, "-m", "-n", "--", "bash"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(fs::File::create(host.path().join("by-hand.out")).expect("a file"))
            .stderr(fs::File::create(host.path().join("by-hand.err")).expect("a file"))
            .spawn()
            .expect("nsenter is installed");
        let line = text.lines().find_map(|line| line.strip_prefix("groups=(")).expect("its cgroups");
        let groups = line.trim_end_matches(')').split(' ').map(|path| PathBuf::from(path.trim_matches('\''))).collect();
        Self { script, errors: host.path().join("by-hand.err"), groups, text, differences }
    }

    /// The container's first process, once it is what it shall be.
    pub(crate) fn pid(&mut self, host: &Host, command: &str) -> u32 {
        let mut found = None;
        // Some hundred commands.
        within(patience() * 2, "the container by hand runs", || {
            if let Some(status) = self.script.try_wait().expect("wait") {
                let error = fs::read_to_string(host.path().join("by-hand.err")).unwrap_or_default();
                panic!("the script ended with {status}: {error}\n{}", self.text);
            }
            let members = fs::read_to_string(self.groups[0].join("cgroup.procs")).unwrap_or_default();
            let is =
                |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == command);
            found = members.lines().filter_map(|pid| pid.parse().ok()).find(is);
            found.is_some()
        });
        found.expect("just seen")
    }

    /// Ends the script, which takes away what it made.
    pub(crate) fn end(mut self) {
        let pid = self.script.id().to_string();
        run(Command::new("kill").args(["-TERM", &pid]), b"").ok();
        self.script.wait().expect("wait");
        assert!(self.groups.iter().all(|group| !group.exists()), "{:?}", self.groups);
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the script said: {}", fs::read_to_string(&self.errors).unwrap_or_default());
        }
        let _ = Command::new("kill").args(["-TERM", &self.script.id().to_string()]).stderr(Stdio::null()).status();
        let _ = self.script.wait();
    }
}

/// All that can be seen of a container from outside, by name.
fn seen(host: &Host, pid: u32, groups: &[PathBuf]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let engine = host.engine_pid();
    for kind in ["mnt", "pid", "net", "uts", "ipc", "cgroup", "user", "time"] {
        let link = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("a namespace");
        let standing = if link(pid) == link(engine) { "the machine's" } else { "its own" };
        all.insert(format!("namespace {kind}"), standing.to_owned());
    }
    let mut mounts: Vec<String> = read("mountinfo").lines().map(mount).collect();
    mounts.sort();
    all.insert("mounts".into(), mounts.concat());
    for key in
        ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Umask"]
    {
        let status = read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{key}:"))).expect(key);
        all.insert(key.into(), line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    for file in ["uid_map", "gid_map", "timens_offsets", "limits", "oom_score_adj", "environ", "cmdline"] {
        all.insert(file.into(), read(file).replace('\0', "\n"));
    }
    for link in ["exe", "cwd"] {
        all.insert(link.into(), fs::read_link(format!("/proc/{pid}/{link}")).expect(link).display().to_string());
    }
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").flatten();
    let mut fds: Vec<String> = fds.map(|fd| fd.file_name().to_string_lossy().into_owned()).collect();
    fds.sort();
    all.insert("descriptors".into(), fds.join(" "));
    all.insert("limits of its cgroup".into(), groups.iter().map(|group| limits(group)).collect());
    all.insert("host name".into(), enter(pid, "--uts", "hostname"));
    all.insert(
        "links".into(),
        enter(pid, "--net", "ip -o link | sed 's/@.*link\\// link\\//; s/link-netnsid.*//; s/^[0-9]*: //' | sort"),
    );
    all.insert(
        "addresses".into(),
        moved(&enter(pid, "--net", "ip -o addr | grep -v 'inet6 fe80' | awk '{print $2, $4}'")),
    );
    all.insert("routes".into(), moved(&enter(pid, "--net", "ip -o route; ip -o -6 route show default")));
    all.insert("devices".into(), devices(pid));
    let slash = fs::metadata(format!("/proc/{pid}/root/")).expect("its root");
    let files =
        run(Command::new("find").args([&format!("/proc/{pid}/root/bin"), "-printf", "%P %y %m %U:%G %s\\n"]), b"").ok();
    let mut files: Vec<String> = files.lines().map(str::to_owned).collect();
    files.sort();
    let own = fs::read_to_string(format!("/proc/{pid}/root/file")).unwrap_or_default();
    all.insert("files".into(), format!("{:o} {own}{}", slash.mode(), files.join("\n")));
    for file in ["hosts", "hostname", "resolv.conf"] {
        all.insert(
            format!("/etc/{file}"),
            moved(&fs::read_to_string(format!("/proc/{pid}/root/etc/{file}")).unwrap_or_default()),
        );
    }
    let settings = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range";
    all.insert("settings of the network".into(), enter(pid, "--net", settings));
    all
}

/// Target, type, flags, propagation, and the options of the file system where they name no path.
fn mount(line: &str) -> String {
    let (before, after) = line.split_once(" - ").expect("a line of mountinfo");
    let before: Vec<&str> = before.split(' ').collect();
    let after: Vec<&str> = after.splitn(3, ' ').collect();
    let spread: Vec<&str> = before[6..].iter().filter_map(|one| one.split(':').next()).collect();
    let options = if after[0] == "overlay" { "" } else { after[2] };
    format!("{} {} {} {spread:?} {options}\n", before[4], after[0], before[5])
}

/// The second number of the default network's addresses is another one in the script; of IPv6 the first is.
fn moved(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let rest = word.strip_prefix("172.").and_then(|rest| rest.split_once('.'));
        rest.map_or_else(|| word.to_owned(), |(_, rest)| format!("172.x.{rest}"))
    });
    let text = words.collect::<Vec<_>>().join(" ").replace("fd01:7:", "fd00:7:");
    text.lines()
        .map(|line| match line.strip_prefix("172.").and_then(|rest| rest.split_once('.')) {
            Some((_, rest)) => format!("172.x.{rest}\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

fn enter(pid: u32, namespace: &str, script: &str) -> String {
    run(Command::new("nsenter").args(["-t", &pid.to_string(), namespace, "--", "sh", "-c", script]), b"").ok()
}

/// Every limit that there is in a directory.
fn limits(group: &Path) -> String {
    let names = [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "memory.swappiness",
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
        "cpu.shares",
        "pids.max",
        "cpuset.cpus",
        "cpuset.mems",
        "devices.list",
        "memory.max",
        "memory.low",
        "memory.high",
        "memory.swap.max",
        "cpu.max",
        "cpu.weight",
    ];
    // One that is empty says nothing.
    let read = |name: &&str| {
        let value = fs::read_to_string(group.join(name)).ok().filter(|value| !value.trim().is_empty())?;
        Some(format!("{name} {}\n", value.trim()))
    };
    names.iter().filter_map(read).collect()
}

/// What is in `/dev`: name, kind, numbers, mode, owner.
fn devices(pid: u32) -> String {
    let entries = fs::read_dir(format!("/proc/{pid}/root/dev")).into_iter().flatten().flatten();
    let mut all: Vec<String> = entries
        .map(|entry| {
            let stat = fs::symlink_metadata(entry.path()).expect("stat");
            let kind = (stat.file_type().is_char_device(), stat.file_type().is_block_device());
            let to = fs::read_link(entry.path()).unwrap_or_default();
            let name = entry.file_name();
            let (mode, uid, gid) = (stat.mode(), stat.uid(), stat.gid());
            format!("{} {kind:?} {} {mode:o} {uid}:{gid} {}\n", name.display(), stat.rdev(), to.display())
        })
        .collect();
    all.sort();
    all.concat()
}

/// The directories of a container's cgroup, in the order of the script.
fn groups(host: &Host, name: &str) -> Vec<PathBuf> {
    let told: Value = serde_json::from_str(&host.hull(&["explain", "--json", name]).ok()).expect("JSON");
    let all = told["Limits"]["Groups"].as_array().expect("a list").iter();
    all.map(|group| PathBuf::from(group["Path"].as_str().expect("a path"))).collect()
}

/// Compares the two; the names of what differs.
#[track_caller]
pub(crate) fn compare(host: &Host, name: &str, by_hand: &mut ByHand, command: &str) -> Vec<String> {
    let pid = host.pid(name);
    eventually("the container runs its command", || {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == command)
    });
    let one = seen(host, pid, &groups(host, name));
    let other = by_hand.pid(host, command);
    let other = seen(host, other, &by_hand.groups);
    let differing = one.iter().filter(|(key, value)| other[*key] != **value);
    let differing: Vec<String> = differing.map(|(key, _)| key.clone()).collect();
    for key in differing.iter().filter(|key| *key != "Seccomp") {
        println!("{name}: {key}\n--- hull\n{}\n--- by hand\n{}", one[key], other[key]);
    }
    differing
}

#[test]
fn a_short_script_makes_the_same_container() {
    let host = Host::new();
    let flags = ["--network", "none", "--memory", "64m", "--pids-limit", "50", "--user", "7", "--cap-drop", "CHOWN"];
    host.sleeper(&[&["--name", "short"], &flags[..]].concat());
    let mut by_hand = ByHand::of(&host, "short");
    assert_eq!(compare(&host, "short", &mut by_hand, "sleep"), ["Seccomp"]);
    by_hand.end();
    host.assert_clean();
}

#[test]
fn a_script_makes_the_same_container() {
    let host = Host::new();
    let source = host.path().join("it's");
    fs::create_dir(&source).unwrap();
    let bind = format!("{}:/data:ro", source.display());
    let serve = "echo by > /scratch/index.html; exec httpd -f -p 8000 -h /scratch";
    host.hull(&[
        "run",
        "-d",
        "--name",
        "web",
        "--hostname",
        "box",
        "--user",
        "7:8",
        "--group-add",
        "9",
        "-e",
        "A=it's $HOME",
        "-e",
        "a.b=\u{1b}[2J\n",
        "-w",
        "/tmp/a b",
        "--memory",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "50",
        "--cap-add",
        "SYS_PTRACE",
        "--cap-drop",
        "CHOWN",
        "--security-opt",
        "no-new-privileges",
        "--ulimit",
        "nofile=100:200",
        "--oom-score-adj",
        "100",
        "--tmpfs",
        "/scratch:size=1m,mode=1777",
        "-v",
        &bind,
        "-v",
        "vol:/vol",
        "--read-only",
        "-p",
        "8080:8000",
        "--sysctl",
        "net.ipv4.ping_group_range=0 1",
        "busybox",
        "sh",
        "-c",
        serve,
    ])
    .ok();
    let mut by_hand = ByHand::of(&host, "web");
    assert!(!by_hand.text.contains('\u{1b}'), "{}", by_hand.text);
    assert_eq!(compare(&host, "web", &mut by_hand, "httpd"), ["Seccomp"]);
    let told = |word: &str| by_hand.differences.iter().any(|one| one.starts_with(word));
    assert!(
        told("seccomp:") && told("keyring:") && told("addresses:") && told("ports: 18080"),
        "{:?}",
        by_hand.differences
    );
    for port in ["8080", "18080"] {
        let get = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 20 127.0.0.1 {port}");
        eventually("the port leads to the server", || crate::networks::on_host(&host, &get).stdout.contains("by"));
    }
    by_hand.end();
    let left = crate::networks::on_host(&host, "ls /sys/class/net; cat /proc/net/dev").ok();
    assert!(!left.contains("bh"), "{left}");
    host.hull(&["rm", "-f", "web"]).ok();
    host.hull(&["volume", "rm", "vol"]).ok();
    host.assert_clean();
}

#[test]
fn a_script_makes_containers_of_other_kinds() {
    let host = Host::new();
    host.hull(&["run", "--name", "step", "busybox", "sh", "-c", "echo below > /file; rm /bin/ash"]).ok();
    host.hull(&["commit", "step", "second"]).ok();
    host.hull(&["run", "--name", "next", "second", "sh", "-c", "echo above > /file; chmod 700 /"]).ok();
    host.hull(&["commit", "next", "third"]).ok();
    host.sleeper(&["--name", "peer", "--ipc", "shareable"]);
    for (name, flags) in [
        ("plain", &["--network", "none"][..]),
        ("open", &["--privileged", "--network", "host", "--cgroupns", "host"]),
        (
            "guest",
            &["--network", "container:peer", "--uts", "host", "--ipc", "none", "--security-opt", "seccomp=unconfined"],
        ),
        ("deep", &["--pid", "container:peer", "--device", "/dev/null:/dev/other", "--cpuset-cpus", "0"]),
        ("shifted", &["--userns", "auto"]),
    ] {
        let image = if name == "plain" { "third" } else { "busybox" };
        host.hull(&[&["run", "-d", "--name", name], flags, &[image, "sleep", "1000"]].concat()).ok();
        let mut by_hand = ByHand::of(&host, name);
        let mut expected = match name {
            "open" | "guest" => vec![],
            _ => vec!["Seccomp"],
        };
        if name == "shifted" {
            assert!(by_hand.differences.iter().any(|one| one.starts_with("root: ")), "{:?}", by_hand.differences);
            expected.push("mounts");
        }
        assert_eq!(compare(&host, name, &mut by_hand, "sleep"), expected, "{name}");
        by_hand.end();
    }
    host.hull(&["rm", "-f", "plain", "step", "next"]).ok();
    host.hull(&["rmi", "third", "second"]).ok();
    host.assert_clean();
}
