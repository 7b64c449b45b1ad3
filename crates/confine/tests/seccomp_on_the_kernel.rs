//! hull's default filter, loaded into one thread of this process: what the running kernel then does.
//!
//! Nothing outlives the thread; programs that it starts inherit the filter.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use hull_confine::caps;
use hull_confine::seccomp::{Arch, Cache, Profile, Target};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

/// Runs `check` in a thread of its own, under the default filter.
fn confined(check: impl FnOnce() + Send + 'static) {
    let release = rustix::system::uname();
    let kernel = release.release().to_str().unwrap().parse().unwrap();
    let target = Target { arch: Arch::NATIVE, caps: caps::DEFAULT, kernel };
    let program = Cache::new().program(Profile::builtin(), &target).unwrap();
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        hull_sys::seccomp::load(&program.filter, program.flags).unwrap();
        check();
    });
    thread.join().unwrap();
}

#[test]
fn address_families_of_exploits_are_refused() {
    confined(|| {
        const AF_ALG: u16 = 38;
        const AF_VSOCK: u16 = 40;
        for family in [AF_ALG, AF_VSOCK] {
            let made = socket(AddressFamily::from_raw(family), SocketType::SEQPACKET, None);
            assert_eq!(made.err(), Some(Errno::PERM), "family {family}");
        }
        socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    });
}

#[test]
fn namespaces_and_mounts_are_refused() {
    confined(|| {
        for command in ["unshare --user true", "unshare --mount true", "mount -t tmpfs x /mnt"] {
            let out = Command::new("/bin/sh").args(["-c", command]).output().unwrap();
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(!out.status.success(), "{command}");
            let refused = ["permitted", "permission denied"];
            assert!(refused.iter().any(|word| said.contains(word)), "{command}: {said}");
        }
    });
}

#[test]
fn ordinary_work_goes_on() {
    confined(|| {
        // clone3 answers ENOSYS, and libc falls back to clone.
        std::thread::spawn(|| ()).join().unwrap();
        let out = Command::new("/bin/sh").args(["-c", "ls / | sort | wc -l"]).output().unwrap();
        assert!(out.status.success());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.write_all(b"x").unwrap();
        std::fs::read_to_string("/proc/self/status").unwrap();
    });
}
