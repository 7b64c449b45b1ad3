//! The keeper for tests: `launch-role keeper RUN` runs one whose engine is `launch-role engine RUN`, and that
//! engine hands its end of the link to the test, which listens on `RUN/test.sock`.
//!
//! `launch-role keeper-enosys RUN` is the same on a kernel that lacks `clone3`, `openat2` and `close_range`.
//!
//! A byte on that socket makes the fake engine exit with it as its code; the end of it, with 0.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;

use hull_launch::keeper::{self, KEEPER_FD, KeeperArgs, LISTEN_FD};

fn main() {
    let args: Vec<OsString> = std::env::args_os().collect();
    let run = Path::new(&args[2]);
    match args[1].to_str() {
        Some("keeper") => keeper::run(KeeperArgs {
            run: run.to_owned(),
            socket: run.join("engine.sock"),
            socket_group: |_| None,
            engine: vec!["engine".into(), run.into()],
        }),
        Some("keeper-enosys") => {
            lose_newer_calls();
            let role = std::env::current_exe().unwrap();
            let error = std::process::Command::new(role).arg("keeper").arg(run).exec();
            panic!("{error}");
        }
        Some("engine") => engine(run),
        other => panic!("no role {other:?}"),
    }
}

/// From here on the kernel answers ENOSYS to `clone3`, `openat2` and `close_range`. Their numbers are the
/// same on every architecture.
fn lose_newer_calls() {
    const LOAD_NUMBER: u64 = 0x20;
    const ENOSYS: u64 = 0x06 | (0x0005_0000 | 38) << 32;
    const ALLOW: u64 = 0x06 | 0x7fff_0000 << 32;
    let calls = [435u64, 436, 437];
    let mut program = vec![LOAD_NUMBER];
    for (index, call) in calls.iter().enumerate() {
        // jeq: on a match over the rest of the comparisons and ALLOW.
        let skip = (calls.len() - index) as u64;
        program.push(0x15 | skip << 16 | call << 32);
    }
    program.extend([ALLOW, ENOSYS]);
    hull_sys::caps::set_no_new_privileges().unwrap();
    hull_sys::seccomp::load(&program, 0).unwrap();
}

fn engine(run: &Path) {
    let link = hull_sys::fds::adopt_from_env(KEEPER_FD).unwrap().unwrap();
    let listener = hull_sys::fds::adopt_from_env(LISTEN_FD).unwrap().unwrap();
    let mut test = UnixStream::connect(run.join("test.sock")).unwrap();
    let fds: Vec<BorrowedFd<'_>> = vec![link.as_fd(), listener.as_fd()];
    let pid = std::process::id().to_le_bytes();
    hull_sys::fdpass::send(&test, &pid, &fds).unwrap();
    let mut byte = [0];
    let code = if test.read(&mut byte).unwrap_or(0) == 1 { i32::from(byte[0]) } else { 0 };
    std::process::exit(code);
}
