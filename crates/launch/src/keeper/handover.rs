//! From an engine whose keeper died to the keeper that comes after it.
//!
//! The engine has bound a socket in the run directory. Whichever keeper starts next – systemd's, or one
//! that the engine has started itself – holds the lock, so it is the one: it connects, receives the
//! listening socket and the engine's copies of what the former keeper held, and waits until the engine
//! has ended; only then does it start the next one. The containers have another parent by then: their
//! ends are seen through the pidfds that are handed over.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hull_sys::{Named, Result};
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use super::frame::{Incoming, Outgoing};
use super::{HeldName, KEEPER_FD, LISTEN_FD, STATE_FD, log};

/// The socket's name in the run directory.
const SOCKET: &str = "handover.sock";

/// How long a keeper waits for an engine that accepts its connection: it may be slow, or about to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The engine's end, open for as long as it lives.
#[derive(Debug)]
pub struct Handover(UnixListener);

/// What is handed over; the listening socket and the held descriptors, in this order, go with it.
#[derive(Debug, Serialize, Deserialize)]
struct Estate {
    held: Vec<HeldName>,
}

/// The same, received.
#[derive(Debug)]
pub(super) struct Legacy {
    pub listener: OwnedFd,
    pub held: Vec<(HeldName, OwnedFd)>,
}

impl Handover {
    /// Binds the socket. The keeper's lock is held by this engine's keeper: what is there is left over.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(run: &Path) -> Result<Self> {
        let path = run.join(SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).named(|| format!("unlink({path:?})"));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).named(|| format!("bind({path:?})"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .named(|| format!("chmod({path:?}, 0600)"))?;
        Ok(Self(listener))
    }

    /// Waits for the next keeper and hands everything over. It goes on when the connection that is
    /// returned closes: with this process.
    ///
    /// # Errors
    /// None came in time, or it did not take it: everything is as before.
    pub fn give(
        &self,
        patience: Duration,
        listener: BorrowedFd<'_>,
        held: &[(String, String, OwnedFd)],
    ) -> Result<UnixStream> {
        let failed = |errno| hull_sys::Error::new("accept(handover.sock)", errno);
        let timeout = rustix::time::Timespec::try_from(patience).ok();
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        if poll(&mut fds, timeout.as_ref()).map_err(failed)? == 0 {
            return Err(failed(rustix::io::Errno::TIMEDOUT));
        }
        let (keeper, _) = self.0.accept().named(|| "accept(handover.sock)".to_owned())?;
        let name = |(key, name, _): &(String, String, OwnedFd)| HeldName { key: key.clone(), name: name.clone() };
        let estate = Estate { held: held.iter().map(name).collect() };
        let fds = std::iter::once(listener).chain(held.iter().map(|(.., fd)| fd.as_fd())).collect();
        let mut frame = Outgoing::new(&estate, fds);
        while !frame.send(keeper.as_fd())? {
            // The kernel lacks memory for a moment.
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(keeper)
    }
}

/// The next keeper, for an engine that nobody else restarts one for.
///
/// # Errors
/// The process could not be made; everything is as before.
pub fn start_keeper(arguments: &[OsString]) -> Result<()> {
    let spawned = Command::new("/proc/self/exe")
        .args(arguments)
        .env_remove(KEEPER_FD)
        .env_remove(LISTEN_FD)
        .env_remove(STATE_FD)
        .stdin(Stdio::null())
        .spawn();
    // The engine ends next: nobody waits for its child.
    spawned.map(drop).named(|| "spawn(/proc/self/exe)".to_owned())
}

/// In a keeper that has just taken the lock: what an engine without a keeper has to give, if one lives.
pub(super) fn receive(run: &Path) -> Option<Legacy> {
    let engine = UnixStream::connect(run.join(SOCKET)).ok()?;
    match take(&engine) {
        Ok(legacy) => Some(legacy),
        Err(why) => {
            log(&format_args!("an engine without a keeper handed nothing over: {why}"));
            None
        }
    }
}

fn take(engine: &UnixStream) -> std::result::Result<Legacy, Box<dyn std::error::Error>> {
    engine.set_read_timeout(Some(PATIENCE))?;
    let mut incoming = Incoming::default();
    let (estate, fds) = loop {
        if let Some((estate, fds)) = incoming.take::<Estate>()? {
            break (estate, fds);
        }
        if !incoming.fill(engine.as_fd())? {
            return Err("it says nothing".into());
        }
    };
    let mut fds = fds.into_vec().into_iter();
    let listener = fds.next().ok_or("no listening socket came")?;
    // Until it has ended.
    let _ = std::io::Read::read(&mut &*engine, &mut [0]);
    Ok(Legacy { listener, held: estate.held.into_iter().zip(fds).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn the_next_keeper_gets_the_socket_and_all_that_was_held() {
        let run = tempfile::tempdir().unwrap();
        assert!(receive(run.path()).is_none(), "no engine lives");
        let handover = Handover::open(run.path()).unwrap();
        let (listener, _theirs) = UnixStream::pair().unwrap();
        // More than one message bears.
        let mut ends = Vec::new();
        let held: Vec<_> = (0..300)
            .map(|n| {
                let (reader, writer) = std::io::pipe().unwrap();
                ends.push(reader);
                (format!("key{n}"), "stdout".to_owned(), OwnedFd::from(writer))
            })
            .collect();
        let path = run.path().to_owned();
        let keeper = std::thread::spawn(move || receive(&path).unwrap());
        let connection = handover.give(PATIENCE, listener.as_fd(), &held).unwrap();
        drop(held);
        assert!(!keeper.is_finished(), "it waits for the engine's end");
        drop(connection);
        let legacy = keeper.join().unwrap();
        assert_eq!(legacy.held.len(), 300);
        for (n, (name, fd)) in legacy.held.into_iter().enumerate() {
            assert_eq!((name.key, name.name.as_str()), (format!("key{n}"), "stdout"));
            std::fs::File::from(fd).write_all(b"x").unwrap();
        }
        for mut end in ends {
            let mut text = String::new();
            end.read_to_string(&mut text).unwrap();
            assert_eq!(text, "x");
        }
    }

    #[test]
    fn without_a_next_keeper_the_engine_keeps_what_it_has() {
        let run = tempfile::tempdir().unwrap();
        let handover = Handover::open(run.path()).unwrap();
        let (listener, _theirs) = UnixStream::pair().unwrap();
        let error = handover.give(Duration::from_millis(20), listener.as_fd(), &[]).unwrap_err();
        assert_eq!(error.errno, rustix::io::Errno::TIMEDOUT);
    }
}
