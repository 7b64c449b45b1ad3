//! `cargo xtask vm`: Debian's cloud kernel under qemu (emulated, no KVM needed), with cgroup v2.
//!
//! Two disks: `base` (a small Debian, made once and kept in target/vm) and `load` (this build's binary
//! and test executables, made anew). An initrd with five modules mounts them and hands over to
//! [`guest`]'s script. The run's result is what the guest prints on its console.

mod base;
mod guest;
mod load;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, bail};

use crate::test::Total;
use crate::{apt, sh};

const NEEDS: &[apt::Need] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("cpio", "cpio"),
    ("mmdebstrap", "mmdebstrap"),
    ("mkfs.ext4", "e2fsprogs"),
    ("busybox", "busybox-static"),
];

/// `vm test [FILTER]` runs the suite; `vm shell` gives a shell; `vm base` only
/// prepares the disk.
pub fn run(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("test") => {
            let filters: Vec<&str> = args[1..].iter().map(String::as_str).collect();
            let total = test(&filters)?;
            println!("{} passed, {} failed", total.passed, total.failed);
            if total.failed > 0 || total.passed == 0 {
                bail!("tests failed in the virtual machine");
            }
            Ok(())
        }
        Some("base") => {
            apt::ensure(NEEDS)?;
            base::make().map(drop)
        }
        Some("shell") | None => shell(),
        Some(other) => bail!("unknown command `vm {other}`: `test`, `shell` or `base`"),
    }
}

/// Builds, boots, runs the tests whose names contain a filter, and returns the guest's totals.
pub fn test(filters: &[&str]) -> Result<Total> {
    apt::ensure(NEEDS)?;
    let base = base::make()?;
    let load = load::make(&guest::test_script(filters))?;
    let mut qemu = qemu(&base, &load);
    let mut child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut total = Total::default();
    let mut finished = false;
    let console = child.stdout.take().expect("piped");
    for line in BufReader::new(console).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_string();
        eprintln!("vm| {line}");
        if let Some(result) = guest::result(&line) {
            total.add(result);
        }
        finished |= line.contains(guest::END);
    }
    child.wait()?;
    if !finished {
        bail!("the virtual machine ended before the tests did");
    }
    Ok(total)
}

fn shell() -> Result<()> {
    apt::ensure(NEEDS)?;
    let base = base::make()?;
    let load = load::make(guest::SHELL)?;
    sh::run(&mut qemu(&base, &load))
}

fn qemu(base: &base::Base, load: &std::path::Path) -> std::process::Command {
    let drive = |path: &std::path::Path| format!("file={},format=raw,if=virtio,snapshot=on", path.display());
    let mut command =
        sh::cmd("qemu-system-x86_64", &["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "4096"]);
    command.args(["-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none"]);
    command.arg("-kernel").arg(&base.kernel).arg("-initrd").arg(&base.initrd);
    command.args([
        "-append",
        "console=ttyS0 quiet panic=-1 apparmor=1 security=apparmor cgroup_no_v1=all mitigations=off",
    ]);
    command.arg("-drive").arg(drive(&base.disk)).arg("-drive").arg(drive(load));
    command
}

/// Where the disks are kept.
fn dir() -> PathBuf {
    sh::target().join("vm")
}
