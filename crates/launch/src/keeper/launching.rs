//! Launches under way: from `clone3` to the end of the child's report.
//!
//! ```text
//! cloned ──reports──▶ report ended ──cell says execve──▶ launched
//!    └──Failed──▶ failed          └──else: died; its status says how──▶ failed
//! ```

use std::os::fd::{AsFd, OwnedFd};

use hull_sys::cells::Cells;
use hull_sys::process;
use hull_sys::{Error, Named, Result, namespace};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::exits::now_ns;
use super::{Failure, Seq, Times};
use crate::child::{self, CELL_EXEC, Heard, Report};
use crate::cloning::Cloning;
use crate::plan::{LaunchPlan, STEP_CLONE, STEP_EXEC, Slot};

/// Launches that can be under way at once.
const LAUNCHES: usize = 1024;

/// What every launch needs of the keeper.
pub(super) struct Launcher {
    pub proc: hull_sys::proc::Proc,
    /// The keeper's pid namespace, to come back from another one.
    own_pids: OwnedFd,
    cells: Cells,
    used: Vec<bool>,
    nofile: (u64, u64),
}

/// One launch.
pub(super) struct Pending {
    pub seq: Seq,
    /// Which engine asked.
    pub generation: u64,
    pub key: String,
    pub pid: i32,
    pub pidfd: OwnedFd,
    pub report: OwnedFd,
    /// Kept if it succeeds.
    pub hold: Vec<(String, OwnedFd)>,
    pub terminal: Option<OwnedFd>,
    pub failure: Option<Failure>,
    /// The report has ended.
    pub ended: bool,
    /// The child waits for its maps, which are written.
    pub await_go: bool,
    /// It was reaped already, with this status.
    pub status: Option<i32>,
    /// When the request was read.
    begun: i64,
    /// Times that the child notes.
    stamps: usize,
    cell: usize,
}

/// How far a launch is.
pub(super) enum Progress {
    Going,
    Launched(Times),
    Failed(Failure, Times),
}

impl Launcher {
    pub(super) fn new(nofile: (u64, u64)) -> Result<Self> {
        Ok(Self {
            proc: super::place::own_proc()?,
            own_pids: namespace::own("pid")?,
            cells: Cells::new(LAUNCHES)?,
            used: vec![false; LAUNCHES],
            nofile,
        })
    }

    /// Clones the child of a plan. In the child this never returns.
    pub(super) fn launch(
        &mut self,
        seq: Seq,
        generation: u64,
        mut plan: Box<LaunchPlan>,
        hold: Vec<(String, Slot)>,
        fds: Vec<OwnedFd>,
    ) -> Result<Pending> {
        let begun = now_ns();
        let cell = self
            .used
            .iter()
            .position(|used| !used)
            .ok_or_else(|| Error::new(format!("more than {LAUNCHES} launches at once"), Errno::AGAIN))?;
        let (ours, theirs) = report_sockets()?;
        let cloning = Cloning {
            proc: &self.proc,
            own_pids: Some(&self.own_pids),
            cells: &self.cells,
            cell,
            nofile: Some(self.nofile),
            first_own: 3,
        };
        let result = cloning.child(&plan, &fds, theirs.as_fd());
        let key = std::mem::take(&mut plan.key);
        let await_go = plan.clone.id_maps.is_some();
        // The first instruction, and what follows the last step.
        let stamps = plan.steps.len() + 2;
        wipe(*plan);
        let (pid, pidfd) = result?;
        self.used[cell] = true;
        drop(theirs);
        let mut fds: Vec<_> = fds.into_iter().map(Some).collect();
        // A slot that is held under two names would be missing for the second: refused before.
        let hold = hold
            .into_iter()
            .filter_map(|(name, slot)| Some((name, fds.get_mut(usize::from(slot.0))?.take()?)))
            .collect();
        Ok(Pending {
            seq,
            generation,
            key,
            pid,
            pidfd,
            report: ours,
            hold,
            terminal: None,
            failure: None,
            ended: false,
            await_go,
            status: None,
            begun,
            stamps,
            cell,
        })
    }

