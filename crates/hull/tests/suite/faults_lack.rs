//! The machine lacks descriptors, memory or processes: the operation fails with a sentence, the link between
//! keeper and engine survives, and afterwards everything works.

use std::fs;
use std::process::Command;

use hull_testkit::{Host, Inject, at_rest, children, eventually, kill9, run};

/// A connection that cannot be watched is closed: its client has lost it. The standard library prints the words of the C library
/// that the binary carries, so descriptors are lacking in two ways.
const LACKS: &[&str] = &[
    "too many open files",
    "no file descriptors available",
    "cannot allocate memory",
    "lacks memory",
    "temporarily unavailable",
    "no buffer space",
    "lost the connection",
];

/// Descriptors that the process has open.
fn open(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("fds").count()
}

fn limit(pid: u32, soft: usize) {
    run(Command::new("prlimit").args(["--pid", &pid.to_string(), &format!("--nofile={soft}:")]), b"").ok();
}

/// What needs descriptors and processes.
fn attempts(host: &Host, at: &str) {
    let rows: [&[&str]; 4] = [
        &["run", "--rm", "busybox", "true"],
        &["start", "made"],
        &["exec", "there", "true"],
        &["exec", "-t", "there", "true"],
    ];
    for row in rows {
        let out = host.hull(row);
        if out.code != 0 {
            out.refuses(&format!("{at}: {}", row.join(" ")), LACKS);
        }
    }
    host.hull(&["stop", "-t", "0", "made"]);
}

/// Everything works, and nothing of what failed is left.
fn works(host: &Host, at: &str) {
    assert_eq!(host.sh(&[], "echo again"), "again", "{at}");
    assert_eq!(host.hull(&["exec", "there", "echo", "fine"]).ok(), "fine", "{at}");
    host.hull(&["start", "made"]).ok();
    host.hull(&["stop", "-t", "0", "made"]).ok();
    // The engine, `there`, and nobody else.
    eventually(&format!("{at}: no process is left"), || children(host.keeper_pid()).len() == 2);
}

fn furnished() -> Host {
    let host = Host::new();
    furnish(&host);
    host
}

fn furnish(host: &Host) {
    host.sleeper(&["--name", "there"]);
    host.hull(&["create", "--name", "made", "busybox", "sleep", "1000"]).ok();
    host.sh(&[], "true");
}

#[test]
fn a_keeper_without_descriptors_refuses_and_keeps_its_engine() {
    let host = furnished();
    let (engine, keeper) = (host.engine_pid(), host.keeper_pid());
    let before = at_rest(|| open(keeper));
    for spare in [0, 1, 2, 3, 5, 8, 12, 20] {
        let at = format!("the keeper may open {spare}");
        limit(keeper, before + spare);
        attempts(&host, &at);
        host.hull(&["ps", "-a"]).ok();
        assert_eq!((host.engine_pid(), host.keeper_pid()), (engine, keeper), "{at}: {}", host.log());
    }
    limit(keeper, 20_000);
    works(&host, "afterwards");
    // An engine that is started while there are none.
    limit(keeper, open(keeper));
    kill9(engine);
    eventually("the old one is gone", || !std::path::Path::new(&format!("/proc/{engine}")).exists());
    limit(keeper, 20_000);
    eventually("a new engine answers", || host.hull(&["ps"]).code == 0);
    works(&host, "after the next engine's start");
    assert_eq!(host.keeper_pid(), keeper, "{}", host.log());
}

#[test]
fn an_engine_without_descriptors_leaves_no_process_behind() {
    let host = furnished();
    let (engine, keeper) = (host.engine_pid(), host.keeper_pid());
    let before = at_rest(|| open(engine));
    for spare in 2..24 {
        let at = format!("the engine may open {spare}");
        limit(engine, before + spare);
        attempts(&host, &at);
        limit(engine, 4096);
        // One that could be started, and whose stop could not be heard.
        host.hull(&["stop", "-t", "0", "made"]);
        assert_eq!((host.engine_pid(), host.keeper_pid()), (engine, keeper), "{at}: {}", host.log());
        eventually(&format!("{at}: no process is left"), || children(keeper).len() == 2);
    }
    works(&host, "afterwards");
}

