//! The keeper as a process: launches, exits, what it holds, engine restarts, upgrade.

mod common;
use common::*;

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hull_launch::keeper::{Child, ExitRecord, HeldName, Reply, Request};
use hull_launch::plan::*;

fn mountinfo() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

fn sleeper(key: &str, root: &std::path::Path, seconds: &str) -> Launch {
    container(key, root, &["/bin/sleep", seconds])
}

fn list(keeper: &mut Keeper) -> (Vec<Child>, Vec<HeldName>, Vec<OwnedFd>) {
    let seq = keeper.next_seq();
    keeper.link.send(&Request::List { seq }, &[]).unwrap();
    match keeper.link.recv().unwrap() {
        (Reply::Listing { seq: got, children, held }, fds) if got == seq => (children, held, fds),
        other => panic!("unexpected {other:?}"),
    }
}

/// A pipe that no other test's processes inherit: one that did would keep it open.
fn private_pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap()
}

#[test]
fn an_exit_is_recorded_before_it_is_told() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let (text, code) = keeper.output(container("a", root.path(), &["/bin/sh", "-c", "echo hi; exit 3"]));
    assert_eq!((text.as_str(), code), ("hi\n", 3));
    let (_, code) = keeper.output(container("b", root.path(), &["/bin/sh", "-c", "kill -9 $$"]));
    assert_eq!(code, 0, "PID 1 cannot kill itself");
}

#[test]
fn the_hosts_mount_table_is_the_same_before_during_and_after() {
    let before = mountinfo();
    let mut keeper = Keeper::start();
    let root = rootfs();
    let launched = keeper.launch(sleeper("s", root.path(), "100")).unwrap();
    assert_eq!(mountinfo(), before);
    hull_sys::pidfd::send_signal(&launched.pidfd, 9).unwrap();
    assert_eq!(keeper.code("s"), 128 + 9);
    drop(keeper);
    assert_eq!(mountinfo(), before);
}

#[test]
fn launches_progress_side_by_side() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let seqs: Vec<u64> =
        (0..100).map(|n| keeper.send(container(&format!("p{n}"), root.path(), &["/bin/true"]))).collect();
    let mut launched = 0;
    let mut exited = 0;
    while launched < 100 || exited < 100 {
        match keeper.link.recv().unwrap().0 {
            Reply::Launched { seq, .. } if seqs.contains(&seq) => launched += 1,
            Reply::Exited(ExitRecord { status: 0, .. }) => exited += 1,
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[test]
fn a_killed_engine_is_started_again_and_finds_everything() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let mut launch = sleeper("s", root.path(), "100");
    let reader = launch.capture();
    launch.hold.push(("stdout".into(), Slot(launch.fds.len() as u16 - 1)));
    keeper.launch(launch).unwrap();
    let mut quick = container("q", root.path(), &["/bin/sh", "-c", "read x; exit 7"]);
    let (quick_in, writer) = private_pipe();
    let null = quick.slot(std::fs::File::open("/dev/null").unwrap());
    let stdin = quick.slot(quick_in);
    quick.step(Step::Stdio { stdin, stdout: null, stderr: null, owner: None });
    keeper.launch(quick).unwrap();

    let started = Instant::now();
    hull_sys::signals::kill(keeper.engine_pid, 9).unwrap();
    // It exits while no engine runs, or another one already does: the record is there either way.
    drop(writer);
    keeper.meet_again();
    let record = keeper.run.path().join("exits/q");
    while !record.exists() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(1));
    }
    let record: ExitRecord = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!(hull_sys::process::exit_code(record.status), 7);
    let seq = keeper.next_seq();
    keeper.link.send(&Request::List { seq }, &[]).unwrap();
    let (children, held, fds) = loop {
        match keeper.link.recv().unwrap() {
            (Reply::Listing { children, held, .. }, fds) => break (children, held, fds),
            (Reply::Exited(_), _) => {}
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].key, "s");
    assert_eq!(held, [HeldName { key: "s".into(), name: "stdout".into() }]);
    // fds: the pidfd of the child, then the held pipe.
    hull_sys::pidfd::send_signal(&fds[0], 9).unwrap();
    rustix::io::write(&fds[1], b"still open").unwrap();
    assert_eq!(keeper.code("s"), 137);
    drop((reader, fds));
}

