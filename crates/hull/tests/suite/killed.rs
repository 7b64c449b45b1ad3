//! The engine is killed at every call that changes state; its start brings back a consistent one.

use hull_testkit::{Host, Inject, eventually};

/// Kills the engine as it enters these calls (of any of its threads, for the nth time in that thread), during
/// the operation; then the engine's start has to bring back a consistent state.
fn killed_at(points: &[(&str, u32)], before: &[&[&str]], operation: &[&str]) {
    let host = Host::new();
    let mut killed = 0;
    // Under emulation an attached tracer costs seconds.
    let some = if std::env::var_os("HULL_TEST_SLOW").is_some() { 3 } else { 1 };
    let points: Vec<&(&str, u32)> = points.iter().step_by(some).collect();
    for (call, nth) in &points {
        for step in before {
            host.hull(step).ok();
        }
        let engine = host.engine_pid();
        let fault = format!("{call}:signal=KILL:when={nth}");
        let inject = Inject::attach(engine, &[&fault]).expect("the engine lives");
        let out = host.hull(operation);
        drop(inject);
        let now = host.engine_pid();
        killed += usize::from(now != engine);
        let at = format!("{operation:?} killed at {call} {nth}");
        assert!(out.code < 128, "{at}: {out:?}");
        let listed = host.hull(&["ps", "-aq", "--no-trunc"]).ok();
        for id in listed.lines() {
            let status = host.inspect(id)["State"]["Status"].as_str().unwrap_or_default().to_owned();
            assert!(["created", "running", "exited"].contains(&status.as_str()), "{at}: {status}");
            // It may be on its way out still.
            if status == "running" && host.hull(&["exec", id, "echo", "fine"]).code != 0 {
                eventually(&format!("{at}: it has ended"), || host.inspect(id)["State"]["Status"] == "exited");
            }
        }
        if out.code == 0 && operation[0] != "rm" {
            assert_eq!(listed.lines().count(), 1, "{at}: it was acknowledged, and is not there");
        }
        eprintln!("{at}: exit code {}", out.code);
        host.assert_clean();
    }
    assert!(killed * 2 >= points.len(), "only {killed} of {} points were reached", points.len());
}

#[test]
fn killed_at_every_call_of_create() {
    let points = [
        ("pwrite64", 1),
        ("pwrite64", 3),
        ("pwrite64", 5),
        ("mkdir", 1),
        ("mkdir", 2),
        ("renameat2", 1),
        ("fsync,fdatasync", 1),
    ];
    killed_at(&points, &[], &["create", "--name", "kill", "-v", "/data", "busybox", "sleep", "1000"]);
}

#[test]
fn killed_at_every_call_of_start() {
    let create: &[&str] = &["create", "--name", "kill", "-v", "/data", "busybox", "sleep", "1000"];
    let points = [
        ("mkdirat", 1),
        ("mkdirat", 4),
        ("renameat", 1),
        ("renameat", 3),
        ("open_tree", 1),
        ("fsconfig", 1),
        ("fsconfig", 4),
        ("fsmount", 1),
        ("sendmsg", 1),
        ("recvmsg", 1),
        ("recvmsg", 2),
        ("pwrite64", 1),
        ("pwrite64", 2),
        ("fsync,fdatasync", 1),
    ];
    killed_at(&points, &[create], &["start", "kill"]);
}

#[test]
fn killed_at_every_call_of_stop_and_rm() {
    let run: &[&str] = &["run", "-d", "--name", "kill", "-v", "/data", "busybox", "sleep", "1000"];
    let stop = [("pidfd_send_signal", 1), ("recvmsg", 1), ("pwrite64", 1), ("unlinkat", 1), ("fsync,fdatasync", 1)];
    killed_at(&stop, &[run], &["stop", "-t", "0", "kill"]);
    let rm = [
        ("pwrite64", 1),
        ("pwrite64", 4),
        ("unlinkat", 1),
        ("unlinkat", 8),
        ("rename", 1),
        ("renameat2", 1),
        ("fsync,fdatasync", 1),
    ];
    killed_at(&rm, &[run], &["rm", "-f", "-v", "kill"]);
}