    /// How far the launch is, once its report has nothing more to say for now.
    pub(super) fn progress(&mut self, pending: &mut Pending) -> Progress {
        if !pending.ended {
            return Progress::Going;
        }
        let at = self.cells.get(pending.cell);
        let progress = match (pending.failure.take(), at, pending.status) {
            (Some(failure), _, _) => self.failed(pending, failure),
            (None, CELL_EXEC, _) => Progress::Launched(self.times(pending, pending.stamps)),
            (None, step, Some(status)) => self.failed(pending, killed(step, status)),
            // It died without a word; its status is about to come.
            (None, _, None) => return Progress::Going,
        };
        self.used[pending.cell] = false;
        progress
    }

    /// Told with the times until then.
    fn failed(&self, pending: &Pending, failure: Failure) -> Progress {
        let reached = match failure.step {
            STEP_EXEC => pending.stamps,
            STEP_CLONE => 1,
            step => pending.stamps.min(step as usize + 2),
        };
        Progress::Failed(failure, self.times(pending, reached))
    }

    /// The first `count` times of the child. One that an earlier child left ends them: this one did not come so far.
    fn times(&self, pending: &Pending, count: usize) -> Times {
        let since = |time: i64| time.saturating_sub(pending.begun);
        let child = self.cells.stamped(pending.cell, count).into_iter();
        let child = child.take_while(|time| *time == 0 || *time >= pending.begun);
        let child = child.map(|time| if time == 0 { Times::UNKNOWN } else { since(time) }).collect();
        Times { begun: pending.begun, child, heard: since(now_ns()) }
    }
}

/// A child that ended at a step without saying why: it was killed (or exited, in a plan gone wrong).
fn killed(step: u32, status: i32) -> Failure {
    let signal = status & 0x7f;
    let call = if signal != 0 {
        format!("killed by signal {signal}")
    } else {
        format!("exited with status {}", process::exit_code(status))
    };
    Failure { step, errno: 0, call, file: None }
}

impl Pending {
    /// Says to the child that its maps are written, if it waits for that.
    pub(super) fn go(&self) {
        if self.await_go {
            // If it is gone, its report says so.
            _ = rustix::io::write(&self.report, b"g");
        }
    }

    /// Reads what the child has said. Warnings are returned for the engine.
    pub(super) fn read(&mut self) -> Vec<Failure> {
        let mut warnings = Vec::new();
        loop {
            match child::receive(self.report.as_fd()) {
                Ok(Heard::Nothing) => return warnings,
                Ok(Heard::Packet(report, fds)) => self.note(report, fds, &mut warnings),
                Ok(Heard::End) => {
                    self.ended = true;
                    return warnings;
                }
                Err(error) => {
                    let (errno, call) = (error.errno.raw_os_error(), error.call);
                    self.failure = Some(Failure { step: STEP_CLONE, errno, call, file: None });
                    _ = hull_sys::pidfd::send_signal(&self.pidfd, 9);
                    self.ended = true;
                    return warnings;
                }
            }
        }
    }

    fn note(&mut self, report: Report, fds: Vec<OwnedFd>, warnings: &mut Vec<Failure>) {
        let fd = fds.into_iter().next();
        match (report, fd) {
            (Report::Terminal, Some(master)) => self.terminal = Some(master),
            (Report::Reborn { pid }, Some(pidfd)) => {
                // The process counted its copy in the pid namespace it stands in, which may be joined.
                let pid = hull_sys::pidfd::number(&pidfd).ok().filter(|pid| *pid > 0).unwrap_or(pid);
                (self.pid, self.pidfd, self.status) = (pid, pidfd, None);
            }
            (Report::Warning(warning), _) => warnings.push(warning),
            (Report::Failed(failure), _) => self.failure = Some(failure),
            (Report::Terminal | Report::Reborn { .. }, None) => {}
            // The keeper's plans have no such steps; a child that waits for an answer gets none and ends with its report.
            (Report::Sync(_) | Report::Listening { .. }, _) => self.ended = true,
        }
    }
}

/// The keeper's end does not block.
fn report_sockets() -> Result<(OwnedFd, OwnedFd)> {
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .named(|| "socketpair()".to_owned())?;
    rustix::io::ioctl_fionbio(&pair.0, true).named(|| "ioctl(FIONBIO)".to_owned())?;
    Ok(pair)
}

/// Arguments and environment may hold secrets. The next child gets a copy of the keeper's memory, and
/// as an init it keeps it: they are overwritten, not only freed.
pub(super) fn wipe(plan: LaunchPlan) {
    for text in plan.exec.env.into_iter().chain(plan.exec.argv) {
        let mut bytes = text.into_bytes();
        bytes.fill(0);
        std::hint::black_box(&mut bytes);
    }
}
