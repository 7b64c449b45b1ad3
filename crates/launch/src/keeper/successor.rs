//! A new keeper in place of one that died, started by the engine that survived it.
//!
//! The engine hands over the listening socket and its own copies of what the keeper held, and ends;
//! the new keeper starts the next engine. The containers have another parent by then: their ends are
//! seen through the pidfds that are handed over.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use hull_sys::{Named, Result, fds};

use super::state::{self, Legacy};
use super::{KEEPER_FD, LISTEN_FD, STATE_FD};

/// Starts this program in the keeper's role with `arguments`, the listening socket, and descriptors
/// to hold under (key, name).
///
/// # Errors
/// The process could not be made; everything is as before.
pub fn start(arguments: &[OsString], listener: &OwnedFd, held: &[(String, String, OwnedFd)]) -> Result<()> {
    let pass = |fd: &OwnedFd| -> Result<RawFd> {
        fds::set_close_on_exec(fd, false)?;
        Ok(fd.as_raw_fd())
    };
    let own = [KEEPER_FD, LISTEN_FD, STATE_FD];
    let environment = std::env::vars_os()
        .filter(|(name, _)| !own.iter().any(|own| name == own))
        .map(|(name, value)| (name.into_vec(), value.into_vec()))
        .collect();
    let mut numbers = Vec::with_capacity(held.len());
    for (key, name, fd) in held {
        numbers.push((key.clone(), name.clone(), pass(fd)?));
    }
    let legacy = Legacy { environment, listener: pass(listener)?, held: numbers };
    let memory = state::write_legacy(legacy)?;
    let number = pass(&memory)?;
    let spawned = Command::new("/proc/self/exe")
        .args(arguments)
        .env_remove(KEEPER_FD)
        .env_remove(LISTEN_FD)
        .env(STATE_FD, number.to_string())
        .stdin(Stdio::null())
        .spawn();
    // The engine ends next: nobody waits for its child.
    spawned.map(drop).named(|| "spawn(/proc/self/exe)".to_owned())
}
