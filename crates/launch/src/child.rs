//! The child: walks a [`LaunchPlan`] with system calls and becomes the command.
//!
//! It runs in the process that the keeper just cloned, with the keeper's memory as it was. It speaks
//! to the keeper over one close-on-exec socket: when that ends, and the shared cell says that
//! `execve` was reached, the command runs. It must not return, unwind or write anywhere else.
//!
//! Invariants: it has no descriptor but its plan's, all close-on-exec; every path of the container
//! is resolved beneath the root descriptor; every mount is attached to a descriptor.

mod exec;
mod hold;
pub(crate) mod hooks;
mod identity;
mod mounts;
mod report;
mod terminal;
mod walk;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::cells::Cells;
use hull_sys::proc::Proc;
use hull_sys::process::exit_now;
use hull_sys::{Error, Result, fds, signals};

use crate::plan::{LaunchPlan, STEP_EXEC, Slot};

pub(crate) use report::{Heard, Report, receive};

/// The cell's value once the child is about to call `execve`.
pub(crate) const CELL_EXEC: u32 = u32::MAX;

/// The cell's value once the child waits to be started.
pub(crate) const CELL_WAITING: u32 = u32::MAX - 2;

/// The cell's value, plus the number, once a listener can be taken.
pub(crate) const CELL_LISTENER: u32 = 0x8000_0000;

/// The exit status of a child that failed after it was told to start, as runc's.
const FAILED_UNHEARD: i32 = 1;

/// The exit status of a child that failed before its command ran; nobody but the keeper sees it.
const FAILED: i32 = 125;

/// What the child inherits from the keeper's memory.
#[derive(Debug)]
pub(crate) struct Inheritance<'a> {
    pub plan: &'a LaunchPlan,
    pub fds: &'a [OwnedFd],
    pub report: BorrowedFd<'a>,
    /// The keeper's own procfs, which no container sees.
    pub proc: &'a Proc,
    pub cells: &'a Cells,
    pub cell: usize,
    /// The soft and hard `RLIMIT_NOFILE` the keeper was started with; `None` where it did not change them.
    pub nofile: Option<(u64, u64)>,
    /// Descriptors from 3 up to this one are the command's, too.
    pub first_own: i32,
    /// Whether the keeper writes id maps and then says so.
    pub await_maps: bool,
    /// The v2 cgroup to join, where `clone3` could not do it.
    pub join_cgroup: Option<BorrowedFd<'a>>,
}

/// Where the walk is.
pub(crate) struct Child<'a> {
    given: Inheritance<'a>,
    /// The index of the present step, for reports.
    step: u32,
    /// The container's root, once known: what paths are resolved beneath.
    root: Option<OwnedFd>,
    /// Whether `root` is attached and not yet the root of the process.
    pivot_due: bool,
    umask_set: bool,
    init: bool,
    /// A filter is loaded.
    filtered: bool,
    /// No filter forbids to ask for the time.
    clock: bool,
    /// Nobody hears reports any more; whoever started it holds the other end of this FIFO.
    unheard: Option<Slot>,
    masks: mounts::Masks,
    /// Directories in which something was made: the next is often made there, too.
    parents: mounts::Parents,
    /// Descriptors that are of no more use: `execve` closes them, in no call of their own.
    spent: mounts::Spent,
}

/// Walks the plan. Never returns: ends as the command, or reports why not.
pub(crate) fn run(given: Inheritance<'_>) -> ! {
    let (report, cells, cell) = (given.report, given.cells, given.cell);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut child = Child::new(given);
        child.stamp(0);
        let outcome = child.walk();
        match outcome {
            Ok(()) => child.execute(),
            Err(error) => child.fail(&error, None),
        }
        if child.unheard.is_some() {
            exit_now(FAILED_UNHEARD);
        }
    }));
    if outcome.is_err() {
        let error = Error::new("panic in the child", rustix::io::Errno::NOTRECOVERABLE);
        report::failure(report, cells.get(cell), &error, None);
    }
    exit_now(FAILED)
}

