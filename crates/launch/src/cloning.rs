//! Cloning the child of a plan: what the keeper and a launcher without one have in common.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::cells::Cells;
use hull_sys::proc::Proc;
use hull_sys::process::{self, CloneArgs, Cloned};
use hull_sys::{Error, Result, namespace};
use rustix::io::Errno;

use crate::child::{self, Inheritance};
use crate::plan::{IdMaps, IdRange, LaunchPlan, Namespaces, STEP_CLONE, Slot};

/// `CLONE_NEWPID`.
const PID_NAMESPACE: u32 = Namespaces::PID.0;

/// What the child gets of the process that clones it.
pub(crate) struct Cloning<'a> {
    pub proc: &'a Proc,
    /// The caller's pid namespace, to come back from another one; `None`: it is opened when needed.
    pub own_pids: Option<&'a OwnedFd>,
    pub cells: &'a Cells,
    pub cell: usize,
    pub nofile: Option<(u64, u64)>,
    pub first_own: i32,
}

impl Cloning<'_> {
    /// Clones. In the child this never returns; the caller gets its pid and pidfd, once its maps are written.
    pub(crate) fn child(&self, plan: &LaunchPlan, fds: &[OwnedFd], report: BorrowedFd<'_>) -> Result<(i32, OwnedFd)> {
        let slot = |slot: Slot| {
            fds.get(usize::from(slot.0))
                .map(AsFd::as_fd)
                .ok_or_else(|| Error::new(format!("slot {} of {}", slot.0, fds.len()), Errno::BADF))
        };
        let args = CloneArgs { flags: u64::from(plan.clone.new.0), cgroup: plan.clone.cgroup.map(slot).transpose()? };
        self.cells.set(self.cell, STEP_CLONE);
        let back = match plan.clone.join_pid {
            Some(joined) => Some(self.enter_pids(slot(joined)?)?),
            None => None,
        };
        let mut join_cgroup = None;
        let cloned = match process::clone_single_threaded(args) {
            // KERNEL(5.7): without CLONE_INTO_CGROUP the child joins as the first thing it does.
            Err(error) if error.errno == Errno::NOSYS && args.cgroup.is_some() => {
                join_cgroup = args.cgroup;
                process::clone_single_threaded(CloneArgs { cgroup: None, ..args })
            }
            cloned => cloned,
        };
        if let (Some(back), false) = (back, matches!(cloned, Ok(Cloned::Child))) {
            process::setns(back, PID_NAMESPACE)?;
        }
        match cloned? {
            Cloned::Child => child::run(Inheritance {
                plan,
                fds,
                report,
                proc: self.proc,
                cells: self.cells,
                cell: self.cell,
                nofile: self.nofile,
                first_own: self.first_own,
                await_maps: plan.clone.id_maps.is_some(),
                join_cgroup,
            }),
            Cloned::Parent { pid, pidfd } => {
                if let Some(maps) = &plan.clone.id_maps
                    && let Err(error) = write_maps(pid, maps)
                {
                    _ = hull_sys::pidfd::send_signal(&pidfd, 9);
                    return Err(error);
                }
                Ok((pid.as_raw_nonzero().get(), pidfd))
            }
        }
    }

    /// The next child is born there. Returns the way back.
    fn enter_pids(&self, joined: BorrowedFd<'_>) -> Result<OwnedFd> {
        let back = match self.own_pids {
            Some(fd) => hull_sys::fds::duplicate(fd)?,
            None => namespace::own("pid")?,
        };
        process::setns(joined, PID_NAMESPACE)?;
        Ok(back)
    }
}

fn write_maps(pid: rustix::process::Pid, maps: &IdMaps) -> Result<()> {
    let (uids, gids) = map_lines(maps);
    namespace::write_maps(pid, &uids, &gids)
}

/// The maps as `sys` takes them.
pub(crate) fn map_lines(maps: &IdMaps) -> (Vec<namespace::MapLine>, Vec<namespace::MapLine>) {
    let lines = |ranges: &[IdRange]| ranges.iter().map(|r| (r.inside, r.outside, r.length)).collect();
    (lines(&maps.uids), lines(&maps.gids))
}
