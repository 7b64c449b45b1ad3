//! Nobody waits for somebody else's call: while one is held open for as long as the test wants, all others end.

use std::io::Write;
use std::process::{Child, Stdio};

use hull_testkit::Host;

/// Everything that a neighbour does all day, on a container of its own, and what is asked of the whole engine.
fn a_day(host: &Host, held: &str) {
    host.hull(&["run", "-d", "--name", "day", "-v", "ours:/ours", "busybox", "sh", "-c", "echo ready; sleep 1000"])
        .ok();
    host.ready("day");
    for words in [
        &["ps", "-a"][..],
        &["inspect", held],
        &["inspect", "day"],
        &["exec", "day", "touch", "/ours/file"],
        &["top", "day"],
        &["stats", "--no-stream", "day"],
        &["diff", "day"],
        &["pause", "day"],
        &["unpause", "day"],
        &["rename", "day", "night"],
        &["update", "--pids-limit", "50", "night"],
        &["commit", "night", "kept"],
        &["images"],
        &["rmi", "kept"],
        &["network", "create", "lan"],
        &["network", "connect", "lan", "night"],
        &["network", "disconnect", "lan", "night"],
        &["network", "rm", "lan"],
        &["volume", "ls"],
        &["system", "df"],
        &["info"],
        &["restart", "-t", "0", "night"],
        &["stop", "-t", "0", "night"],
        &["rm", "night"],
        &["volume", "rm", "ours"],
        &["run", "--rm", "busybox", "true"],
    ] {
        host.hull(words).ok();
    }
}

/// The call that is held open is still going on.
#[track_caller]
fn still_held(call: &mut Child) {
    assert!(call.try_wait().expect("wait").is_none(), "the call has ended: nothing was shown");
}

/// A call whose input is in the test's hand.
fn held(host: &Host, words: &[&str]) -> Child {
    let mut command = host.command("hull");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("hull")
}

#[test]
fn nobody_waits_for_a_container_that_does_not_stop() {
    let host = Host::new();
    host.hull(&[
        "run",
        "-d",
        "--name",
        "deaf",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; echo ready; while :; do sleep 1; done",
    ])
    .ok();
    host.ready("deaf");
    let mut stop = held(&host, &["stop", "-t", "600", "deaf"]);
    hull_testkit::eventually("it is being stopped", || {
        host.hull(&["events", "--since", "1h", "--until", "0s"]).stdout.contains("kill")
    });
    a_day(&host, "deaf");
    // Of the same container too, what only looks.
    for words in [&["logs", "deaf"][..], &["top", "deaf"], &["exec", "deaf", "true"], &["inspect", "deaf"]] {
        host.hull(words).ok();
    }
    still_held(&mut stop);
    host.hull(&["kill", "deaf"]).ok();
    assert!(stop.wait().expect("wait").success());
    host.assert_clean();
}

#[test]
fn nobody_waits_for_an_upload_that_stalls() {
    let host = Host::new();
    host.sleeper(&["--name", "slow"]);
    let mut load = held(&host, &["load"]);
    let mut copy = held(&host, &["cp", "-", "slow:/"]);
    // The head of a tar archive's member, and nothing of what it announces.
    let mut head = vec![0u8; 512];
    head[..4].copy_from_slice(b"file");
    head[100..108].copy_from_slice(b"0000644\0");
    head[124..136].copy_from_slice(b"00004000000\0");
    head[148..156].copy_from_slice(b"        ");
    head[156] = b'0';
    head[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    for call in [&mut load, &mut copy] {
        call.stdin.as_mut().expect("piped").write_all(&head).expect("write");
    }
    a_day(&host, "slow");
    host.hull(&["exec", "slow", "true"]).ok();
    still_held(&mut load);
    still_held(&mut copy);
    for call in [&mut load, &mut copy] {
        drop(call.stdin.take());
        assert!(!call.wait().expect("wait").success(), "half an archive is refused");
    }
    host.assert_clean();
}

#[test]
fn nobody_waits_for_readers_that_do_not_read() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "loud", "busybox", "sh", "-c", "echo ready; yes"]).ok();
    host.ready("loud");
    let mut calls: Vec<Child> = [&["logs", "-f", "loud"][..], &["attach", "--no-stdin", "loud"], &["events"]]
        .iter()
        .map(|words| {
            host.command("hull").args(*words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("hull")
        })
        .collect();
    a_day(&host, "loud");
    for call in &mut calls {
        still_held(call);
        call.kill().expect("kill");
        call.wait().expect("wait");
    }
    host.hull(&["kill", "loud"]).ok();
    host.assert_clean();
}
