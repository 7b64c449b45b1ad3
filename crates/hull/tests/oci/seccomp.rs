//! `linux.seccomp`: actions, arguments, architectures and the listener.

use serde_json::{Value, json};

use crate::case::{Runtime, cases};
use crate::site::Site;

cases![
    an_error_for_a_call;
    an_error_of_a_number;
    allow_by_name_and_deny_the_rest;
    kill_ends_the_process;
    a_comparison_of_arguments;
    a_masked_comparison;
    several_rules_for_one_call;
    unknown_names_are_passed_over;
    an_unknown_action_is_refused;
    an_unknown_architecture_is_refused;
    an_unknown_operator_is_refused;
    the_filter_holds_without_no_new_privileges;
    flags_of_the_filter.hull_only("newer than Debian 12's");
    an_unknown_flag_is_refused.not_over(Runtime::Crun, "passes over it");
    trace_and_log_are_actions;
    the_listener_gets_the_descriptor_and_the_state;
    notify_without_a_listener_is_refused.not_over(Runtime::Crun, "fails later and leaves cgroups behind");
    a_listener_that_is_not_there_is_refused.not_over(Runtime::Crun, "leaves cgroups behind when it fails");
    other_architectures_are_closed.not_over(Runtime::Crun, "1.8 lets them through").not_over(Runtime::Runc, "1.1 lets them through");
];

fn filter(site: &mut Site, default: &str, rules: Value) {
    site.config["linux"]["seccomp"] = json!({ "defaultAction": default, "syscalls": rules });
}

#[track_caller]
fn refused(site: &Site) {
    let out = site.create(&[]);
    assert!(out.code != 0 && !out.stderr.is_empty(), "it was taken: {out:?}");
    assert_eq!(site.status(), "");
}

const MKDIR: &str = "mkdir /made 2>&1";

fn an_error_for_a_call(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]));
    let said = site.sh(&format!("{MKDIR}; grep -E '^Seccomp:' /proc/self/status"));
    assert_eq!(said, "mkdir: can't create directory '/made': Operation not permitted\nSeccomp:\t2");
    assert!(!site.rootfs().join("made").exists());
}

fn an_error_of_a_number(rt: Runtime) {
    let mut site = Site::new(rt);
    // ENOSPC
    filter(
        &mut site,
        "SCMP_ACT_ALLOW",
        json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }]),
    );
    assert!(site.sh(&format!("{MKDIR}; true")).contains("No space left"));
}

fn allow_by_name_and_deny_the_rest(rt: Runtime) {
    let mut site = Site::new(rt);
    // What busybox needs for this, and what runtimes do between the filter and execve.
    let names = "read write open openat close stat fstat newfstatat lstat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
        rt_sigreturn ioctl access execve execveat exit exit_group wait4 clone clone3 fork vfork getpid getppid getuid geteuid getgid
        getegid setuid setgid fcntl arch_prctl prctl set_tid_address set_robust_list rseq prlimit64 getrandom futex uname getcwd dup
        dup2 dup3 pipe pipe2 poll readlink readlinkat statx gettid tgkill sigaltstack capget capset fchdir chdir setgroups
        close_range getdents64 epoll_ctl epoll_pwait nanosleep clock_gettime sched_getaffinity madvise pread64 faccessat2 faccessat fstatfs statfs";
    let names: Vec<&str> = names.split_whitespace().collect();
    filter(&mut site, "SCMP_ACT_ERRNO", json!([{ "names": names, "action": "SCMP_ACT_ALLOW" }]));
    assert!(site.sh(&format!("echo runs; {MKDIR}; true")).starts_with("runs\nmkdir: can't create directory"));
}

fn kill_ends_the_process(rt: Runtime) {
    let mut site = Site::new(rt);
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD"] {
        filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir", "mkdirat"], "action": action }]));
        // SIGSYS
        assert_eq!(
            site.sh(&format!("sh -c '{MKDIR}; true' 2>/dev/null; (mkdir /made); echo $?")).lines().last(),
            Some("159"),
            "{action}"
        );
        assert!(!site.rootfs().join("made").exists());
    }
}

