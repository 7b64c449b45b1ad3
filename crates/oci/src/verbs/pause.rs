//! `pause ID` and `resume ID`.

use crate::cli::{Globals, Words};
use crate::container::{Container, Status};
use crate::error::{Error, Result};
use crate::state::Locked;

/// Freezes every process.
pub fn pause(globals: &Globals, words: &Words) -> Result<i32> {
    let id = words.id("pause")?;
    let locked = Locked::open(&globals.root, id)?;
    let container = Container::of(&locked)?;
    match container.status() {
        Status::Running | Status::Created => set(&container, "pause", true),
        _ => Err(Error::NotRunning),
    }
}

/// Lets them go on.
pub fn resume(globals: &Globals, words: &Words) -> Result<i32> {
    let id = words.id("resume")?;
    let locked = Locked::open(&globals.root, id)?;
    let container = Container::of(&locked)?;
    let frozen = container.is_alive() && container.group().is_some_and(|group| group.is_frozen());
    match frozen {
        true => set(&container, "resume", false),
        false => Err(Error::State { verb: "resume", id: id.to_owned(), reason: "container not paused".to_owned() }),
    }
}

fn set(container: &Container, verb: &'static str, frozen: bool) -> Result<i32> {
    let id = container.state.id.clone();
    let group = container.group();
    let group = group.ok_or_else(|| Error::State { verb, id, reason: "it has no cgroup".to_owned() })?;
    group.freeze(frozen)?;
    Ok(0)
}
