//! `--systemd-cgroup`: the container's cgroup is that of a scope, which systemd is asked for over its own socket.
//!
//! ```text
//! placeholder process ─▶ StartTransientUnit(scope with it) ─▶ JobRemoved ─▶ limits ─▶ the container joins ─▶ the placeholder ends
//! ```
//! systemd makes a scope only around a process, and the container is born inside: so a placeholder keeps the place.
//! It ends with the launcher, and with it a scope that nobody has joined.

mod bus;
mod message;
mod properties;
mod unit;

use std::os::fd::OwnedFd;

use hull_cgroup::Limits;
use hull_sys::process::{self, CloneArgs, Cloned};

use crate::error::{Doing, Error, Result};
use bus::Bus;
use message::Writer;
pub use unit::Scope;

/// Keeps a scope alive until it is dropped.
#[derive(Debug)]
pub struct Placeholder {
    pid: rustix::process::Pid,
    /// The process ends when this is closed.
    end: Option<OwnedFd>,
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        drop(self.end.take());
        _ = process::wait_for(self.pid);
    }
}

/// Makes the scope with the limits that systemd knows. It lives as long as a process is inside.
pub fn start(scope: &Scope, id: &str, limits: &Limits) -> Result<Placeholder> {
    let mut bus = Bus::connect()?;
    let placeholder = placeholder()?;
    let pid = placeholder.pid.as_raw_nonzero().get().unsigned_abs();
    match ask(&mut bus, scope, id, limits, pid) {
        // What a failed one of this name has left is forgotten first.
        Err(Error::Systemd(said)) if said.contains("UnitExists") => {
            bus.call("ResetFailedUnit", "s", |body| body.string(&scope.unit))?;
            ask(&mut bus, scope, id, limits, pid)?;
        }
        asked => asked?,
    }
    Ok(placeholder)
}

fn ask(bus: &mut Bus, scope: &Scope, id: &str, limits: &Limits, pid: u32) -> Result<()> {
    let body = |body: &mut Writer| {
        body.string(&scope.unit);
        body.string("replace");
        properties::of_scope(body, scope, id, limits, pid);
        // No further units.
        body.array(8, |_| {});
    };
    let job = bus.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body)?;
    let result = bus.job_removed(&job)?;
    if result == "done" { Ok(()) } else { Err(Error::Systemd(format!("the unit {:?} is {result}", scope.unit))) }
}

/// Whether there is a systemd to ask.
pub fn is_running() -> bool {
    std::path::Path::new(bus::SOCKET).exists()
}

/// Changes the limits that systemd knows, if it knows the unit.
pub fn update(unit: &str, limits: &Limits) -> Result<()> {
    let body = |body: &mut Writer| {
        body.string(unit);
        // At run time only.
        body.boolean(true);
        properties::of_limits(body, limits);
    };
    match Bus::connect()?.call("SetUnitProperties", "sba(sv)", body) {
        Err(Error::Systemd(said)) if said.contains("NoSuchUnit") => Ok(()),
        set => set.map(drop),
    }
}

/// Stops the scope, if it is still there.
pub fn stop(unit: &str) -> Result<()> {
    let mut bus = Bus::connect()?;
    let stopped = bus.call("StopUnit", "ss", |body| {
        body.string(unit);
        body.string("replace");
    });
    match stopped {
        Err(Error::Systemd(said)) if said.contains("NoSuchUnit") => Ok(()),
        Err(error) => Err(error),
        Ok(job) => {
            bus.job_removed(&job)?;
            // A scope whose processes were killed may be kept as failed.
            _ = bus.call("ResetFailedUnit", "s", |body| body.string(unit));
            Ok(())
        }
    }
}

fn placeholder() -> Result<Placeholder> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).doing(|| "pipe".to_owned())?;
    match process::clone_single_threaded(CloneArgs { flags: 0, cgroup: None })? {
        Cloned::Parent { pid, .. } => Ok(Placeholder { pid, end: Some(write) }),
        Cloned::Child => {
            // ORDER: its own copy of the other end would keep it.
            _ = hull_sys::fds::close_all_but(0, &[std::os::fd::AsFd::as_fd(&read)]);
            while matches!(rustix::io::read(&read, &mut [0u8; 1]), Ok(1..) | Err(rustix::io::Errno::INTR)) {}
            process::exit_now(0)
        }
    }
}
