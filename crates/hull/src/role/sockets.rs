//! Further sockets of an engine, as `HULL_SOCKETS` names them: where, who may open them, and what for.
//!
//! They are the engine's own: while it is restarted nobody listens on them. The environment goes from the keeper to
//! every engine, so the next one listens again.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hull_api::Access;
use hull_types::{Fault, Kind};
use rustix::fs::{CWD, Gid, Mode};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

/// The variable: specs with `;` between them.
pub(crate) const VARIABLE: &str = "HULL_SOCKETS";
/// Where docker's clients look first.
pub(crate) const DOCKER: &str = "path=/var/run/docker.sock";
/// Connections that wait to be accepted.
const WAITING: i32 = 4096;

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    path: PathBuf,
    access: Access,
    /// `key` or `key=value`: nothing else is there.
    label: Option<String>,
    mode: u32,
}

impl FromStr for Socket {
    type Err = Fault;

    /// `path=/run/dashboard.sock,access=read,mode=0666`.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let shown: String = text.chars().take(128).flat_map(char::escape_debug).collect();
        let bad = |why: &str| {
            let fault = Fault::invalid(format!("the socket `{shown}` cannot be: {why}"));
            fault.hint("write it as path=/run/x.sock,access=read,label=key=value,mode=0660")
        };
        let mut socket = Self { path: PathBuf::new(), access: Access::Full, label: None, mode: 0o660 };
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("path", path)) => socket.path = PathBuf::from(path),
                Some(("access", "full")) => socket.access = Access::Full,
                Some(("access", "read")) => socket.access = Access::Read,
                Some(("access", "write")) => socket.access = Access::Write,
                Some(("access", _)) => return Err(bad("access is full, read or write")),
                Some(("label", "")) => return Err(bad("its label is empty")),
                Some(("label", label)) => socket.label = Some(label.to_owned()),
                Some(("mode", mode)) => {
                    let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                    socket.mode = mode.ok_or_else(|| bad("mode is an octal number"))?;
                }
                _ => return Err(bad("it has path, access, label and mode")),
            }
        }
        let plain = !text.contains([';', '\n', '\0']);
        if !socket.path.is_absolute() || !plain {
            return Err(bad("its path must be absolute, without `;`"));
        }
        if socket.access == Access::Full && socket.label.is_some() {
            return Err(bad("full access is that of root, whatever the label: it needs access=read or access=write"));
        }
        if socket.access == Access::Write && socket.label.is_none() {
            return Err(bad("access=write needs the label of what may be changed"));
        }
        if socket.access == Access::Full && socket.mode & 0o007 != 0 {
            return Err(bad("everybody would be root: with full access others get no rights"));
        }
        Ok(socket)
    }
}

/// Those of the variable.
pub(crate) fn parse(text: &str) -> Result<Vec<Socket>, Fault> {
    text.split(';').filter(|spec| !spec.is_empty()).map(str::parse).collect()
}

impl Socket {
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    pub(crate) fn label(&self) -> Option<String> {
        self.label.clone()
    }

    /// Whether it could be listened on.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let path = self.path.display();
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let above = self.path.parent().is_some_and(Path::is_dir);
                if above {
                    Ok(())
                } else {
                    Err(Fault::invalid(format!("the directory of the socket {path} is missing")))
                }
            }
            Err(error) => Err(Fault::invalid(format!("cannot look at {path}")).cause(error)),
            Ok(there) if !there.file_type().is_socket() => {
                Err(Fault::conflict(format!("{path} is there and is no socket")))
            }
            Ok(_) => match UnixStream::connect(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
                Err(error) => Err(Fault::conflict(format!("{path} cannot be taken over")).cause(error)),
                Ok(_) => Err(Fault::conflict(format!("somebody listens on {path} already"))),
            },
        }
    }

    /// Listens on it, in the place of one that nobody listens on any more.
    pub(crate) fn listen(&self, group: Option<u32>) -> Result<(UnixListener, Bound), Fault> {
        self.check()?;
        self.bind(group).map_err(|errno| {
            let fault = Fault::new(Kind::Unavailable, format!("cannot listen on {}", self.path.display()));
            fault.cause(errno)
        })
    }

    fn bind(&self, group: Option<u32>) -> rustix::io::Result<(UnixListener, Bound)> {
        // Nothing is there, or what `check` has found.
        let _ = std::fs::remove_file(&self.path);
        let socket: OwnedFd = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrUnix::new(&self.path)?)?;
        let bound = Bound(self.path.clone());
        // ORDER: before it listens, so that nobody connects whom its mode would not let in.
        rustix::fs::chmodat(CWD, &self.path, Mode::from_raw_mode(self.mode), rustix::fs::AtFlags::empty())?;
        if let Some(group) = group {
            rustix::fs::chown(&self.path, None, Some(Gid::from_raw(group)))?;
        }
        listen(&socket, WAITING)?;
        Ok((UnixListener::from(socket), bound))
    }
}

/// A socket's name; dropping it takes it away.
pub(crate) struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_written_in_one_word() {
        let socket = |path: &str, access, mode| Socket { path: path.into(), access, label: None, mode };
        let two = parse("path=/run/a.sock;path=/b,access=read,mode=0666").unwrap();
        assert_eq!(two, [socket("/run/a.sock", Access::Full, 0o660), socket("/b", Access::Read, 0o666)]);
        assert_eq!(parse("").unwrap(), []);
        assert!(parse(DOCKER).is_ok());
        for bad in [
            "/run/a.sock",
            "path=a",
            "path=/a,access=write",
            "path=/a,mode=9",
            "path=/a,mode=0666",
            "path=/a,x=1",
            "path=/a,label=x",
            "path=/a,access=full,label=x",
            "path=/a,access=read,label=",
            "access=read",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_there_is_not_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let spec = format!("path={}/x,access=read", dir.path().display());
        let socket: Socket = spec.parse().unwrap();
        std::fs::write(dir.path().join("x"), "mine").unwrap();
        assert!(socket.check().unwrap_err().summary.contains("is no socket"));
        std::fs::remove_file(dir.path().join("x")).unwrap();
        let (_listener, _bound) = socket.listen(None).unwrap();
        assert!(socket.listen(None).err().unwrap().summary.contains("somebody listens"));
        drop(_listener);
        // Nobody listens any more: the name is free.
        socket.check().unwrap();
    }
}
