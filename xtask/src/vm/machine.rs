//! The machine: which hardware it has, and one run of it.
//!
//! Where it is emulated, its hardware is chosen for what emulation does well: see [`Machine::hardware`].

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::base::{self, Base};
use super::guest::Flavour;
use super::{NEEDS, Wish, dir, load, lock};
use crate::{apt, sh};

/// What the kernel is told on every kind of machine.
const KERNEL: &str =
    "console=ttyS0 loglevel=1 panic=-1 apparmor=1 security=apparmor cgroup_no_v1=all mitigations=off no5lvl";

/// And where it is emulated: the one clock that costs no exit from the emulated processor (it would be
/// thought unstable and replaced by HPET, whose every reading takes the emulator's big lock), and no
/// watchdogs, since it is a busy host that makes a processor stand still.
const EMULATED: &str = "tsc=reliable clocksource=tsc hpet=disable nowatchdog rcupdate.rcu_cpu_stall_suppress=1";

/// Disks ready to boot; nobody else uses them while this lives.
pub struct Machine {
    base: Base,
    load: PathBuf,
    /// What former boots of this round have done, as a disk.
    done: PathBuf,
    _lock: File,
}

/// How a run of the machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The listener has heard what it waited for.
    Heard,
    /// Nothing was heard for too long.
    Silent,
    /// The listener has heard nothing that matters for too long.
    Stalled,
    /// It switched itself off, or its kernel panicked.
    Gone,
    /// The time was up.
    Late,
}

impl Machine {
    /// Makes the disks.
    pub fn make(flavour: Flavour, wish: &Wish) -> Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            bail!("the virtual machine is x86-64 and runs executables built here, for {}", std::env::consts::ARCH);
        }
        apt::ensure(NEEDS)?;
        let dir = dir()?;
        let lock = lock(&dir)?;
        let base = base::make(&dir)?;
        let load = load::make(&dir, flavour, wish)?;
        let machine = Self { base, load, done: dir.join("done"), _lock: lock };
        machine.tell_done(&[])?;
        Ok(machine)
    }

    /// Writes what is not to be run again: lines of `<executable>` or `<executable> <test>`.
    pub fn tell_done(&self, lines: &[String]) -> Result<()> {
        let mut text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        // A disk consists of whole sectors.
        text.extend(std::iter::repeat_n('\n', (text.len() / 512 + 1) * 512 - text.len()));
        fs::write(&self.done, text).with_context(|| format!("cannot write {}", self.done.display()))
    }

    /// The command that runs it with its console on the standard streams.
    pub fn qemu(&self) -> Command {
        let kvm = has_kvm();
        // The machine dies with this process, however that ends.
        let mut command = sh::cmd("setpriv", &["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        command.args(Self::hardware(kvm));
        command.args(["-m", "4096", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot"]);
        command.args(["-nic", "none"]);
        command.arg("-kernel").arg(&self.base.kernel).arg("-initrd").arg(&self.base.initrd);
        command.arg("-append").arg(if kvm { KERNEL.to_owned() } else { format!("{KERNEL} {EMULATED}") });
        for disk in [&self.base.disk, &self.load, &self.done] {
            // Nothing of it outlives the machine: what the guest syncs need not reach the host's disk.
            command.arg("-drive").arg(format!("file={},format=raw,if=virtio,snapshot=on,cache=unsafe", disk.display()));
        }
        command
    }

    /// Emulated: an old processor. On one that has "enhanced" `rep movsb`, kernel and libc copy by it,
    /// and the emulator goes byte by byte: an engine starts in a third of the time without.
    fn hardware(kvm: bool) -> [&'static str; 6] {
        match kvm {
            true => ["-accel", "kvm", "-cpu", "max", "-smp", "2"],
            false => ["-accel", "tcg,thread=multi", "-cpu", "Nehalem,+rdrand", "-smp", "2"],
        }
    }

    /// Boots it and passes each line of its console to `hear` until that has heard enough, it is silent
    /// for `quiet`, it ends, or `until`. It has ended when this returns.
    pub fn boot(
        &self,
        quiet: Duration,
        until: Instant,
        mut hear: impl FnMut(&str) -> Option<Ending>,
    ) -> Result<Ending> {
        let mut child = self
            .qemu()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start qemu-system-x86_64")?;
        let console = lines(child.stdout.take().context("no console")?);
        let ending = loop {
            let now = Instant::now();
            let patience = quiet.min(until.saturating_duration_since(now));
            match console.recv_timeout(patience) {
                Ok(line) => {
                    if let Some(ending) = hear(&line) {
                        break ending;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break Ending::Gone,
                Err(RecvTimeoutError::Timeout) if now + quiet >= until => break Ending::Late,
                Err(RecvTimeoutError::Timeout) => break Ending::Silent,
            }
        };
        end(&mut child, ending == Ending::Heard)?;
        Ok(ending)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.load);
        let _ = fs::remove_file(&self.done);
    }
}

/// The console's lines as they come.
fn lines(console: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
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

/// Whether the processor virtualizes. A machine may have a /dev/kvm on which nothing runs.
fn has_kvm() -> bool {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let virtualizes = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    virtualizes && File::options().read(true).write(true).open(Path::new("/dev/kvm")).is_ok()
}
