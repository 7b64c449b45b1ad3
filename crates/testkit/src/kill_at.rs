//! [`KillAt`]: a process is killed as it enters a certain one of the calls with which it changes state. Other than
//! [`Inject`](crate::Inject), which counts the calls of each thread, this one counts those of the whole process, in their order:
//! requests over netlink, `setns`, `fsync` and `fdatasync`. So each of an operation's has its turn.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::eventually;
use crate::inject::settled;

/// A tracer on a running process and its threads. Dropping it lets the process go on untraced.
#[derive(Debug)]
pub struct KillAt {
    tracer: Child,
    traced: u32,
    said: tempfile::NamedTempFile,
}

impl KillAt {
    /// Attaches; the process is killed at the call of this number, the first is 1.
    pub fn attach(pid: u32, number: usize) -> Self {
        let said = tempfile::NamedTempFile::new().expect("a scratch file");
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("kill_at.py"), &pid.to_string(), &number.to_string()]);
        command.stdin(Stdio::null()).stdout(said.reopen().expect("reopen"));
        let mut kill = Self {
            tracer: command.spawn().expect("python3 is needed: cargo xtask test installs it"),
            traced: pid,
            said,
        };
        eventually("the tracer is attached", || {
            let over = kill.tracer.try_wait().expect("it is a child");
            assert!(over.is_none(), "the tracer could not attach: {over:?}");
            kill.text().starts_with("attached\n")
        });
        kill
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.text().lines().skip(1).map(str::to_owned).collect()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.said.path()).unwrap_or_default()
    }
}

impl Drop for KillAt {
    fn drop(&mut self) {
        // With the process that it traces it has ended by itself; otherwise its number is still its own.
        let _ = Command::new("kill").arg(self.tracer.id().to_string()).stderr(Stdio::null()).status();
        let _ = self.tracer.wait();
        settled(self.traced);
    }
}
