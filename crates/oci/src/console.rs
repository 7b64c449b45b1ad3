//! Descriptors for others: the master of the container's terminal (`--console-socket`), the listener of its filter.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_sys::fdpass;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::bundle::Listener;
use crate::cli::SPEC;
use crate::error::{Doing, Result};

/// Connects, before the container is made: a socket that is not there is refused first.
pub fn connect(path: &Path) -> Result<OwnedFd> {
    let describe = || format!("connect to the socket {path:?}");
    let address = SocketAddrUnix::new(path).doing(describe)?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .doing(describe)?;
    rustix::net::connect(&socket, &address).doing(describe)?;
    Ok(socket)
}

/// Sends a filter's listener to who answers it, with runtime-spec's container process state.
pub fn send_listener(to: &Listener, listener: &OwnedFd, state: &(String, String), pid: i32) -> Result<()> {
    let socket = connect(&to.path)?;
    let metadata = serde_json::to_string(&to.metadata).unwrap_or_default();
    let text = format!(
        "{{\"ociVersion\":\"{SPEC}\",\"fds\":[\"seccompFd\"],\"pid\":{pid},\"metadata\":{metadata},\"state\":{}{pid}{}}}",
        state.0, state.1
    );
    fdpass::send(&socket, text.as_bytes(), &[listener.as_fd()])?;
    Ok(())
}

/// `--pidfd-socket`: who listens there gets a pidfd of the process.
pub fn send_pidfd(socket: &OwnedFd, pidfd: &OwnedFd) -> Result<()> {
    fdpass::send(socket, b"pidfd", &[pidfd.as_fd()])?;
    Ok(())
}

/// Sends the master; its name is what runc sends with it.
pub fn send(socket: &OwnedFd, master: &OwnedFd) -> Result<()> {
    fdpass::send(socket, b"/dev/ptmx", &[master.as_fd()])?;
    Ok(())
}
