//! `cargo xtask vm`: Debian's cloud kernel (6.1) under qemu with cgroup v2; emulated where the machine has no KVM.
//!
//! Two disks, both under `target/vm` and never written by the guest (its writes go to an unlinked
//! file): [`base`], made once, and [`load`], with this build's executables. An initrd mounts them and
//! hands over to a script from [`guest`]. The run's result is what the guest prints on its console.
//! The machine ends with this process: by itself, by its time limit, or by its parent's death.

mod base;
mod guest;
mod load;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::test::Total;
use crate::{apt, sh};
use guest::{Flavour, Hearing};

const NEEDS: &[apt::Need] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mkfs.ext4", "e2fsprogs"),
    ("strip", "binutils"),
    ("setpriv", "util-linux"),
];

/// How long the whole machine may run.
const LIMIT: Duration = Duration::from_secs(35 * 60);

/// How long one test executable may run: a crate's, and the suite of the whole.
const LIMIT_OF_ONE: Duration = Duration::from_secs(6 * 60);
const LIMIT_OF_SUITE: Duration = Duration::from_secs(25 * 60);

const HELP: &str = "\
cargo xtask vm test [--package P]... [FILTER]...     the tests that meet the kernel, on cgroup v2 without systemd
cargo xtask vm systemd [--package P]... [FILTER]...  under systemd, in delegated units (default: hull-cgroup)
cargo xtask vm shell [--package P]...                a shell in the guest, with hull and the test executables
cargo xtask vm base                                  only make the guest's disk
";

/// Which tests are to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Wish {
    packages: Vec<String>,
    filters: Vec<String>,
}

impl Wish {
    /// Reads `[--package P]... [FILTER]...`. `P` may leave the `hull-` out.
    pub fn parse(args: &[String], default: &[&str]) -> Result<Self> {
        let mut wish = Self { packages: Vec::new(), filters: Vec::new() };
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            let package = match arg {
                "--package" | "-p" => Some(args.next().context("--package needs a name")?),
                _ => arg.strip_prefix("--package="),
            };
            match package {
                Some(name) if name == "hull" || name.starts_with("hull-") => wish.packages.push(name.to_owned()),
                Some(name) => wish.packages.push(format!("hull-{name}")),
                None if arg.starts_with('-') => bail!("unknown option `{arg}`\n{HELP}"),
                None => wish.filters.push(arg.to_owned()),
            }
        }
        if wish.packages.is_empty() {
            wish.packages = default.iter().map(|p| (*p).to_owned()).collect();
        }
        Ok(wish)
    }
}

/// See [`HELP`].
pub fn run(args: &[String]) -> Result<()> {
    let rest = args.get(1..).unwrap_or_default();
    let total = match args.first().map(String::as_str) {
        Some("test") => test(rest)?,
        Some("systemd") => systemd(rest)?,
        Some("shell") => return shell(rest),
        Some("base") => {
            let dir = dir()?;
            let _lock = lock(&dir)?;
            return base::make(&dir).map(drop);
        }
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            return Ok(());
        }
        Some(other) => bail!("unknown command `vm {other}`\n{HELP}"),
    };
    if total.failed > 0 {
        bail!("tests failed in the virtual machine");
    }
    if total.passed == 0 {
        bail!("no test ran in the virtual machine");
    }
    Ok(())
}

/// Builds, boots, runs the wished tests without systemd, and returns the guest's totals.
pub fn test(args: &[String]) -> Result<Total> {
    listen(&Machine::make(Flavour::Test, &Wish::parse(args, &load::PACKAGES)?)?)
}

/// As [`test()`], under systemd, each executable in a unit with `Delegate=yes`.
pub fn systemd(args: &[String]) -> Result<Total> {
    listen(&Machine::make(Flavour::Systemd, &Wish::parse(args, &["hull-cgroup"])?)?)
}

fn shell(args: &[String]) -> Result<()> {
    let machine = Machine::make(Flavour::Shell, &Wish::parse(args, &load::PACKAGES)?)?;
    sh::run(&mut machine.qemu())
}

/// Disks ready to boot; nobody else uses them while this lives.
struct Machine {
    base: base::Base,
    load: PathBuf,
    _lock: File,
}

