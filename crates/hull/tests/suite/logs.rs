//! `hull logs`: streams, times, tails, bounds.

use hull_testkit::Host;

#[test]
fn logs_keep_streams_order_tail_and_time() {
    let host = Host::new();
    host.hull(&["run", "--name", "l1", "busybox", "sh", "-c", "for i in 1 2 3; do echo out$i; echo err$i >&2; done"])
        .ok();
    let all = host.hull(&["logs", "l1"]);
    assert_eq!((all.stdout.as_str(), all.stderr.as_str()), ("out1\nout2\nout3\n", "err1\nerr2\nerr3\n"));
    let tail = host.hull(&["logs", "--tail", "2", "l1"]);
    assert_eq!(tail.stdout.lines().count() + tail.stderr.lines().count(), 2);
    let stamped = host.hull(&["logs", "-t", "l1"]).ok();
    assert!(
        stamped.lines().all(|l| l.split(' ').next().is_some_and(|t| t.ends_with('Z') && t.len() == 30)),
        "{stamped}"
    );
    assert_eq!(host.hull(&["logs", "--since", "2100-01-01T00:00:00Z", "l1"]).ok(), "");
    assert_eq!(host.hull(&["logs", "--until", "2000-01-01T00:00:00Z", "l1"]).ok(), "");
}

#[test]
fn follow_ends_with_the_container() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "f1", "busybox", "sh", "-c", "echo one; sleep 0.5; echo two"]).ok();
    assert_eq!(host.hull(&["logs", "-f", "f1"]).ok(), "one\ntwo");
}

#[test]
fn a_line_without_newline_is_not_lost() {
    let host = Host::new();
    host.hull(&["run", "--name", "n1", "busybox", "printf", "no newline"]).ok();
    assert_eq!(host.hull(&["logs", "n1"]).stdout, "no newline");
}

#[test]
fn a_flood_is_bounded_and_the_engine_answers() {
    let host = Host::new();
    let id = host
        .hull(&[
            "run",
            "-d",
            "--log-opt",
            "max-size=1m",
            "--log-opt",
            "max-file=2",
            "busybox",
            "sh",
            "-c",
            "yes 0123456789012345678901234567890123456789 | head -c 60000000; echo; echo the end",
        ])
        .ok();
    host.hull(&["ps"]).ok();
    assert_eq!(host.hull(&["wait", &id]).ok(), "0");
    let used = hull_testkit::run(
        std::process::Command::new("du").arg("-sk").arg(host.root().join("containers").join(&id)),
        b"",
    )
    .ok();
    let kib: u64 = used.split_whitespace().next().and_then(|w| w.parse().ok()).expect("a size");
    assert!(kib < 8 * 1024, "{kib} KiB are kept");
    assert_eq!(host.hull(&["logs", "--tail", "1", &id]).ok(), "the end");
}
