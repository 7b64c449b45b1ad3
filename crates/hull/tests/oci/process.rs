//! `process`: what the container's first process is, read from inside and from the kernel.

use std::fs;

use hull_testkit::status_field;
use serde_json::json;

use crate::case::{Runtime, cases};
use crate::site::{Site, read};

cases![
    arguments_are_taken_as_they_are;
    the_environment_is_what_the_bundle_says;
    home_comes_from_passwd_when_it_is_not_set.not_over(Runtime::Crun, "leaves it empty for a user that is not there");
    path_of_the_environment_finds_the_command;
    the_last_of_two_values_counts.not_over(Runtime::Crun, "keeps both");
    the_working_directory_is_entered;
    a_missing_working_directory_is_made;
    a_working_directory_behind_a_link_stays_inside;
    user_and_group;
    additional_groups;
    no_groups_but_those_that_are_asked_for;
    umask;
    rlimits;
    an_unknown_rlimit_is_refused;
    an_rlimit_twice_is_refused.hull_only("the spec says so; they take the last");
    a_soft_limit_above_the_hard_one_is_refused;
    oom_score_adj;
    no_new_privileges_on_and_off;
    capabilities_in_five_sets;
    ambient_capabilities_reach_a_user;
    no_capabilities_without_the_field.not_over(Runtime::Crun, "keeps the bounding set");
    inheritable_is_empty_unless_asked_for;
    an_unknown_capability_gives_a_warning.not_over(Runtime::Crun, "refuses it");
    io_priority.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "since 1.9");
    a_bad_io_priority_is_refused.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "since 1.9");
    scheduler.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "since 1.9");
    a_bad_scheduler_is_refused.not_over(Runtime::Runc, "since 1.2").not_over(Runtime::Crun, "since 1.9");
    cpu_affinity_of_exec.not_over(Runtime::Runc, "since 1.3").not_over(Runtime::Crun, "later than 1.8");
    apparmor_is_refused_where_it_is_not_active.not_over(Runtime::Crun, "leaves it out");
    selinux_is_refused_where_it_is_not_active.not_over(Runtime::Runc, "leaves it out").not_over(Runtime::Crun, "leaves it out");
    it_leads_a_session;
    no_descriptor_but_three;
    a_script_runs_by_its_interpreter;
];

fn arguments_are_taken_as_they_are(rt: Runtime) {
    let mut site = Site::new(rt);
    let words = ["", " two  words ", "$HOME", "*", "\"quoted\"", "new\nline", "ünïcode", "-x"];
    let mut args = vec!["sh", "-c", "for a; do echo \"[$a]\"; done", "name"];
    args.extend(words);
    let expected: String = words.iter().map(|w| format!("[{w}]\n")).collect();
    assert_eq!(site.args(&args).run(&[]).stdout, expected);
}

fn the_environment_is_what_the_bundle_says(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["env"] = json!(["PATH=/bin", "HOME=/there", "A=b=c", "EMPTY=", "SPACE= x "]);
    site.args(&["env"]);
    let mut seen: Vec<String> = site.run(&[]).ok().lines().map(str::to_owned).collect();
    seen.sort();
    assert_eq!(seen, ["A=b=c", "EMPTY=", "HOME=/there", "PATH=/bin", "SPACE= x "]);
}

fn home_comes_from_passwd_when_it_is_not_set(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["env"] = json!(["PATH=/bin"]);
    assert_eq!(site.sh("echo $HOME"), "/root");
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    assert_eq!(site.sh("echo $HOME"), "/home/app");
    site.config["process"]["user"] = json!({ "uid": 77, "gid": 77 });
    assert_eq!(site.sh("echo $HOME"), "/");
}

