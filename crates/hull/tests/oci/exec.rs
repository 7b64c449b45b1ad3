//! exec: another process in a container that runs.

use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    output_and_exit_code;
    the_code_of_a_killed_process;
    it_sees_what_the_container_sees;
    it_has_the_containers_confinement.not_over(Runtime::Crun, "1.8 drops noNewPrivileges");
    environment_and_working_directory;
    a_missing_working_directory_is_refused;
    user_and_group;
    a_user_without_a_group;
    additional_groups;
    a_user_that_is_no_number_is_refused;
    more_capabilities;
    no_new_privileges;
    detached_with_a_pid_file;
    a_process_from_a_file;
    a_process_file_that_is_none_is_refused;
    a_missing_command_fails_and_is_named;
    a_command_that_cannot_be_executed;
    in_a_paused_container_is_refused.not_over(Runtime::Crun, "waits until it is resumed");
    in_a_stopped_container_is_refused;
    in_a_created_container_works;
    its_processes_end_with_the_container;
    into_a_cgroup_below.not_over(Runtime::Crun, "takes paths that climb");
    into_the_group_of_the_first_process.not_over(Runtime::Crun, "later than 1.8");
    stdin_reaches_it;
    a_hundred_times;
    rlimits_of_the_container_hold.not_over(Runtime::Crun, "later than 1.8");
    the_umask_is_the_containers.not_over(Runtime::Runc, "1.1 keeps 022").not_over(Runtime::Crun, "1.8 keeps 022");
    preserved_descriptors;
];

fn output_and_exit_code(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    for code in [0, 1, 7, 255] {
        let out = site.exec(&[], &["sh", "-c", &format!("echo out; echo err >&2; exit {code}")]);
        assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (code, "out\n", "err\n"));
    }
}

fn the_code_of_a_killed_process(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    assert_eq!(site.exec(&[], &["sh", "-c", "kill -9 $$"]).code, 137);
    assert_eq!(site.exec(&[], &["sh", "-c", "kill -15 $$"]).code, 143);
}

fn it_sees_what_the_container_sees(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["hostname"] = json!("inside");
    site.up();
    assert_eq!(
        site.exec_sh(&[], "hostname; readlink /proc/1/ns/mnt | cut -d: -f1; ls /proc | grep -c '^1$'"),
        "inside\nmnt\n1"
    );
    let own = "for n in pid net ipc uts mnt; do test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) || echo $n; done; true";
    assert_eq!(site.exec_sh(&[], own), "");
}

fn it_has_the_containers_confinement(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }] });
    site.config["process"]["oomScoreAdj"] = json!(123);
    site.up();
    let fields = "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; cat /proc/self/oom_score_adj";
    let first = read(format!("/proc/{}/status", site.pid()));
    let second = site.exec_sh(&[], fields);
    for line in second.lines().filter(|l| l.contains(':')) {
        assert!(first.contains(line), "{line} is not PID 1's");
    }
    assert!(second.contains("Seccomp:\t2") && second.ends_with("123"), "{second}");
    assert_eq!(site.exec_sh(&[], "mkdir /made 2>/dev/null || echo refused"), "refused");
}

fn environment_and_working_directory(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let seen = site.exec_sh(&["--env", "A=b=c", "--env", "HOME=/there", "--cwd", "/home/app"], "echo $A $HOME; pwd");
    assert_eq!(seen, "b=c /there\n/home/app");
    assert_eq!(site.exec_sh(&[], "pwd; echo $HOME"), "/\n/root", "else they are the container's");
}

fn a_missing_working_directory_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let out = site.exec(&["--cwd", "/not/there"], &["pwd"]);
    assert!(out.code != 0 || out.stdout == "/not/there\n", "{out:?}");
}

fn user_and_group(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    for (user, seen) in [("1000:2000", "1000 2000"), ("0:0", "0 0"), ("65534:1", "65534 1")] {
        assert_eq!(site.exec_sh(&["--user", user], "echo $(id -u) $(id -g)"), seen);
    }
}

fn a_user_without_a_group(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    assert!(site.exec_sh(&["-u", "1000"], "echo $(id -u) $(id -g)").starts_with("1000 "));
}