#[test]
fn lack_of_memory_in_a_call_of_the_keeper_or_the_engine_does_not_break_their_link() {
    let host = furnished();
    let (engine, keeper) = (host.engine_pid(), host.keeper_pid());
    let faults = [
        (keeper, "recvmsg:error=ENOMEM:when=1..2"),
        (keeper, "recvmsg:error=ENOBUFS:when=2"),
        (keeper, "sendmsg:error=ENOMEM:when=1..2"),
        (keeper, "sendmsg:error=ETOOMANYREFS:when=1"),
        (keeper, "clone,clone3:error=EAGAIN:when=1"),
        (keeper, "fcntl:error=EMFILE:when=1"),
        (keeper, "openat:error=EMFILE:when=1"),
        (engine, "sendmsg:error=ENOMEM:when=1..2"),
        (engine, "sendmsg:error=ENOBUFS:when=1..100"),
        (engine, "recvmsg:error=ENOMEM:when=1..2"),
        (engine, "pipe2:error=EMFILE:when=1"),
        (engine, "openat,openat2:error=ENFILE:when=5"),
        (engine, "epoll_ctl:error=ENOMEM:when=2"),
        (engine, "clone,clone3:error=EAGAIN:when=1..9"),
    ];
    // Under emulation an attached tracer costs seconds.
    let some = if std::env::var_os("HULL_TEST_SLOW").is_some() { 4 } else { 1 };
    let mut reached = 0;
    for (pid, fault) in faults.iter().step_by(some) {
        let at = format!("{fault} in the {}", if *pid == keeper { "keeper" } else { "engine" });
        {
            let inject = Inject::attach(*pid, &[fault]).expect("it lives");
            attempts(&host, &at);
            reached += usize::from(inject.count() > 0);
        }
        assert_eq!((host.engine_pid(), host.keeper_pid()), (engine, keeper), "{at}: {}", host.log());
        works(&host, &at);
        // What is still being removed must not meet the next fault.
        host.hull(&["rm", "made"]).ok();
        host.hull(&["rm", "-f", "there"]).ok();
        host.assert_clean();
        furnish(&host);
    }
    assert!(reached * 2 > faults.len() / some, "only {reached} faults were reached");
}

#[test]
fn an_exit_record_that_cannot_be_written_is_written_for_the_next_engine() {
    let host = Host::new();
    host.hull(&["run", "-d", "--name", "brief", "busybox", "sh", "-c", "until [ -e /go ]; do sleep 0.1; done; exit 9"])
        .ok();
    let keeper = host.keeper_pid();
    // With no descriptor it can neither write the record nor start an engine that would hear of the exit.
    let pid = host.pid("brief");
    limit(keeper, 1);
    kill9(host_engine(keeper));
    fs::write(format!("/proc/{pid}/root/go"), "").expect("it runs");
    eventually("it has ended", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    limit(keeper, 20_000);
    eventually("a new engine answers", || host.hull(&["ps"]).code == 0);
    assert_eq!(host.hull(&["wait", "brief"]).ok(), "9", "{}", host.log());
}

/// The engine, without asking it.
fn host_engine(keeper: u32) -> u32 {
    let is_engine =
        |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.starts_with(b"hull\0engine\0"));
    children(keeper).into_iter().find(is_engine).expect("an engine")
}

#[test]
fn a_container_that_opens_all_it_can_is_stopped_by_its_limit() {
    let host = Host::new();
    let probe = "import os\nn = 0\ntry:\n  while n < 100000:\n    os.dup(0); n += 1\nexcept OSError as e:\n  print(e.errno, flush=True)\nprint(n, flush=True)\nimport time\ntime.sleep(1000)";
    let id = host.hull(&["run", "-d", "--ulimit", "nofile=5000:5000", "hull/host", "python3", "-c", probe]).ok();
    eventually("it has opened what it may", || host.hull(&["logs", &id]).stdout.lines().count() == 2);
    let said = host.hull(&["logs", &id]).ok();
    let opened: usize = said.lines().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    assert!(said.starts_with("24\n") && (4_900..5_000).contains(&opened), "{said}");
    assert_eq!(host.sh(&[], "echo fine"), "fine");
    host.hull(&["rm", "-f", &id]).ok();
}

#[test]
fn a_client_whose_engine_dies_during_exec_is_told_that_the_end_is_not_known() {
    let host = Host::new();
    host.sleeper(&["--name", "there"]);
    let mut child = host
        .command("hull")
        .args(["exec", "there", "sh", "-c", "echo begun; sleep 1000"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("hull");
    let mut begun = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut begun).expect("it begins");
    kill9(host.engine_pid());
    let out = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(125), "{said}");
    assert!(said.contains("not known"), "{said}");
    assert_eq!(host.hull(&["exec", "there", "echo", "fine"]).ok(), "fine");
    // The command itself goes on, like anything in a container, and ends with it.
    host.hull(&["rm", "-f", "there"]).ok();
    host.assert_clean();
}
