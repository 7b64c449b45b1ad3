//! A blocking, typed client of the Engine API over a unix socket.
//!
//! Owns HTTP/1.1 as far as the Engine API needs it: keep-alive connections, chunked bodies both ways, streams of
//! JSON and of output frames, and connections that turn into raw byte streams (attach, exec). It starts no threads
//! and no runtime, so that a short command pays for nothing but its requests. Knows nothing of the engine's insides.
//!
//! A [`Client`] may be shared between threads: each request takes an idle connection or opens a new one, and gives
//! it back when its body has been read to the end.
#![forbid(unsafe_code)]

mod archive;
mod body;
mod conn;
mod containers;
mod error;
mod exec;
mod explain;
mod frames;
mod images;
mod networks;
mod registry;
mod request;
mod streams;
mod system;
mod volumes;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use conn::Conn;
pub use containers::{AttachOptions, ListOptions, LogOptions, RemoveOptions, WaitCondition, Waiting};
pub use error::Error;
pub use frames::{Demux, FrameReader};
pub use images::{CommitOptions, ImportOptions};
pub use streams::{Hijacked, JsonStream, Logs};
pub use system::Ping;

/// Makes connections to an engine that has no socket on this machine.
pub trait Dial: std::fmt::Debug + Send + Sync {
    /// One end of a new connection.
    ///
    /// # Errors
    /// It could not be made.
    fn dial(&self) -> io::Result<UnixStream>;
}

/// A connection to an engine.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    far: Option<Arc<dyn Dial>>,
    idle: Mutex<Vec<Conn>>,
}

impl Client {
    /// Connects to `unix:///path/to/socket` or to a plain path.
    ///
    /// # Errors
    /// [`Error::Host`] for another scheme, [`Error::Connect`] if nobody listens.
    pub fn connect(host: &str) -> Result<Self, Error> {
        Self::first(Self { path: socket_path(host)?, far: None, idle: Mutex::default() })
    }

    /// Connects by other means; `host` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Connect`] if it could not.
    pub fn over(host: &str, far: Arc<dyn Dial>) -> Result<Self, Error> {
        Self::first(Self { path: host.into(), far: Some(far), idle: Mutex::default() })
    }

    fn first(client: Self) -> Result<Self, Error> {
        let first = client.open()?;
        client.give_back(first);
        Ok(client)
    }

    /// A new connection, for what is no request of this client.
    ///
    /// # Errors
    /// [`Error::Connect`] if it could not be made.
    pub fn dial(&self) -> Result<UnixStream, Error> {
        let made = match &self.far {
            Some(far) => far.dial(),
            None => UnixStream::connect(&self.path),
        };
        made.map_err(|source| Error::Connect { path: self.path.clone(), source })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<Conn, Error> {
        self.dial().map(Conn::new)
    }

    /// An idle connection that the engine has not closed, or a new one.
    fn take(&self) -> Result<Conn, Error> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
            match idle {
                Some(conn) if conn.is_usable() => return Ok(conn),
                Some(_) => {}
                None => return self.open(),
            }
        }
    }

    fn give_back(&self, conn: Conn) {
        self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(conn);
    }
}

/// The path of `unix:///path` or of a plain absolute path.
fn socket_path(host: &str) -> Result<PathBuf, Error> {
    let path = host.strip_prefix("unix://").unwrap_or(host);
    if path.is_empty() || path.contains("://") || path.contains('\0') {
        return Err(Error::Host(host.to_owned()));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unix_sockets_are_hosts() {
        assert_eq!(socket_path("unix:///run/x.sock").unwrap(), Path::new("/run/x.sock"));
        assert_eq!(socket_path("/run/x.sock").unwrap(), Path::new("/run/x.sock"));
        for bad in ["", "tcp://1.2.3.4:2375", "ssh://host", "unix://", "unix:///a\0b"] {
            assert!(socket_path(bad).is_err(), "{bad}");
        }
    }
}
