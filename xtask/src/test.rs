//! `cargo xtask test`: everything that can be run, in three rounds, with one total.
//!
//! 1. all tests of the workspace, the engine's pools on;
//! 2. the integration suite again with pools off: a pool may never change what a container sees;
//! 3. what meets the kernel in a virtual machine whose cgroups are v2 (`cargo xtask vm test`), and
//!    cgroups under systemd in another (`cargo xtask vm systemd`).
//!
//! Then the controls: runc and crun over the cases of the OCI suite. They are shown and not counted, since a failure of
//! theirs under load is none of the product; one that stays shows a wrong expectation.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::{apt, clients, firewalls, oracle, services, sh, vm};

/// What the tests need besides a Rust toolchain.
const NEEDS: &[apt::Need] = &[
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("unshare", "util-linux"),
    ("prlimit", "util-linux"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("strace", "strace"),
    ("script", "bsdutils"),
    ("python3", "python3"),
    ("zstd", "zstd"),
    ("skopeo", "skopeo"),
    ("mmdebstrap", "mmdebstrap"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("openssl", "openssl"),
    ("runc", "runc"),
    ("crun", "crun"),
    ("containerd", "containerd"),
    ("podman", "podman"),
    ("conmon", "conmon"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("iperf3", "iperf3"),
];

/// Tests that passed and failed.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// A line for each failure, and for each test that passed only at the second try.
    pub notes: Vec<String>,
}

impl Total {
    /// Adds the other's counts.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.notes.extend(other.notes);
    }
}

/// Runs all rounds; `--no-vm` leaves the third out, other arguments go to the test runner.
pub fn run(args: &[String]) -> Result<()> {
    sh::need_root("cargo xtask test")?;
    apt::ensure(NEEDS)?;
    let rest: Vec<String> = args.iter().filter(|a| *a != "--no-vm").cloned().collect();
    if let Err(error) = oracle::fetch() {
        eprintln!("error: {error:#}\nhint:  the tests of hull under Docker's daemon will fail for want of it");
    }
    if let Err(error) = clients::fetch().and_then(|()| services::fetch()).and_then(|()| firewalls::fetch()) {
        eprintln!(
            "error: {error:#}\nhint:  the tests of other clients, of a stack of real services, and of firewalls will fail for want of it"
        );
    }
    sh::run(&mut sh::cmd("cargo", &["build", "--package", "hull"]))?;
    let mut total = Total::default();
    for (title, scope, pools) in [
        ("all tests", vec!["--workspace"], "on"),
        ("the suite without pools", vec!["--package", "hull", "--test", "suite"], "off"),
    ] {
        eprintln!("== {title}");
        total.add(round(&scope, &rest, pools)?);
    }
    if !args.iter().any(|a| a == "--no-vm") {
        eprintln!("== the suite on cgroup v2, in a virtual machine");
        // Hull as it is shipped: the other rounds have run it as it is built for tests.
        let shipped: Vec<String> = ["--release".to_owned()].into_iter().chain(rest.iter().cloned()).collect();
        total.add(vm::test(&shipped)?);
        if rest.is_empty() {
            eprintln!("== under systemd, in a virtual machine");
            total.add(vm::systemd(&shipped)?);
        }
    }
    if rest.is_empty() {
        eprintln!("== the controls of the OCI suite: runc and crun, not counted");
        let controls = controls()?;
        eprintln!("controls: {} passed, {} failed", controls.passed, controls.failed);
    }
    for note in &total.notes {
        println!("{note}");
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    if total.failed > 0 || total.passed == 0 {
        bail!("tests failed");
    }
    Ok(())
}

/// The same cases over runtimes that others made.
fn controls() -> Result<Total> {
    let mut command = if sh::found("cargo-nextest") {
        sh::cmd("cargo", &["nextest", "run", "--no-fail-fast", "--run-ignored", "all", "-E", "test(/^(runc|crun)::/)"])
    } else {
        sh::cmd("cargo", &["test", "--no-fail-fast"])
    };
    command.args(["--package", "hull", "--test", "oci"]);
    if !sh::found("cargo-nextest") {
        command.args(["--", "--include-ignored", "--skip", "hull::"]);
    }
    Ok(counted(&mut command)?.1)
}

fn round(scope: &[&str], rest: &[String], pools: &str) -> Result<Total> {
    let mut command = if sh::found("cargo-nextest") {
        sh::cmd("cargo", &["nextest", "run", "--no-fail-fast", "--no-tests=fail"])
    } else {
        sh::cmd("cargo", &["test", "--no-fail-fast"])
    };
    if std::env::var_os("CI").is_some() && sh::found("cargo-nextest") {
        command.args(["--profile", "ci"]);
    }
    command.args(scope).args(rest).env("HULL_POOLS", pools);
    let (ok, total) = counted(&mut command)?;
    if !ok && total.failed == 0 {
        bail!("the tests did not build or did not run");
    }
    Ok(total)
}

/// Runs a test runner, passes its output through, and reads its totals.
pub fn counted(command: &mut Command) -> Result<(bool, Total)> {
    let (reader, writer) = std::io::pipe()?;
    let mut child = command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).spawn()?;
    // The command keeps its copies of the pipe's end; replacing them lets the reader see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut total = Total::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        eprintln!("{line}");
        total.add(read_total(&line));
        if let Some(note) = read_note(&line).filter(|note| !total.notes.contains(note)) {
            total.notes.push(note);
        }
    }
    Ok((child.wait()?.success(), total))
}

