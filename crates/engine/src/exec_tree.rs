//! Ending an exec with everything that it has started.
//!
//! An exec begins a session; its processes are those of the container's cgroup in that session, also when their
//! parents are gone. One that has begun a session of its own meant to stay.

use std::time::Duration;

use hull_types::Signal;
use rustix::process::Pid;

use crate::container::Container;
use crate::core::{Core, blocking};
use crate::exec::Exec;
use crate::top;

/// How often processes are looked for: each could have forked since the last look.
const LOOKS: usize = 100;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);
/// How long the end may take: a process may hang in the kernel, or be frozen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills the exec and its processes, and waits until it has ended.
pub(crate) async fn kill(core: &Core, container: &Container, exec: &Exec) {
    let session = exec.pid();
    for _ in 0..LOOKS {
        if session == 0 || blocking(|| kill_session(core, container, session)) == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    if tokio::time::timeout(PATIENCE, exec.over()).await.is_err() {
        tracing::warn!(container = %container.id, exec = %exec.id, "killed, and does not end");
    }
}

/// Sends SIGKILL to what is there of the session; to how many.
fn kill_session(core: &Core, container: &Container, session: i32) -> usize {
    let pids = core.cgroup(&container.view()).and_then(|cgroup| Ok(cgroup.pids()?));
    // Without a cgroup there are no processes.
    pids.map_or(0, |pids| pids.into_iter().filter(|pid| kill_one(*pid, session).is_some()).count())
}

/// `None`: it is gone, or not of the session.
fn kill_one(pid: i32, session: i32) -> Option<()> {
    // ORDER: opened before it is looked at, so that the number cannot be another process's meanwhile.
    let process = hull_sys::pidfd::open(Pid::from_raw(pid)?).ok()?;
    (top::session(pid)? == session).then_some(())?;
    hull_sys::pidfd::send_signal(&process, Signal::KILL.number()).ok()
}