fn a_comparison_of_arguments(rt: Runtime) {
    let mut site = Site::new(rt);
    // The signal is the second argument of kill(2).
    for (op, refused, sent) in
        [("SCMP_CMP_EQ", 15, 9), ("SCMP_CMP_NE", 18, 15), ("SCMP_CMP_GT", 18, 9), ("SCMP_CMP_LT", 10, 15)]
    {
        let rule = json!({ "index": 1, "value": 15, "op": op });
        filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [rule] }]));
        let said = site.sh(&format!(
            "sleep 1000 & for s in {refused} {sent}; do kill -$s $! 2>/dev/null && echo sent || echo refused; done"
        ));
        assert_eq!(said, "refused\nsent", "{op}");
    }
}

fn a_masked_comparison(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(
        &mut site,
        "SCMP_ACT_ALLOW",
        json!([{ "names": ["kill"], "action": "SCMP_ACT_ERRNO",
        "args": [{ "index": 1, "value": 8, "valueTwo": 8, "op": "SCMP_CMP_MASKED_EQ" }] }]),
    );
    // 9 and 15 have the bit, 18 has not.
    assert_eq!(
        site.sh("sleep 1000 & for s in 9 15 18; do kill -$s $! 2>/dev/null && echo sent || echo refused; done"),
        "refused\nrefused\nsent"
    );
}

fn several_rules_for_one_call(rt: Runtime) {
    let mut site = Site::new(rt);
    let rule = |signal: u32| json!({ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "value": signal, "op": "SCMP_CMP_EQ" }] });
    filter(&mut site, "SCMP_ACT_ALLOW", json!([rule(15), rule(10)]));
    assert_eq!(
        site.sh("sleep 1000 & for s in 15 10 18; do kill -$s $! 2>/dev/null && echo sent || echo refused; done"),
        "refused\nrefused\nsent"
    );
}

fn unknown_names_are_passed_over(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(
        &mut site,
        "SCMP_ACT_ALLOW",
        json!([{ "names": ["wonder", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]),
    );
    assert!(site.sh(&format!("{MKDIR}; true")).contains("not permitted"));
}

fn an_unknown_action_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(&mut site, "SCMP_ACT_WONDER", json!([]));
    refused(&site);
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir"], "action": "SCMP_ACT_WONDER" }]));
    refused(&site);
}

fn an_unknown_architecture_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }]));
    site.config["linux"]["seccomp"]["architectures"] = json!(["SCMP_ARCH_WONDER"]);
    refused(&site);
}

fn an_unknown_operator_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(
        &mut site,
        "SCMP_ACT_ALLOW",
        json!([{ "names": ["kill"], "action": "SCMP_ACT_ERRNO",
        "args": [{ "index": 1, "value": 1, "op": "SCMP_CMP_WONDER" }] }]),
    );
    refused(&site);
}

fn the_filter_holds_without_no_new_privileges(rt: Runtime) {
    let mut site = Site::new(rt);
    site.config["process"]["noNewPrivileges"] = json!(false);
    site.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000 });
    filter(
        &mut site,
        "SCMP_ACT_ALLOW",
        json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }]),
    );
    assert!(site.sh("mkdir /tmp/made 2>&1; true").contains("No space left"));
}

fn flags_of_the_filter(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]));
    site.config["linux"]["seccomp"]["flags"] = json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]);
    assert!(site.sh(&format!("{MKDIR}; true")).contains("not permitted"));
}

fn an_unknown_flag_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }]));
    site.config["linux"]["seccomp"]["flags"] = json!(["SECCOMP_FILTER_FLAG_WONDER"]);
    refused(&site);
}