/// `Summary [ 1.2s] 9 tests run: 8 passed (1 slow), 1 failed, 0 skipped` or
/// `test result: ok. 8 passed; 1 failed; 0 ignored; …`.
pub fn read_total(line: &str) -> Total {
    let text = strip_colour(line);
    // What a test that failed had printed itself, shown indented: it may have passed when it was tried again.
    if text.starts_with(' ') && text.contains("test result:") {
        return Total::default();
    }
    if !text.contains("tests run:") && !text.contains("test run:") && !text.contains("test result:") {
        return Total::default();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let count = |name: &str| {
        let at = words.iter().position(|w| w.trim_matches([',', ';', '(', ')']) == name)?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    let lost = count("failed").unwrap_or(0) + count("timed").unwrap_or(0);
    Total { passed: count("passed").unwrap_or(0), failed: lost, notes: Vec::new() }
}

/// The verdict and the name of a test that failed, or passed only when tried again, as cargo-nextest says it:
/// `FAIL [ 1.2s] (3/9) package::binary name`.
fn read_note(line: &str) -> Option<String> {
    let text = strip_colour(line);
    let words: Vec<&str> = text.split_whitespace().collect();
    let verdict =
        words.first().filter(|w| ["FAIL", "FLAKY", "TIMEOUT", "SIGABRT", "SIGSEGV", "SIGKILL"].contains(w))?;
    let [.., binary, name] = words[1..] else { return None };
    binary.contains("::").then(|| format!("{verdict} {binary} {name}"))
}

fn strip_colour(line: &str) -> String {
    let mut out = String::new();
    let mut escape = false;
    for c in line.chars() {
        match (escape, c) {
            (false, '\u{1b}') => escape = true,
            (false, c) => out.push(c),
            (true, 'm') => escape = false,
            (true, _) => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_failed_tests_are_read() {
        for (line, note) in [
            ("        FAIL [   3.2s] ( 7/215) hull::suite stdio::a", Some("FAIL hull::suite stdio::a")),
            ("   FLAKY 2/2 [   0.450s] (214/215) hull::suite stdio::b", Some("FLAKY hull::suite stdio::b")),
            ("  TRY 1 FAIL [  10.479s] (───────) hull::suite stdio::b", None),
            ("   FAIL", None),
            ("test result: FAILED. 1 passed", None),
        ] {
            assert_eq!(read_note(line).as_deref(), note, "{line}");
        }
    }

    #[test]
    fn both_runners_totals_are_read() {
        for (line, passed, failed) in [
            ("     Summary [   4.321s] 12 tests run: 11 passed (2 slow), 1 failed, 3 skipped", 11, 1),
            (
                "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m passed, 0 skipped",
                2,
                0,
            ),
            ("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", 3, 2),
            ("    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 28 filtered out", 0, 0),
            ("test something ... ok", 0, 0),
        ] {
            let total = read_total(line);
            assert_eq!((total.passed, total.failed), (passed, failed), "{line}");
        }
    }
}