fn additional_groups(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let file = process(
        &site,
        json!({ "user": { "uid": 1000, "gid": 1000, "additionalGids": [5, 2000] }, "args": ["grep", "^Groups", "/proc/self/status"] }),
    );
    let out = site.exec(&["--process", &file], &[]).ok();
    let mut groups: Vec<&str> = out.split_whitespace().skip(1).filter(|g| *g != "1000").collect();
    groups.sort_unstable();
    assert_eq!(groups, ["2000", "5"]);
}

fn a_user_that_is_no_number_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    for user in ["app", "1000:x", "-1", "1.5"] {
        let out = site.exec(&["--user", user], &["id", "-u"]);
        // Never root: an older runtime may read what it can of it.
        assert!(out.code != 0 || (rt != Runtime::Hull && !out.stdout.is_empty()), "{user}: {out:?}");
    }
}

/// The sets of a process that is executed with these flags.
fn effective(site: &Site, flags: &[&str]) -> u64 {
    u64::from_str_radix(&site.exec_sh(flags, "grep CapEff /proc/self/status | cut -f2"), 16).expect("hex")
}

fn more_capabilities(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let usual = effective(&site, &[]);
    let more = effective(&site, &["--cap", "CAP_NET_RAW"]);
    assert_eq!(more & (1 << 13), 1 << 13);
    assert_eq!(usual & (1 << 13), 0);
}

fn no_new_privileges(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["noNewPrivileges"] = json!(false);
    site.up();
    let read = "grep NoNewPrivs /proc/self/status | cut -f2";
    assert_eq!(site.exec_sh(&[], read), "0");
    assert_eq!(site.exec_sh(&["--no-new-privs"], read), "1");
}

fn detached_with_a_pid_file(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let file = site.path().join("exec-pid");
    site.exec(&["--detach", "--pid-file", &file.to_string_lossy()], &["sleep", "2000"]).ok();
    let pid = read(&file);
    hull_testkit::eventually("it is executed", || read(format!("/proc/{pid}/cmdline")) == "sleep\x002000\0");
}

/// A file that describes a process, beside the bundle.
fn process(site: &Site, mut fields: serde_json::Value) -> String {
    for (name, usual) in [("cwd", json!("/")), ("env", json!(["PATH=/bin"])), ("user", json!({ "uid": 0, "gid": 0 }))] {
        if fields[name].is_null() {
            fields[name] = usual;
        }
    }
    let file = site.path().join("process.json");
    std::fs::write(&file, fields.to_string()).expect("write");
    file.to_string_lossy().into_owned()
}

fn a_process_from_a_file(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let caps = json!(["CAP_KILL"]);
    let file = process(
        &site,
        json!({ "user": { "uid": 0, "gid": 5 }, "cwd": "/home", "env": ["PATH=/bin", "X=y"],
            "capabilities": { "bounding": caps, "permitted": caps, "effective": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 77 }],
            "args": ["sh", "-c", "id -g; pwd; echo $X; ulimit -n; grep CapEff /proc/self/status | cut -f2"] }),
    );
    assert_eq!(site.exec(&["--process", &file], &[]).ok(), "5\n/home\ny\n77\n0000000000000020");
    assert_eq!(site.exec(&["-p", &file], &[]).code, 0);
}

fn a_process_file_that_is_none_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let file = site.path().join("process.json");
    for text in ["", "[]", "{", "{\"args\": \"sh\"}"] {
        std::fs::write(&file, text).expect("write");
        assert_ne!(site.exec(&["--process", &file.to_string_lossy()], &[]).code, 0, "{text:?}");
    }
}

fn a_missing_command_fails_and_is_named(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let out = site.exec(&[], &["not-there"]);
    assert!([1, 127, 255].contains(&out.code), "{out:?}");
    assert!(out.stderr.contains("not-there"), "{out:?}");
    assert_eq!(site.status(), "running");
}

fn a_command_that_cannot_be_executed(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    for command in ["/etc/passwd", "/etc"] {
        let out = site.exec(&[], &[command]);
        assert!(out.code != 0 && !out.stderr.is_empty(), "{command}: {out:?}");
    }
}

fn in_a_paused_container_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.verb("pause", &[]).ok();
    let out = site.exec(&[], &["true"]);
    assert!(out.code != 0 && out.stderr.contains("pause"), "{out:?}");
    site.verb("resume", &[]).ok();
    site.exec(&[], &["true"]).ok();
}