#[test]
fn what_is_held_is_open_until_it_is_dropped() {
    let mut keeper = Keeper::start();
    let (reader, writer) = private_pipe();
    for name in ["one", "two"] {
        let request = Request::Hold { key: "k".into(), name: name.into() };
        keeper.link.send(&request, &[writer.as_fd()]).unwrap();
    }
    drop(writer);
    assert_eq!(list(&mut keeper).1.len(), 2);
    keeper.link.send(&Request::Drop { key: "k".into(), name: Some("one".into()) }, &[]).unwrap();
    assert_eq!(list(&mut keeper).1, [HeldName { key: "k".into(), name: "two".into() }]);
    keeper.link.send(&Request::Drop { key: "k".into(), name: None }, &[]).unwrap();
    assert!(list(&mut keeper).1.is_empty());
    let mut rest = Vec::new();
    std::fs::File::from(reader).read_to_end(&mut rest).unwrap();
}

#[test]
fn a_bad_request_is_refused_and_harms_nothing() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    for key in ["", "../x", ".hidden", "a/b"] {
        let failure = keeper.launch(sleeper(key, root.path(), "1")).err().unwrap();
        assert_eq!((failure.step, failure.errno), (STEP_CLONE, 22), "{key:?}");
    }
    keeper.launch(sleeper("twice", root.path(), "100")).unwrap();
    let failure = keeper.launch(sleeper("twice", root.path(), "100")).err().unwrap();
    assert_eq!(failure.errno, 17);
    let mut launch = Launch::new("slots", &["/bin/true"]);
    launch.step(Step::Enter { fd: Slot(9), namespaces: Namespaces::NETWORK });
    let failure = keeper.launch(launch).err().unwrap();
    assert_eq!((failure.step, failure.errno), (0, 9), "{failure:?}");
    let mut launch = sleeper("hold", root.path(), "1");
    launch.hold.push(("x".into(), Slot(7)));
    assert_eq!(keeper.launch(launch).err().unwrap().errno, 9);
    assert_eq!(list(&mut keeper).0.len(), 1);
}

#[test]
fn an_upgrade_keeps_children_descriptors_and_the_link() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let launched = keeper.launch(sleeper("s", root.path(), "100")).unwrap();
    let (reader, writer) = private_pipe();
    let request = Request::Hold { key: "s".into(), name: "pipe".into() };
    keeper.link.send(&request, &[writer.as_fd()]).unwrap();
    drop(writer);
    let program = |keeper: &Keeper| std::fs::read_link(format!("/proc/{}/fd/../exe", keeper.process.id())).unwrap();
    let before = program(&keeper);
    for _ in 0..3 {
        let seq = keeper.next_seq();
        let file = std::fs::File::open(ROLE).unwrap();
        keeper.link.send(&Request::Upgrade { seq }, &[file.as_fd()]).unwrap();
        match keeper.link.recv().unwrap().0 {
            Reply::Upgraded { seq: got } => assert_eq!(got, seq),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(program(&keeper), before);
    let (children, held, _fds) = list(&mut keeper);
    assert_eq!(children, [Child { key: "s".into(), pid: launched.pid }]);
    assert_eq!(held.len(), 1);
    drop(_fds);
    hull_sys::pidfd::send_signal(&launched.pidfd, 9).unwrap();
    assert_eq!(keeper.code("s"), 137);
    keeper.output(container("again", root.path(), &["/bin/true"]));
    // Not a program: the keeper says so and goes on.
    let seq = keeper.next_seq();
    let file = std::fs::File::open("/etc/hostname").unwrap();
    keeper.link.send(&Request::Upgrade { seq }, &[file.as_fd()]).unwrap();
    assert!(matches!(keeper.link.recv().unwrap().0, Reply::Failed { .. }));
    keeper.output(container("still", root.path(), &["/bin/true"]));
    keeper.link.send(&Request::Drop { key: "s".into(), name: None }, &[]).unwrap();
    std::fs::File::from(reader).read_to_end(&mut Vec::new()).unwrap();
    keeper.next_engine(0);
}

#[test]
fn sigterm_stops_the_engine_and_then_the_keeper_but_no_container() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let launched = keeper.launch(sleeper("s", root.path(), "100")).unwrap();
    hull_sys::signals::kill(keeper.process.id() as i32, 15).unwrap();
    assert!(keeper.process.wait().unwrap().success());
    assert!(!hull_sys::pidfd::has_exited(&launched.pidfd).unwrap());
    hull_sys::pidfd::send_signal(&launched.pidfd, 9).unwrap();
}

#[test]
fn a_second_keeper_of_the_same_run_directory_is_refused() {
    let keeper = Keeper::start();
    let output = std::process::Command::new(ROLE).arg("keeper").arg(keeper.run.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("another keeper runs with the run directory"), "{text}");
}