impl<'a> Child<'a> {
    fn new(given: Inheritance<'a>) -> Self {
        Self {
            given,
            step: 0,
            root: None,
            pivot_due: false,
            umask_set: false,
            init: false,
            filtered: false,
            clock: true,
            unheard: None,
            masks: mounts::Masks::default(),
            parents: mounts::Parents::default(),
            spent: mounts::Spent::default(),
        }
    }

    /// All steps, in order.
    fn walk(&mut self) -> Result<()> {
        self.prepare()?;
        let plan = self.given.plan;
        for (index, step) in plan.steps.iter().enumerate() {
            self.step = index as u32;
            self.given.cells.set(self.given.cell, self.step);
            self.stamp(index + 1);
            self.take(step)?;
        }
        self.stamp(plan.steps.len() + 1);
        self.step = STEP_EXEC;
        if !self.filtered && self.unheard.is_none() {
            self.end_without_keeper();
        }
        if !self.umask_set {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        }
        Ok(())
    }

    /// Notes when it has come so far, see [`crate::keeper::Times`]; 0 where it must not ask.
    fn stamp(&self, at: usize) {
        let now = if self.clock { hull_types::Timestamp::now().nanos() } else { 0 };
        self.given.cells.stamp(self.given.cell, at, now);
    }

    /// What holds for every plan.
    fn prepare(&mut self) -> Result<()> {
        // ORDER: first. What is left is its own and close-on-exec: nothing can leak, whatever follows, and
        // the report socket ends here when the keeper does.
        let own = [self.given.report, self.given.proc.as_fd()];
        let own: Vec<_> = self.given.fds.iter().map(AsFd::as_fd).chain(own).collect();
        fds::close_all_but(self.given.first_own, &own)?;
        signals::reset_mask_and_pipe();
        if let Some(cgroup) = self.given.join_cgroup {
            walk::join_v2(cgroup)?;
        }
        // Modes of what is made are exactly as asked for.
        rustix::process::umask(rustix::fs::Mode::empty());
        if let Some((soft, hard)) = self.given.nofile {
            hull_sys::process::set_rlimit(rustix_nofile(), soft, hard)?;
        }
        if self.given.await_maps {
            report::await_go(self.given.report)?;
            hull_sys::caps::set_identity(0, 0, &[])?;
        }
        Ok(())
    }

    /// The descriptor of a slot.
    fn slot(&self, slot: Slot) -> Result<BorrowedFd<'a>> {
        let fds: &'a [OwnedFd] = self.given.fds;
        fds.get(usize::from(slot.0))
            .map(AsFd::as_fd)
            .ok_or_else(|| Error::new(format!("slot {} of {}", slot.0, fds.len()), rustix::io::Errno::BADF))
    }

    /// The root that paths are resolved beneath: the attached one, else the process's own.
    fn root(&mut self) -> Result<BorrowedFd<'_>> {
        if self.root.is_none() {
            self.root = Some(mounts::open_own_root()?);
        }
        Ok(self.root.as_ref().expect("just set").as_fd())
    }

    /// Says why it gives up: to the launcher, or when that has gone, to whoever reads its stderr.
    fn fail(&self, error: &Error, file: Option<(Vec<u8>, Vec<u8>)>) {
        let Some(fifo) = self.unheard else {
            return report::failure(self.given.report, self.step, error, file);
        };
        eprintln!("hull oci: {error}");
        // Whoever started it looks at the mode once the last reader is gone.
        _ = self.slot(fifo).map(|fifo| rustix::fs::fchmod(fifo, rustix::fs::Mode::empty()));
    }

    /// Reports a refusal that does not stop the launch.
    fn warn(&self, error: &Error) {
        report::warning(self.given.report, self.step, error);
    }
}

/// `RLIMIT_NOFILE`.
const fn rustix_nofile() -> u32 {
    7
}
