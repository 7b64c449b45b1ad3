//! Processes of containers that are no children of the keeper, because theirs died.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use crate::container::record::{Definition, State};
use crate::container::run::HELD_PIDFD;
use crate::core::Core;
use crate::keeper::Listing;

/// Pid and pidfd by container id.
pub(super) type Strays = HashMap<String, (i32, OwnedFd)>;

/// The processes whose pidfds an engine handed over; some may have ended since.
pub(super) fn handed_over(listing: &mut Listing) -> Strays {
    let mut strays = Strays::new();
    for (key, held) in &mut listing.held {
        if let Some(pidfd) = held.remove(HELD_PIDFD) {
            let pid = hull_sys::pidfd::number(&pidfd).unwrap_or(0);
            strays.insert(key.clone(), (pid, pidfd));
        }
    }
    strays
}

/// A process that nobody handed over: PID 1 as it was saved, if it still stands in the container's cgroup.
pub(super) fn rescue(core: &Core, definition: &Definition, state: &State) -> Option<(i32, OwnedFd)> {
    let pid = Pid::from_raw(state.pid)?;
    let parent = core.cgroup_parent(&definition.spec);
    let cgroup = core.parts.cgroups.open(&parent, definition.id.as_str()).ok()?;
    let pidfd = hull_sys::pidfd::open(pid).ok()?;
    // ORDER: looked at after the pidfd is open, so that the number cannot have been given away since.
    if !cgroup.pids().ok()?.contains(&state.pid) {
        return None;
    }
    tracing::warn!(container = %definition.name, pid = state.pid, "found running without a keeper: its output is lost");
    Some((state.pid, pidfd))
}