fn path_of_the_environment_finds_the_command(rt: Runtime) {
    let mut site = Site::new(rt);
    fs::create_dir(site.rootfs().join("odd")).expect("mkdir");
    std::os::unix::fs::symlink("/bin/busybox", site.rootfs().join("odd/echo")).expect("symlink");
    fs::remove_file(site.rootfs().join("bin/echo")).expect("rm");
    site.config["process"]["env"] = json!(["PATH=/nowhere:/odd"]);
    assert_eq!(site.args(&["echo", "found"]).run(&[]).ok(), "found");
}

fn the_last_of_two_values_counts(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["env"] = json!(["PATH=/bin", "A=first", "A=second"]);
    assert_eq!(site.sh("env | grep ^A=; echo $A").lines().last(), Some("second"));
}

fn the_working_directory_is_entered(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["cwd"] = json!("/home/app");
    assert_eq!(site.args(&["pwd"]).run(&[]).ok(), "/home/app");
}

fn a_missing_working_directory_is_made(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["cwd"] = json!("/new/deep/place");
    assert_eq!(site.args(&["pwd"]).run(&[]).ok(), "/new/deep/place");
    assert!(site.rootfs().join("new/deep/place").is_dir());
}

fn a_working_directory_behind_a_link_stays_inside(rt: Runtime) {
    let mut site = Site::new(rt);
    std::os::unix::fs::symlink("../../../../../../home", site.rootfs().join("link")).expect("symlink");
    site.config["process"]["cwd"] = json!("/link/app");
    assert_eq!(site.args(&["ls", "-d", "/home/app"]).run(&[]).ok(), "/home/app");
    assert_eq!(site.sh("pwd -P"), "/home/app");
}

fn user_and_group(rt: Runtime) {
    let mut site = Site::new(rt);
    for (uid, gid) in [(0, 0), (1000, 1000), (65534, 7), (1, 0)] {
        site.config["process"]["user"] = json!({ "uid": uid, "gid": gid });
        assert_eq!(site.sh("echo $(id -u) $(id -g) $(id -ru) $(id -rg)"), format!("{uid} {gid} {uid} {gid}"));
    }
}

fn additional_groups(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [5, 2000, 77] });
    let groups = site.sh("grep ^Groups /proc/self/status");
    let mut groups: Vec<u32> = groups.split_whitespace().skip(1).map(|w| w.parse().expect("a group")).collect();
    groups.sort_unstable();
    assert_eq!(groups.into_iter().filter(|g| *g != 1000).collect::<Vec<_>>(), [5, 77, 2000]);
}

fn no_groups_but_those_that_are_asked_for(rt: Runtime) {
    let mut site = Site::new(rt);
    // The image's /etc/group says that this user is in two more: that is for the engine above to look up.
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    let groups = site.sh("grep ^Groups /proc/self/status");
    assert!(groups.split_whitespace().skip(1).all(|g| g == "1000"), "{groups}");
}

fn umask(rt: Runtime) {
    let mut site = Site::new(rt);
    assert_eq!(site.sh("umask"), "0022");
    site.config["process"]["user"]["umask"] = json!(0o027);
    assert_eq!(site.sh("umask"), "0027");
    site.config["process"]["user"]["umask"] = json!(0);
    assert_eq!(site.sh("umask"), "0000");
}

fn rlimits(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["rlimits"] = json!([
        { "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 },
        { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
        { "type": "RLIMIT_FSIZE", "soft": 4096, "hard": 8192 },
        { "type": "RLIMIT_NPROC", "soft": 64, "hard": 64 },
        { "type": "RLIMIT_STACK", "soft": 1048576, "hard": 2097152 },
    ]);
    let seen = site.sh("cat /proc/self/limits");
    for (name, soft, hard) in [
        ("Max open files", "100", "200"),
        ("Max core file size", "0", "0"),
        ("Max file size", "4096", "8192"),
        ("Max processes", "64", "64"),
        ("Max stack size", "1048576", "2097152"),
    ] {
        let line = seen.lines().find_map(|l| l.strip_prefix(name)).expect("a line");
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [soft, hard], "{name}");
    }
}

#[track_caller]
fn refused(site: &Site) {
    let out = site.create(&[]);
    assert!(out.code != 0 && !out.stderr.is_empty(), "it was taken: {out:?}");
    assert_eq!(site.status(), "");
}

fn an_unknown_rlimit_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    for name in ["RLIMIT_WONDER", "NOFILE", ""] {
        site.config["process"]["rlimits"] = json!([{ "type": name, "soft": 1, "hard": 1 }]);
        refused(&site);
    }
}

