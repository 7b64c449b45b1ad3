//! `delete [--force] ID`.

use std::time::{Duration, Instant};

use hull_sys::pidfd;

use crate::cgroups::{self, Group};
use crate::cli::{Flag, Globals, Words};
use crate::container::{Container, SpecState, Status};
use crate::error::{Error, Result};
use crate::hooks;
use crate::state::Locked;

pub const FLAGS: &[Flag] = &[Flag::bool("force").or("f"), Flag::bool("help").or("h")];

/// Removes what a container leaves; with `--force`, also one that runs, and what a killed runtime left.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let (id, force) = (words.id("delete")?, words.is("force"));
    let locked = match Locked::open(&globals.root, id) {
        Err(Error::NoContainer(_)) if force => return Ok(0),
        locked => locked?,
    };
    let container = match Container::of(&locked) {
        Ok(container) => container,
        // Made and killed before it was known: what it has is its cgroup.
        Err(_) if force => {
            remove_group(&locked)?;
            locked.remove()?;
            return Ok(0);
        }
        Err(error) => return Err(error),
    };
    match container.status() {
        Status::Stopped => {}
        Status::Created => end(&container)?,
        _ if force => end(&container)?,
        status => {
            let reason = format!("that is not stopped: {}", status.name());
            return Err(Error::State { verb: "delete", id: id.to_owned(), reason });
        }
    }
    remove(globals, locked, &container, None)?;
    Ok(0)
}

/// Removes everything of a container whose process has ended, then runs the poststop hooks. Its cgroup is found again
/// unless it is known.
pub fn remove(globals: &Globals, locked: Locked, container: &Container, group: Option<&Group>) -> Result<()> {
    match group {
        Some(group) => {
            group.remove()?;
            locked.cgroup().map_or(Ok(()), |path| cgroups::release(&path))?;
        }
        None => remove_group(&locked)?,
    }
    let state = &container.state;
    let spec = SpecState::of(state, "stopped");
    for hook in &state.hooks.poststop {
        // The specification has the remaining hooks run whatever one says.
        if let Err(error) = hooks::run("poststop", std::slice::from_ref(hook), &spec, 0) {
            globals.log.warning(&error.to_string());
        }
    }
    locked.remove()
}

fn remove_group(locked: &Locked) -> Result<()> {
    let Some(path) = locked.cgroup() else { return Ok(()) };
    match Group::open(&path) {
        Ok(group) => group.remove()?,
        Err(Error::Cgroup(hull_cgroup::Error::Missing { .. } | hull_cgroup::Error::NotMounted)) => {}
        Err(error) => return Err(error),
    }
    cgroups::release(&path)
}

/// How long a killed process may take: with it go its namespaces, which on a busy machine has taken ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

fn end(container: &Container) -> Result<()> {
    match container.pidfd() {
        Err(Error::NotRunning) => return Ok(()),
        Ok(process) => _ = pidfd::send_signal(process, 9),
        Err(error) => return Err(error),
    }
    if let Some(group) = container.group() {
        // Whoever is left, and thawed.
        group.kill()?;
        if group.is_frozen() {
            group.freeze(false)?;
        }
    }
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(100);
    while container.is_alive() {
        if Instant::now() > deadline {
            let reason = "its process does not end".to_owned();
            return Err(Error::State { verb: "delete", id: container.state.id.clone(), reason });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
}
