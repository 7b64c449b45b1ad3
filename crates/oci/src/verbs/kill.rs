//! `kill ID [SIGNAL]`.

use hull_launch::plan::Namespaces;
use hull_sys::{pidfd, signals};
use hull_types::Signal;

use crate::cli::{Flag, Globals, Words};
use crate::container::{Container, Status};
use crate::error::{Error, Result};

pub const FLAGS: &[Flag] = &[Flag::bool("all").or("a"), Flag::bool("help").or("h")];

/// Sends a signal to the first process, or with `--all` to each.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let (id, signal) = match &words.rest[..] {
        [id] => (id, Signal::TERM),
        [id, signal] => (id, parse(signal)?),
        _ => {
            return Err(Error::Usage("kill: \"kill\" requires a minimum of 1 argument, and a maximum of 2".to_owned()));
        }
    };
    let container = Container::find(globals, id)?;
    if words.is("all") {
        all(&container, signal)?;
    } else {
        first(&container, signal)?;
    }
    Ok(0)
}

fn parse(text: &str) -> Result<Signal> {
    text.parse().map_err(|_| Error::Usage(format!("unknown signal {text:?}")))
}

fn first(container: &Container, signal: Signal) -> Result<()> {
    let pidfd = container.pidfd()?;
    let own_pids = Namespaces(container.state.namespaces).contains(Namespaces::PID);
    if signal == Signal::KILL && !own_pids {
        // Without a pid namespace the kernel ends nobody else when the first process dies.
        return container
            .group()
            .map_or_else(|| Ok(pidfd::send_signal(&pidfd, signal.number())?), |group| group.kill());
    }
    match pidfd::send_signal(&pidfd, signal.number()) {
        Err(error) if error.errno == rustix::io::Errno::SRCH => return Err(Error::NotRunning),
        sent => sent?,
    }
    if signal == Signal::KILL && container.status() == Status::Paused {
        // KERNEL: on v1 nothing frozen dies.
        return container.group().map_or(Ok(()), |group| group.freeze(false));
    }
    Ok(())
}

fn all(container: &Container, signal: Signal) -> Result<()> {
    let Some(group) = container.group() else { return first(container, signal) };
    if signal == Signal::KILL {
        return group.kill();
    }
    for pid in group.pids()? {
        // It may have ended meanwhile.
        _ = signals::kill(pid, signal.number());
    }
    Ok(())
}
