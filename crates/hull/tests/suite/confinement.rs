//! Capabilities, seccomp, no-new-privileges, rlimits: what /proc says of the process.

use std::fs;

use hull_testkit::{Host, status_field};

fn caps(host: &Host, flags: &[&str]) -> u64 {
    let id = host.sleeper(flags);
    let value = status_field(host.pid(&id), "CapEff");
    host.hull(&["rm", "-f", &id]).ok();
    u64::from_str_radix(&value, 16).expect("hex")
}

#[test]
fn the_default_capabilities_are_dockers_fourteen() {
    let host = Host::new();
    assert_eq!(caps(&host, &[]), 0xa804_25fb);
}

#[test]
fn capabilities_can_be_added_and_dropped_by_either_name() {
    let host = Host::new();
    let net_admin = 1 << 12;
    assert_eq!(caps(&host, &["--cap-add=NET_ADMIN"]), 0xa804_25fb | net_admin);
    assert_eq!(caps(&host, &["--cap-add=CAP_NET_ADMIN"]), 0xa804_25fb | net_admin);
    assert_eq!(caps(&host, &["--cap-drop=ALL"]), 0);
    assert_eq!(caps(&host, &["--cap-drop=ALL", "--cap-add=chown"]), 1);
    let err = host.hull(&["run", "--rm", "--cap-add=FLY", "busybox", "true"]).fails(125);
    assert!(err.contains("FLY"), "{err}");
}

#[test]
fn no_capability_is_inheritable_in_run_or_exec() {
    let host = Host::new();
    let id = host.sleeper(&["--cap-add=ALL"]);
    assert_eq!(status_field(host.pid(&id), "CapInh"), "0000000000000000");
    assert_eq!(host.hull(&["exec", &id, "grep", "CapInh", "/proc/self/status"]).ok(), "CapInh:\t0000000000000000");
}

#[test]
fn another_user_has_no_effective_capabilities() {
    let host = Host::new();
    let id = host.sleeper(&["-u", "app"]);
    let pid = host.pid(&id);
    assert_eq!(status_field(pid, "CapEff"), "0000000000000000");
    assert_eq!(status_field(pid, "CapBnd"), "00000000a80425fb");
}

#[test]
fn the_default_seccomp_profile_is_loaded_and_denies() {
    let host = Host::new();
    let id = host.sleeper(&[]);
    assert_eq!(status_field(host.pid(&id), "Seccomp"), "2");
    let seen = host.sh(&[], "unshare -U true 2>&1; unshare -m true 2>&1; true");
    assert_eq!(seen.matches("Operation not permitted").count(), 2, "{seen}");
    let id = host.sleeper(&["--security-opt", "seccomp=unconfined"]);
    assert_eq!(status_field(host.pid(&id), "Seccomp"), "0");
}

#[test]
fn an_own_seccomp_profile_is_used() {
    let host = Host::new();
    let profile = host.path().join("profile.json");
    let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}"#;
    fs::write(&profile, json).expect("write");
    let seen =
        host.sh(&["--security-opt", &format!("seccomp={}", profile.display())], "mkdir /x 2>&1; touch /y && echo fine");
    assert!(seen.contains("not supported") && seen.ends_with("fine"), "{seen}");
    fs::write(&profile, "{").expect("write");
    let err = host
        .hull(&["run", "--rm", "--security-opt", &format!("seccomp={}", profile.display()), "busybox", "true"])
        .fails(125);
    assert!(err.contains("seccomp"), "{err}");
}

#[test]
fn no_new_privileges_is_set_when_asked() {
    let host = Host::new();
    for (flags, expected) in [
        (&[][..], "0"),
        (&["--security-opt", "no-new-privileges"][..], "1"),
        (&["--security-opt", "no-new-privileges:true"][..], "1"),
    ] {
        let id = host.sleeper(flags);
        assert_eq!(status_field(host.pid(&id), "NoNewPrivs"), expected, "{flags:?}");
    }
}

#[test]
fn ulimits_are_the_processes() {
    let host = Host::new();
    let id = host.sleeper(&["--ulimit", "nofile=100:200", "--ulimit", "core=0"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", host.pid(&id))).expect("limits");
    let files: Vec<&str> =
        limits.lines().find(|l| l.starts_with("Max open files")).expect("a line").split_whitespace().collect();
    assert_eq!(&files[3..5], ["100", "200"]);
    assert!(limits.lines().any(|l| l.starts_with("Max core file size") && l.contains(" 0 ")), "{limits}");
    // A limit that leaves no room for more than the standard streams hinders nothing of the start.
    for flags in [&["--init"][..], &["--init", "-t"], &["--network", "none"], &["--user", "5:5", "--read-only"]] {
        let script = "ulimit -n; echo done";
        assert_eq!(
            host.sh(&[&["--ulimit", "nofile=5:5"], flags].concat(), script).replace('\r', ""),
            "5\ndone",
            "{flags:?}"
        );
    }
    let few = host.sleeper(&["--init", "--ulimit", "nofile=5:5"]);
    assert_eq!(host.hull(&["exec", &few, "sh", "-c", "ulimit -n"]).ok(), "5");
    for bad in ["nofile=200:100", "nofiles=1", "nofile=x"] {
        host.hull(&["run", "--rm", "--ulimit", bad, "busybox", "true"]).fails(125);
    }
}

#[test]
fn exec_gets_the_same_confinement() {
    let host = Host::new();
    let id = host.sleeper(&["--cap-drop=ALL", "--security-opt", "no-new-privileges"]);
    let seen = host.hull(&["exec", &id, "grep", "-E", "CapEff|Seccomp:|NoNewPrivs", "/proc/self/status"]).ok();
    assert_eq!(seen, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2");
    let id = host.sleeper(&[]);
    let seen = host.hull(&["exec", "--privileged", &id, "grep", "CapEff", "/proc/self/status"]).ok();
    assert!(seen.contains("1ff"), "{seen}");
}
