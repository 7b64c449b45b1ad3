//! Each failing step → its sentence and class.

use super::*;
use crate::plan::{Attrs, Clone3, Exec};

fn plan(steps: Vec<Step>, name: &str) -> LaunchPlan {
    let argv = vec![std::ffi::CString::new(name).unwrap()];
    let exec = Exec { candidates: argv.clone(), argv, env: vec![] };
    LaunchPlan { key: "k".into(), clone: Clone3::default(), steps, exec }
}

fn exec_fault(name: &str, errno: Errno, head: Option<&[u8]>) -> Fault {
    let failure = Failure {
        step: STEP_EXEC,
        errno: errno.raw_os_error(),
        call: format!("execve({name:?})"),
        file: head.map(|head| (name.into(), head.to_vec())),
    };
    explain_failure(&plan(vec![], name), &failure)
}

fn step_fault(step: Step, errno: Errno) -> Fault {
    let failure = Failure { step: 0, errno: errno.raw_os_error(), call: "call(1)".into(), file: None };
    explain_failure(&plan(vec![step], "x"), &failure)
}

/// The start of an ELF file for another machine than this one.
fn foreign() -> (Vec<u8>, &'static str) {
    let (machine, name): (u16, _) = if host_architecture() == "arm64" { (62, "amd64") } else { (183, "arm64") };
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(18, 0);
    head.extend(machine.to_le_bytes());
    (head, name)
}

/// Name, error, first bytes of the file; class and words of the sentence.
type Row<'a> = (&'a str, Errno, Option<&'a [u8]>, Kind, &'a [&'a str]);

#[test]
fn commands_that_do_not_run() {
    let (elf, machine) = foreign();
    let rows: &[Row<'_>] = &[
        ("foo", Errno::NOENT, Some(b""), Kind::CommandNotFound, &["exec: \"foo\": executable file not found in $PATH"]),
        ("/no", Errno::NOENT, None, Kind::CommandNotFound, &["no such file or directory"]),
        ("/s", Errno::NOENT, Some(b"#!/no/sh\n"), Kind::CommandNotFound, &["interpreter \"/no/sh\"", "missing"]),
        ("/x", Errno::ACCESS, Some(b"x"), Kind::NotExecutable, &["permission denied"]),
        ("/x", Errno::NOEXEC, Some(b"text"), Kind::NotExecutable, &["exec format error"]),
        ("/x", Errno::NOEXEC, Some(&elf), Kind::NotExecutable, &["exec format error", machine, host_architecture()]),
        ("/x", Errno::TOOBIG, None, Kind::Invalid, &["argument list too long"]),
        ("/x", Errno::NOMEM, None, Kind::NotExecutable, &["cannot allocate memory"]),
    ];
    for (name, errno, head, kind, words) in rows {
        let fault = exec_fault(name, *errno, *head);
        assert_eq!(fault.kind, *kind, "{fault}");
        for word in *words {
            assert!(fault.summary.contains(word), "{word:?} in {fault}");
        }
        assert!(!fault.summary.contains('\n'));
    }
}

#[test]
fn steps_that_fail_name_themselves() {
    let target = || Target { path: "/data".into(), create: None };
    let workdir = || Step::Workdir { path: "/etc/passwd".into(), create: true };
    let attach =
        || Step::Attach { mount: crate::plan::Slot(0), target: target(), attrs: Attrs::default(), then: vec![] };
    let rows: Vec<(Step, Errno, Kind, &str)> = vec![
        (workdir(), Errno::NOTDIR, Kind::Invalid, "\"/etc/passwd\" is not a directory"),
        (workdir(), Errno::NOENT, Kind::CommandNotFound, "no such file or directory"),
        (attach(), Errno::NOTDIR, Kind::Invalid, "`/data`"),
        (attach(), Errno::INVAL, Kind::Invalid, "`/data`"),
        (attach(), Errno::NOMEM, Kind::Internal, "`/data`"),
        (Step::Sysctl { key: "net/x".into(), value: "9".into() }, Errno::INVAL, Kind::Invalid, "`net/x`"),
        (
            Step::Rlimit { resource: 7, soft: 1, hard: u64::MAX, required: true },
            Errno::PERM,
            Kind::Forbidden,
            "nofile to 1:unlimited",
        ),
        (Step::OomScoreAdj { value: -900, required: true }, Errno::ACCESS, Kind::Forbidden, "-900"),
        (Step::Identity { uid: 70_000, gid: 1, groups: vec![] }, Errno::INVAL, Kind::Invalid, "user 70000"),
        (Step::PivotRoot, Errno::INVAL, Kind::Internal, "change the root"),
        (Step::MaskedPath("/proc/kcore".into()), Errno::NOMEM, Kind::Internal, "`/proc/kcore`"),
    ];
    for (step, errno, kind, words) in rows {
        let shown = format!("{step:?}");
        let fault = step_fault(step, errno);
        assert_eq!(fault.kind, kind, "{shown}: {fault}");
        assert!(fault.summary.contains(words), "{shown}: {fault}");
    }
}

#[test]
fn a_failure_outside_the_steps_is_told_all_the_same() {
    for step in [STEP_CLONE, 99] {
        let failure = Failure { step, errno: 12, call: "clone3(...)".into(), file: None };
        let fault = explain_failure(&plan(vec![], "x"), &failure);
        assert_eq!(fault.cause.as_deref(), Some("clone3(...): cannot allocate memory"));
    }
    let killed = Failure { step: 0, errno: 0, call: "killed by signal 9".into(), file: None };
    let fault = explain_failure(&plan(vec![Step::PivotRoot], "x"), &killed);
    assert_eq!(fault.cause.as_deref(), Some("killed by signal 9"));
}

#[test]
fn error_numbers_read_as_in_go() {
    for (errno, text) in [
        (Errno::NOENT, "no such file or directory"),
        (Errno::ACCESS, "permission denied"),
        (Errno::PERM, "operation not permitted"),
        (Errno::NOEXEC, "exec format error"),
        (Errno::NOTDIR, "not a directory"),
    ] {
        assert_eq!(errno_text(errno.raw_os_error()), text);
    }
}
