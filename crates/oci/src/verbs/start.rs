//! `start ID`.

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::cli::{Globals, Words};
use crate::container::{Container, SpecState, Status};
use crate::error::{Doing, Error, Result};
use crate::hooks;
use crate::state::Locked;

/// Lets the process of a created container go on, then runs the poststart hooks.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let id = words.id("start")?;
    let locked = Locked::open(&globals.root, id)?;
    let container = Container::of(&locked)?;
    let refused = |reason: &str| Error::State { verb: "start", id: id.to_owned(), reason: reason.to_owned() };
    match container.status() {
        Status::Created => {}
        Status::Stopped => return Err(refused("a container that has stopped cannot be started")),
        Status::Running => return Err(refused("a container that is running cannot be started again")),
        Status::Paused => return Err(refused("it is paused")),
    }
    let fifo = locked.fifo();
    // ORDER: opening for writing alone fails if nobody has the other end: then the process is gone.
    let end = rustix::fs::open(&fifo, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {fifo:?}"))?;
    // ORDER: removed first: what has read its byte is running, never created.
    rustix::fs::unlink(&fifo).doing(|| format!("remove {fifo:?}"))?;
    rustix::io::write(&end, b"0").doing(|| format!("write {fifo:?}"))?;
    // Its end goes by `execve`, or with the process.
    let mut ends = [PollFd::new(&end, PollFlags::empty())];
    while rustix::event::poll(&mut ends, None) == Err(Errno::INTR) {}
    if rustix::fs::fstat(&end).doing(|| format!("stat {fifo:?}"))?.st_mode & 0o777 == 0 {
        return Err(refused("its process failed before its command ran; it said why on its own stderr"));
    }
    let state = &container.state;
    hooks::run("poststart", &state.hooks.poststart, &SpecState::of(state, "running"), state.pid)?;
    Ok(0)
}