#[test]
fn the_keeper_runs_from_a_sealed_memfd_in_a_tiny_mount_namespace() {
    let keeper = Keeper::start();
    let proc = std::path::PathBuf::from(format!("/proc/{}", keeper.process.id()));
    let exe = std::fs::read_link(proc.join("exe")).unwrap();
    assert!(exe.to_str().unwrap().starts_with("/memfd:hull"), "{exe:?}");
    let write = std::fs::OpenOptions::new().write(true).open(proc.join("exe"));
    assert!(write.is_err());
    let mounts = std::fs::read_to_string(proc.join("mountinfo")).unwrap();
    assert_eq!(mounts.lines().count(), 3, "{mounts}");
    let environ = std::fs::read(proc.join("environ")).unwrap();
    let environ = String::from_utf8_lossy(&environ);
    assert!(environ.starts_with("HULL_KEEPER_STATE_FD=") && !environ.contains("PATH="), "{environ}");
    // The engine is in the host's mount namespace.
    let host = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    let engine = std::fs::read_link(format!("/proc/{}/ns/mnt", keeper.engine_pid)).unwrap();
    assert_eq!(engine, host);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(keeper.run.path().join("engine.sock")).unwrap());
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn connections_wait_while_the_engine_restarts() {
    let mut keeper = Keeper::start();
    let path = keeper.run.path().join("engine.sock");
    keeper.engine.write_all(&[1]).unwrap();
    let mut client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    client.write_all(b"hello").unwrap();
    keeper.meet_again();
    let listener = std::os::unix::net::UnixListener::from(keeper.listener.try_clone().unwrap());
    let (mut served, _) = listener.accept().unwrap();
    let mut text = [0; 5];
    served.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
}

/// Whenever the engine dies, the next one can account for everything that was launched.
#[test]
fn an_engine_killed_at_any_moment_loses_no_process_and_no_exit() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let descriptors = |keeper: &Keeper| std::fs::read_dir(format!("/proc/{}/fd", keeper.process.id())).unwrap().count();
    let before = descriptors(&keeper);
    for round in 0..12u64 {
        for n in 0..10 {
            let script = format!("exit {n}");
            let launch = container(&format!("r{round}.{n}"), root.path(), &["/bin/sh", "-c", &script]);
            keeper.send(launch);
        }
        std::thread::sleep(Duration::from_micros(700 * round));
        hull_sys::signals::kill(keeper.engine_pid, 9).unwrap();
        keeper.meet_again();
        // The list comes when all that the dead engine asked for is decided.
        let seq = keeper.next_seq();
        keeper.link.send(&Request::List { seq }, &[]).unwrap();
        let mut running = Vec::new();
        let mut listed = false;
        let mut exited = Vec::new();
        while !listed || running.iter().any(|key| !exited.contains(key)) {
            match keeper.link.recv().unwrap().0 {
                Reply::Listing { children, .. } => {
                    listed = true;
                    running = children.into_iter().map(|child| child.key).collect();
                }
                Reply::Exited(record) => exited.push(record.key),
                other => panic!("an answer for a dead engine: {other:?}"),
            }
        }
        for n in 0..10 {
            // A request that never arrived has no record; one that did has the right one.
            if let Ok(text) = std::fs::read(keeper.run.path().join(format!("exits/r{round}.{n}"))) {
                let record: ExitRecord = serde_json::from_slice(&text).unwrap();
                assert_eq!(hull_sys::process::exit_code(record.status), n);
            }
        }
    }
    assert!(keeper.run.path().join("exits/r11.0").exists());
    assert!(list(&mut keeper).0.is_empty());
    assert_eq!(descriptors(&keeper), before);
}

#[test]
fn a_launch_whose_keeper_is_killed_never_starts_its_command() {
    let mut keeper = Keeper::start();
    let root = rootfs();
    let mut launch = container("half", root.path(), &["/bin/sh", "-c", "echo ran"]);
    let mut output = launch.capture();
    // A step that blocks until the test lets it go: a write to a full pipe.
    let (reader, writer) = private_pipe();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, &[0; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let full = launch.slot(writer);
    launch.plan.steps.insert(0, Step::JoinCgroups { tasks: vec![full] });
    keeper.send(launch);
    // Answered after the launch has begun.
    list(&mut keeper);
    keeper.process.kill().unwrap();
    keeper.process.wait().unwrap();
    let mut reader = std::fs::File::from(reader);
    assert!(reader.read(&mut [0; 65536]).unwrap() > 0);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
}