fn trace_and_log_are_actions(rt: Runtime) {
    let mut site = Site::new(rt);
    // Without a tracer a traced call answers ENOSYS.
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_TRACE" }]));
    assert!(site.sh(&format!("{MKDIR}; true")).contains("not implemented"));
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_LOG" }]));
    assert_eq!(site.sh(&format!("{MKDIR} && echo made")), "made");
}

fn notifying(site: &mut Site, path: &str) {
    filter(site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }]));
    site.config["linux"]["seccomp"]["listenerPath"] = json!(path);
    site.config["linux"]["seccomp"]["listenerMetadata"] = json!("some metadata");
}

fn the_listener_gets_the_descriptor_and_the_state(rt: Runtime) {
    let mut site = Site::new(rt);
    let listener = site.listen("seccomp");
    notifying(&mut site, &listener.path());
    site.args(&["sh", "-c", "mkdir /made 2> /said; sleep 1000"]);
    site.create(&[]).ok();
    let pid = site.pid();
    site.verb("start", &[]).ok();
    let received = listener.received();
    let state: Value = serde_json::from_str(&received.text).expect("JSON");
    assert_eq!(state["fds"], json!(["seccompFd"]), "{state}");
    assert_eq!(state["metadata"], "some metadata");
    assert_eq!(state["state"]["id"], json!(site.id));
    assert_eq!(state["state"]["bundle"], json!(site.bundle()));
    assert!(state["pid"] == pid || state["state"]["pid"] == pid, "{state} {pid}");
    assert_eq!(received.fds.len(), 1);
    assert!(!site.rootfs().join("made").exists());
    // With nobody to answer the call is not there.
    drop(received);
    hull_testkit::eventually("the call is answered", || {
        crate::site::read(site.rootfs().join("said")).contains("not implemented")
    });
}

fn notify_without_a_listener_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]));
    refused(&site);
}

fn a_listener_that_is_not_there_is_refused(rt: Runtime) {
    let mut site = Site::new(rt);
    let nowhere = site.path().join("nowhere").to_string_lossy().into_owned();
    notifying(&mut site, &nowhere);
    refused(&site);
}

fn other_architectures_are_closed(rt: Runtime) {
    if !cfg!(target_arch = "x86_64") {
        return;
    }
    let mut site = Site::new(rt);
    filter(&mut site, "SCMP_ACT_ALLOW", json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]));
    site.config["linux"]["seccomp"]["architectures"] = json!(["SCMP_ARCH_X86_64"]);
    std::fs::write(site.rootfs().join("old"), int80()).expect("write");
    std::fs::set_permissions(site.rootfs().join("old"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("chmod");
    let code: i32 = site.sh("/old 2>/dev/null; echo $?").parse().expect("a code");
    assert_ne!(code, 42, "mkdir by the 32-bit entry went around the filter");
    assert!(!site.rootfs().join("made").exists());
}

/// A program that makes `/made` by `int $0x80`, then exits with 42.
fn int80() -> Vec<u8> {
    let base: u64 = 0x40_0000;
    let entry = base + 64 + 56;
    let code: [u8; 35] = [
        0xb8, 39, 0, 0, 0, // mov $39 (mkdir), %eax
        0xbb, 0, 0, 0, 0, // mov $path, %ebx
        0xb9, 0xed, 0x01, 0, 0, // mov $0755, %ecx
        0xcd, 0x80, // int $0x80
        0xb8, 60, 0, 0, 0, // mov $60 (exit), %eax
        0xbf, 42, 0, 0, 0, // mov $42, %edi
        0x0f, 0x05, // syscall
        b'/', b'm', b'a', b'd', b'e', 0,
    ];
    let mut code = code;
    let path = u32::try_from(entry + 29).expect("low").to_le_bytes();
    code[6..10].copy_from_slice(&path);
    let size = 64 + 56 + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2u16, 62] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes());
    for word in [entry, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend(1u32.to_le_bytes());
    elf.extend(5u32.to_le_bytes());
    for word in [0, base, base, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}