impl Machine {
    fn make(flavour: Flavour, wish: &Wish) -> Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            bail!("the virtual machine is x86-64 and runs executables built here, for {}", std::env::consts::ARCH);
        }
        apt::ensure(NEEDS)?;
        let dir = dir()?;
        let lock = lock(&dir)?;
        let base = base::make(&dir)?;
        let load = load::make(&dir, flavour, wish)?;
        Ok(Self { base, load, _lock: lock })
    }

    fn qemu(&self) -> Command {
        let drive = |path: &Path| format!("file={},format=raw,if=virtio,snapshot=on", path.display());
        let accel = if has_kvm() { "kvm" } else { "tcg,thread=multi" };
        // The machine dies with this process, however that ends.
        let mut command = sh::cmd("setpriv", &["--pdeathsig", "KILL", "qemu-system-x86_64", "-accel", accel]);
        command.args(["-cpu", "max", "-smp", "2", "-m", "4096", "-display", "none", "-serial", "stdio"]);
        command.args(["-monitor", "none", "-no-reboot", "-nic", "none"]);
        command.arg("-kernel").arg(&self.base.kernel).arg("-initrd").arg(&self.base.initrd);
        command.args([
            "-append",
            "console=ttyS0 loglevel=1 panic=-1 apparmor=1 security=apparmor cgroup_no_v1=all mitigations=off no5lvl",
        ]);
        command.arg("-drive").arg(drive(&self.base.disk)).arg("-drive").arg(drive(&self.load));
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.load);
    }
}

/// Whether the processor virtualizes. A machine may have a /dev/kvm on which nothing runs.
fn has_kvm() -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let virtualizes = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    virtualizes && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

/// Boots, passes the console on, and returns what was counted.
fn listen(machine: &Machine) -> Result<Total> {
    let began = Instant::now();
    let mut qemu = machine.qemu();
    let mut child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start qemu")?;
    let console = child.stdout.take().context("no console")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let mut hearing = Hearing::default();
    let in_time = hear(&lines, began + LIMIT, &mut hearing);
    end(&mut child, hearing.finished)?;
    eprintln!("in {} s in the virtual machine, {}", began.elapsed().as_secs(), hearing.summary());
    if !in_time {
        bail!("the virtual machine was stopped after {} minutes; {} ran", LIMIT.as_secs() / 60, hearing.running());
    }
    if !hearing.finished {
        bail!("the virtual machine ended before the tests did; {} ran", hearing.running());
    }
    Ok(hearing.total)
}

/// Hears the guest out; `false` if the time was up first.
fn hear(lines: &mpsc::Receiver<String>, until: Instant, hearing: &mut Hearing) -> bool {
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                eprintln!("vm| {line}");
                hearing.line(&line);
                if hearing.finished {
                    return true;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

/// A guest that said its last word has ten seconds to switch itself off.
fn end(child: &mut Child, finished: bool) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(if finished { 10 } else { 0 });
    while child.try_wait()?.is_none() {
        if Instant::now() >= patience {
            child.kill()?;
            child.wait()?;
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Where the disks are kept.
fn dir() -> Result<PathBuf> {
    let dir = sh::target().join("vm");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// One run at a time; what an interrupted one has left is removed.
fn lock(dir: &Path) -> Result<File> {
    let file = File::create(dir.join("lock"))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another virtual machine of this checkout to end");
        file.lock()?;
    }
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(".tmp") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_filters_are_told_apart() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
            Wish::parse(&args, &["hull-sys"]).map(|w| (w.packages.join(" "), w.filters.join(" ")))
        };
        for (args, packages, filters) in [
            (&["--package", "cgroup", "freeze"][..], "hull-cgroup", "freeze"),
            (&["-p", "hull", "a", "--package=hull-launch", "b"], "hull hull-launch", "a b"),
            (&[], "hull-sys", ""),
        ] {
            assert_eq!(parse(args).unwrap(), (packages.to_owned(), filters.to_owned()));
        }
        assert!(parse(&["--package"]).is_err());
        assert!(parse(&["--frobnicate"]).is_err());
    }
}