fn an_rlimit_twice_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    let limit = json!({ "type": "RLIMIT_NOFILE", "soft": 10, "hard": 10 });
    site.config["process"]["rlimits"] = json!([limit, limit]);
    refused(&site);
}

fn a_soft_limit_above_the_hard_one_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 200, "hard": 100 }]);
    refused(&site);
}

fn oom_score_adj(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["oomScoreAdj"] = json!(321);
    assert_eq!(site.sh("cat /proc/self/oom_score_adj"), "321");
    site.create(&[]).ok();
    assert_eq!(read(format!("/proc/{}/oom_score_adj", site.pid())).trim(), "321");
}

fn no_new_privileges_on_and_off(rt: Runtime) {
    let mut site = Site::new(rt);
    for (on, seen) in [(true, "1"), (false, "0")] {
        site.config["process"]["noNewPrivileges"] = json!(on);
        assert_eq!(site.sh("grep NoNewPrivs /proc/self/status | cut -f2"), seen);
    }
}

/// Inheritable, permitted, effective, bounding and ambient, as the kernel prints them.
fn sets(site: &mut Site) -> Vec<u64> {
    let text = site.args(&["grep", "^Cap", "/proc/self/status"]).run(&[]).ok();
    text.lines().map(|l| u64::from_str_radix(l.split_whitespace().nth(1).expect("a set"), 16).expect("hex")).collect()
}

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const SETUID: u64 = 1 << 7;

fn capabilities_in_five_sets(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    site.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_CHOWN"],
        "effective": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
    });
    // What the kernel leaves of them after execve of a user's program without file capabilities.
    assert_eq!(sets(&mut site), [CHOWN, CHOWN, CHOWN, CHOWN | KILL | SETUID, CHOWN]);
}

fn ambient_capabilities_reach_a_user(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    let list = json!(["CAP_KILL"]);
    site.config["process"]["capabilities"] = json!({ "bounding": list, "permitted": list, "effective": list });
    assert_eq!(sets(&mut site), [0, 0, 0, KILL, 0]);
    site.config["process"]["capabilities"]["inheritable"] = list.clone();
    site.config["process"]["capabilities"]["ambient"] = list;
    assert_eq!(sets(&mut site), [KILL, KILL, KILL, KILL, KILL]);
}

fn no_capabilities_without_the_field(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["capabilities"] = json!({});
    assert_eq!(sets(&mut site), [0, 0, 0, 0, 0]);
}

fn inheritable_is_empty_unless_asked_for(rt: Runtime) {
    let mut site = Site::new(rt);
    assert_eq!(sets(&mut site)[0], 0);
}

fn an_unknown_capability_gives_a_warning(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["capabilities"]["bounding"] = json!(["CAP_CHOWN", "CAP_WONDER"]);
    site.config["process"]["capabilities"]["permitted"] = json!(["CAP_CHOWN"]);
    site.config["process"]["capabilities"]["effective"] = json!(["CAP_CHOWN"]);
    let log = site.path().join("log").to_string_lossy().into_owned();
    site.globals = vec!["--log".into(), log.clone()];
    assert_eq!(sets(&mut site)[3], CHOWN);
    assert!(read(&log).contains("CAP_WONDER"), "{}", read(&log));
}

fn io_priority(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 });
    assert_eq!(site.sh("ionice -p $$"), "best-effort: prio 6");
    site.config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
    assert!(site.sh("ionice -p $$").starts_with("idle"));
}

