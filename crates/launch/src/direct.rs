//! Launching without a keeper: the caller clones the child itself, hears what it says, and lets it go on.
//!
//! ```text
//! launch ──▶ hear() ──▶ Sync ── go() ──▶ … ──▶ Waiting   (the plan awaits its start)
//!                   └─▶ Terminal, Listener, Warning      ──▶ Running   (execve was reached)
//!                                                        └─▶ Failed
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hull_sys::cells::Cells;
use hull_sys::proc::Proc;
use hull_sys::{Named, Result, pidfd, process};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Pid;

use crate::child::{self, CELL_EXEC, CELL_LISTENER, CELL_WAITING, Heard, Report};
use crate::cloning::Cloning;
use crate::keeper::Failure;
use crate::plan::{Hook, LaunchPlan, Point};

/// A child under way.
#[derive(Debug)]
pub struct Direct {
    /// Its process, as the caller counts.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    report: OwnedFd,
    cells: Cells,
    /// Processes that went on as a copy and are to be reaped.
    shells: Vec<i32>,
    /// The step that waits for [`Direct::listened`].
    listening: u32,
}

/// What a child says.
#[derive(Debug)]
pub enum Said {
    /// It is held there until [`Direct::go`].
    Sync(Point),
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// The listener of its filter. It waits in [`Direct::listened`].
    Listener(OwnedFd),
    /// A refusal that does not stop it.
    Warning(Failure),
    /// It has become another process: see [`Direct::pid`].
    Reborn,
    /// It waits to be started.
    Waiting,
    /// It runs its command.
    Running,
    /// It has given up, or was killed.
    Failed(Failure),
}

/// Clones the child of the plan. The process must have one thread. Descriptors from 3 up to `first_own` are given
/// to the command as they are.
pub fn launch(plan: &LaunchPlan, fds: &[OwnedFd], first_own: i32) -> Result<Direct> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .named(|| "socketpair()".to_owned())?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).named(|| "open(\"/proc\")".to_owned())?;
    let proc = Proc::verified(proc)?;
    let cells = Cells::new(1)?;
    let cloning = Cloning { proc: &proc, own_pids: None, cells: &cells, cell: 0, nofile: None, first_own };
    let (pid, pidfd) = cloning.child(plan, fds, theirs.as_fd())?;
    Ok(Direct { pid, pidfd, report: ours, cells, shells: Vec::new(), listening: 0 })
}

/// Runs a hook in the caller's namespaces, to its end.
///
/// # Errors
/// It cannot be run, takes too long, or fails.
pub fn run_hook(hook: &Hook, pid: u32) -> Result<()> {
    child::hooks::run(hook, pid)
}

impl Direct {
    /// What it says next; waits for it.
    pub fn hear(&mut self) -> Result<Said> {
        match child::receive(self.report.as_fd())? {
            Heard::Packet(report, fds) => self.heard(report, fds.into_iter().next()),
            Heard::End | Heard::Nothing => Ok(self.ended()),
        }
    }

    /// Lets it go on from a [`Said::Sync`].
    pub fn go(&self) -> Result<()> {
        rustix::io::write(&self.report, b"g").map(drop).named(|| "write(child)".to_owned())
    }

    /// Lets it go on from a [`Said::Listener`].
    pub fn listened(&self) {
        self.cells.set(0, self.listening);
    }

    /// The step that it is at.
    pub fn step(&self) -> u32 {
        self.cells.get(0)
    }

    /// Ends it, and waits for that.
    pub fn kill(&mut self) {
        _ = pidfd::send_signal(&self.pidfd, 9);
        self.reap();
    }

    /// The socket, to wait for what it says together with other things.
    pub fn as_report(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }

    fn heard(&mut self, report: Report, fd: Option<OwnedFd>) -> Result<Said> {
        Ok(match (report, fd) {
            (Report::Sync(point), _) => Said::Sync(point),
            (Report::Terminal, Some(master)) => Said::Terminal(master),
            (Report::Listening { step }, _) => self.take_listener(step)?,
            (Report::Warning(warning), _) => Said::Warning(warning),
            (Report::Reborn { pid }, Some(pidfd)) => {
                self.shells.push(self.pid);
                self.pid = pidfd::number(&pidfd).ok().filter(|pid| *pid > 0).unwrap_or(pid);
                self.pidfd = pidfd;
                Said::Reborn
            }
            (Report::Failed(failure), _) => {
                self.reap();
                Said::Failed(failure)
            }
            (Report::Terminal | Report::Reborn { .. }, None) => return self.hear(),
        })
    }

    /// The child says the number in shared memory, since no call of its is sure to be let through.
    fn take_listener(&mut self, step: u32) -> Result<Said> {
        loop {
            match self.step() {
                number if (CELL_LISTENER..CELL_WAITING).contains(&number) => {
                    let listener = pidfd::take(&self.pidfd, (number - CELL_LISTENER) as i32);
                    self.listening = step;
                    return Ok(match listener {
                        Ok(listener) => Said::Listener(listener),
                        Err(error) => {
                            self.kill();
                            Said::Failed(Failure {
                                step,
                                errno: error.errno.raw_os_error(),
                                call: error.call,
                                file: None,
                            })
                        }
                    });
                }
                _ if pidfd::has_exited(&self.pidfd)? => return Ok(self.ended()),
                _ => std::thread::sleep(Duration::from_micros(50)),
            }
        }
    }

    /// Its report has ended: the cell says why.
    fn ended(&mut self) -> Said {
        match self.cells.get(0) {
            CELL_EXEC => Said::Running,
            CELL_WAITING => Said::Waiting,
            step => {
                let status = self.reap();
                let signal = status & 0x7f;
                let call = if signal == 0 {
                    format!("exited with status {}", process::exit_code(status))
                } else {
                    format!("killed by signal {signal}")
                };
                Said::Failed(Failure { step, errno: 0, call, file: None })
            }
        }
    }

    /// Waits for its end, and for that of the processes it was before.
    pub fn reap(&mut self) -> i32 {
        for shell in self.shells.drain(..) {
            _ = Pid::from_raw(shell).map(process::wait_for);
        }
        Pid::from_raw(self.pid).and_then(|pid| process::wait_for(pid).ok()).unwrap_or(0)
    }

    /// Waits only for the processes it was before, which have ended.
    pub fn reap_former(&mut self) {
        for shell in self.shells.drain(..) {
            _ = Pid::from_raw(shell).map(process::wait_for);
        }
    }
}