fn in_a_stopped_container_is_refused(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.stop();
    assert_ne!(site.exec(&[], &["true"]).code, 0);
}

fn in_a_created_container_works(rt: Runtime) {
    let site = Site::new(rt);
    site.create(&[]).ok();
    assert_eq!(site.exec(&[], &["echo", "fine"]).ok(), "fine");
    assert_eq!(site.status(), "created");
}

fn its_processes_end_with_the_container(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    site.exec(&["-d"], &["sleep", "1000"]).ok();
    site.stop();
    hull_testkit::eventually("all have ended", || site.members().is_empty());
}

fn into_a_cgroup_below(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let Some(pids) = site.cgroups().into_iter().find(|c| hull_testkit::on_v2() || c.starts_with("/sys/fs/cgroup/pids"))
    else {
        panic!("no cgroup")
    };
    // On v1 runc takes a path per controller, hull one for all of them.
    let one = hull_testkit::on_v2() || rt == Runtime::Hull;
    let flags: &[&str] = if one { &["--cgroup", "below"] } else { &["--cgroup", "pids:below"] };
    for tree in site.cgroups().iter().filter(|tree| one || **tree == pids) {
        std::fs::create_dir(tree.join("below")).expect("mkdir");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let below = tree.join("below").join(file);
            // On v2 it may not be handed down.
            if let (Ok(value), true) = (std::fs::read(tree.join(file)), below.exists()) {
                std::fs::write(below, value).expect("cpuset");
            }
        }
    }
    site.exec(&[flags, &["-d"]].concat(), &["sleep", "1000"]).ok();
    assert_eq!(read(pids.join("below/cgroup.procs")).lines().count(), 1);
    assert_ne!(site.exec(&["--cgroup", "pids:../../escape"], &["true"]).code, 0);
    assert_ne!(site.exec(&["--cgroup", "pids:missing"], &["true"]).code, 0);
}

/// A manager inside has moved its processes below and hands controllers down: the group itself takes none then.
fn into_the_group_of_the_first_process(rt: Runtime) {
    if !hull_testkit::on_v2() {
        // Only version 2 has such groups.
        return;
    }
    let site = Site::new(rt);
    site.up();
    let group = site.cgroups().into_iter().next().expect("a cgroup");
    let below = group.join("init");
    std::fs::create_dir(&below).expect("mkdir");
    std::fs::write(below.join("cgroup.procs"), site.pid().to_string()).expect("move");
    std::fs::write(group.join("cgroup.subtree_control"), "+pids +memory").expect("hand down");
    let said = site.exec_sh(&[], "echo entered; cat /proc/self/cgroup");
    assert!(said.starts_with("entered\n"), "{said}");
    site.exec(&["-d"], &["sleep", "1000"]).ok();
    assert_eq!(read(below.join("cgroup.procs")).lines().count(), 2);
}

fn stdin_reaches_it(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    assert_eq!(hull_testkit::run(&mut site.runtime(&["exec", &site.id, "cat"]), b"words\n").ok(), "words");
}

fn a_hundred_times(rt: Runtime) {
    let site = Site::new(rt);
    site.up();
    let times = if rt == Runtime::Hull { 100 } else { 10 };
    for n in 0..times {
        assert_eq!(site.exec(&[], &["echo", &n.to_string()]).ok(), n.to_string());
    }
    assert_eq!(site.members().iter().collect::<std::collections::BTreeSet<_>>().len(), 1);
}

fn rlimits_of_the_container_hold(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 99, "hard": 99 }]);
    site.up();
    assert_eq!(site.exec_sh(&[], "ulimit -n"), "99");
}

fn the_umask_is_the_containers(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["user"]["umask"] = json!(0o027);
    site.up();
    assert_eq!(site.exec_sh(&[], "umask"), "0027");
}

fn preserved_descriptors(rt: Runtime) {
    let mut site = Site::new(rt);
    site.up();
    site.wrapper = ["sh", "-c", "exec 3</etc/hostname; exec \"$@\"", "sh"].map(str::to_owned).into();
    let host = read("/etc/hostname");
    assert_eq!(site.exec(&["--preserve-fds", "1"], &["sh", "-c", "cat <&3"]).ok(), host.trim_end());
    site.wrapper.clear();
}