fn a_bad_io_priority_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    for bad in
        [json!({ "class": "IOPRIO_CLASS_WONDER", "priority": 0 }), json!({ "class": "IOPRIO_CLASS_BE", "priority": 9 })]
    {
        site.config["process"]["ioPriority"] = bad;
        refused(&site);
    }
}

/// The scheduler's policy and nice value as `/proc/PID/stat` and `/proc/PID/sched` tell.
fn policy(site: &Site) -> (u32, i32) {
    let text = read(format!("/proc/{}/stat", site.pid()));
    let fields: Vec<&str> = text.rsplit_once(") ").expect("a name").1.split(' ').collect();
    (fields[38].parse().expect("policy"), fields[16].parse().expect("nice"))
}

fn scheduler(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 5 });
    site.up();
    assert_eq!(policy(&site), (3, 5));
    site.verb("delete", &["--force"]).ok();
    site.config["process"]["scheduler"] = json!({ "policy": "SCHED_IDLE" });
    site.up();
    assert_eq!(policy(&site).0, 5);
}

fn a_bad_scheduler_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    for bad in [
        json!({ "policy": "SCHED_WONDER" }),
        json!({ "policy": "SCHED_OTHER", "nice": 40 }),
        json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_WONDER"] }),
    ] {
        site.config["process"]["scheduler"] = bad;
        refused(&site);
    }
}

fn cpu_affinity_of_exec(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["execCPUAffinity"] = json!({ "final": "0" });
    site.up();
    assert_eq!(site.exec_sh(&[], "grep Cpus_allowed_list /proc/self/status | cut -f2"), "0");
}

fn apparmor_is_refused_where_it_is_not_active(rt: Runtime) {
    if read("/sys/module/apparmor/parameters/enabled").starts_with('Y') {
        return;
    }
    let mut site = Site::new(rt);
    site.config["process"]["apparmorProfile"] = json!("acme_secure_profile");
    refused(&site);
}

fn selinux_is_refused_where_it_is_not_active(rt: Runtime) {
    if fs::exists("/sys/fs/selinux/enforce").unwrap_or(false) {
        return;
    }
    let mut site = Site::new(rt);
    site.config["process"]["selinuxLabel"] = json!("system_u:system_r:svirt_lxc_net_t:s0:c124,c675");
    refused(&site);
}

fn it_leads_a_session(rt: Runtime) {
    let mut site = Site::new(rt);
    // Fields 1, 5 and 6: pid, process group, session.
    assert_eq!(
        site.args(&["cat", "/proc/self/stat"]).run(&[]).ok().split(' ').skip(4).take(2).collect::<Vec<_>>(),
        ["1", "1"]
    );
}

fn no_descriptor_but_three(rt: Runtime) {
    let mut site = Site::new(rt);
    // Descriptors that the caller left open must not arrive.
    site.wrapper = ["sh", "-c", "exec 7</ 9</etc/passwd; exec \"$@\"", "sh"].map(str::to_owned).into();
    assert_eq!(site.sh("cd /proc/self/fd; echo *"), "0 1 2 3", "the last one is the directory");
    site.up();
    let fds = format!("/proc/{}/fd", site.pid());
    hull_testkit::eventually("it has three descriptors", || fs::read_dir(&fds).is_ok_and(|open| open.count() == 3));
    assert_eq!(site.exec_sh(&[], "cd /proc/self/fd; echo *"), "0 1 2 3", "the last one is the directory");
}

fn a_script_runs_by_its_interpreter(rt: Runtime) {
    let mut site = Site::new(rt);
    let script = site.rootfs().join("script");
    fs::write(&script, "#!/bin/sh\necho script $1\n").expect("write");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    assert_eq!(site.args(&["/script", "word"]).run(&[]).ok(), "script word");
    let user = status_field(std::process::id(), "Uid");
    assert!(user.starts_with('0'), "the suite runs as root");
}
