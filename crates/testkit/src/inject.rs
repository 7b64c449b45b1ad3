//! Faults by system call: strace answers for the kernel, or kills at a call.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{eventually, patience};

/// A tracer on a running process and its threads. Dropping it lets the process go on untraced.
#[derive(Debug)]
pub struct Inject {
    tracer: Child,
    traced: u32,
    log: tempfile::NamedTempFile,
}

impl Inject {
    /// Attaches with these expressions of strace's `-e inject=`: `fdatasync:error=EIO`,
    /// `mkdirat:signal=KILL:when=3` (counted per thread). `None` if the process is gone.
    pub fn attach(pid: u32, injections: &[&str]) -> Option<Self> {
        let log = tempfile::NamedTempFile::new().expect("a scratch file");
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(log.path()).args(expressions(injections));
        command.args(["-p", &pid.to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        let said = tempfile::NamedTempFile::new().expect("a scratch file");
        command.stderr(said.reopen().expect("reopen"));
        let mut tracer = command.spawn().expect("strace is needed: cargo xtask test installs it");
        let mut gone = false;
        eventually("strace is attached", || {
            gone = tracer.try_wait().is_ok_and(|status| status.is_some());
            gone || fs::read_to_string(said.path()).is_ok_and(|text| text.contains("attached"))
        });
        (!gone).then_some(Self { tracer, traced: pid, log })
    }

    /// How many calls were answered, or were the last of their process.
    pub fn count(&self) -> usize {
        injected(self.log.path())
    }
}

impl Drop for Inject {
    fn drop(&mut self) {
        self.let_go();
        settled(self.traced);
    }
}

impl Inject {
    fn let_go(&mut self) {
        // A tracer that is told to end while its process dies waits for ever: then it ends by itself.
        let alone = !lives(self.traced) && self.ended_within(Duration::from_secs(2));
        if alone || self.ended_within(Duration::ZERO) {
            return;
        }
        // Not reaped, so the number is still its own.
        let _ = Command::new("kill").arg(self.tracer.id().to_string()).status();
        if !self.ended_within(Duration::from_secs(20)) {
            let _ = self.tracer.kill();
            let _ = self.tracer.wait();
        }
    }

    fn ended_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while self.tracer.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

/// Whether the process runs: it is there and no zombie.
fn lives(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

/// The letter of the process's first thread; none if it is gone.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until it is certain whether a process that may have been killed goes on: one that sleeps has no signal before it, and on a busy
/// machine one that was killed is there for a while.
pub(crate) fn settled(pid: u32) {
    let deadline = Instant::now() + patience();
    while !matches!(state(pid), None | Some('S' | 'Z' | 'X')) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What starts a program with these injections from its first call on, written to `log`:
/// for [`Settings::wrapper`](crate::Settings).
pub fn injected_start(log: &Path, injections: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = ["strace", "-f", "--seccomp-bpf", "-qq", "-o"].map(String::from).into();
    words.push(log.to_string_lossy().into_owned());
    words.extend(expressions(injections));
    words
}

fn expressions(injections: &[&str]) -> Vec<String> {
    let calls: Vec<&str> = injections.iter().filter_map(|i| i.split(':').next()).collect();
    let mut words = vec!["-e".to_owned(), format!("trace={}", calls.join(","))];
    words.extend(injections.iter().flat_map(|i| ["-e".to_owned(), format!("inject={i}")]));
    words
}

/// How many lines of strace's log tell of an injection.
pub fn injected(log: &Path) -> usize {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter(|line| line.contains("(INJECTED")).count()
}
