//! A container's directory: `state.json`, written whole or not at all; `cgroup`, a link that names its cgroup and
//! is there before the cgroup is; `exec.fifo`, while it waits to be started.
//!
//! ```text
//! mkdir ─▶ cgroup ─▶ state.json (with the process) ─▶ [exec.fifo: created] ─▶ running ─▶ removed
//! ```
//! So a runtime that is killed anywhere leaves what `delete --force` can find.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::config::Hooks;
use crate::error::{Doing, Error, Result};

/// What is known of a container.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Of this file's format.
    pub version: u32,
    /// What the bundle says.
    pub oci_version: String,
    /// Its id.
    pub id: String,
    /// Its first process.
    pub pid: i32,
    /// When that was started, in ticks since boot: pids are used again.
    pub started: u64,
    /// Its bundle, absolute.
    pub bundle: PathBuf,
    /// Its root, absolute.
    pub rootfs: PathBuf,
    /// RFC 3339.
    pub created: String,
    /// Of the bundle.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Who made it: a uid.
    pub uid: u32,
    /// `CLONE_NEW*` of the namespaces that are not the host's.
    pub namespaces: u32,
    /// The hooks that are still to run.
    pub hooks: Hooks,
    /// The process's own streams are a terminal.
    pub terminal: bool,
    /// `config.json`, as it was.
    pub config: Box<RawValue>,
}

/// This format.
pub const VERSION: u32 = 1;

/// The directory, locked against other commands.
#[derive(Debug)]
pub struct Locked {
    path: PathBuf,
    _lock: OwnedFd,
}

/// Whether an id can be one, by runc's rule.
pub fn check_id(id: &str) -> Result<()> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"_+-.".contains(&b);
    if id.is_empty() || id.len() > 255 || id == "." || id == ".." || !id.bytes().all(sound) {
        return Err(Error::BadId(id.chars().take(100).collect()));
    }
    Ok(())
}

impl Locked {
    /// Makes it.
    pub fn create(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        let path = root.join(id);
        let make = || rustix::fs::mkdir(&path, Mode::from_raw_mode(0o711));
        let made = match make() {
            Err(Errno::NOENT) => {
                std::fs::create_dir_all(root).doing(|| format!("mkdir {root:?}"))?;
                rustix::fs::chmod(root, Mode::from_raw_mode(0o711)).doing(|| format!("chmod {root:?}"))?;
                make()
            }
            made => made,
        };
        match made {
            Err(Errno::EXIST) => return Err(Error::Taken(id.to_owned())),
            made => made.doing(|| format!("mkdir {path:?}"))?,
        }
        match Self::lock(path)? {
            Some(locked) => Ok(locked),
            None => Err(Error::NoContainer(id.to_owned())),
        }
    }

    /// Opens an existing one and waits for whoever holds it.
    pub fn open(root: &Path, id: &str) -> Result<Self> {
        check_id(id)?;
        Self::lock(root.join(id))?.ok_or_else(|| Error::NoContainer(id.to_owned()))
    }

    /// `None`: it is not there, or was removed while this waited.
    fn lock(path: PathBuf) -> Result<Option<Self>> {
        let describe = || format!("lock {path:?}");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            fd => fd.doing(describe)?,
        };
        if rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
            rustix::fs::flock(&fd, FlockOperation::LockExclusive).doing(describe)?;
            if rustix::fs::fstat(&fd).doing(describe)?.st_nlink == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Self { path, _lock: fd }))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of a running container: what waits to be started, if it does.
    pub fn fifo(&self) -> PathBuf {
        self.path.join("exec.fifo")
    }

    /// Remembers the cgroup before it is made.
    pub fn note_cgroup(&self, path: &str) -> Result<()> {
        let link = self.path.join("cgroup");
        rustix::fs::symlink(path, &link).doing(|| format!("symlink {link:?}"))
    }

    /// The cgroup, if one was to be made.
    pub fn cgroup(&self) -> Option<String> {
        std::fs::read_link(self.path.join("cgroup")).ok()?.into_os_string().into_string().ok()
    }

    /// Replaces `state.json`.
    pub fn write(&self, state: &State) -> Result<()> {
        let (temporary, path) = (self.path.join(".state.json"), self.path.join("state.json"));
        let text = serde_json::to_vec(state).unwrap_or_default();
        std::fs::write(&temporary, text).doing(|| format!("write {temporary:?}"))?;
        std::fs::rename(&temporary, &path).doing(|| format!("rename to {path:?}"))
    }

    /// Reads `state.json`.
    pub fn read(&self) -> Result<State> {
        read(&self.path)
    }

    /// Removes the directory.
    pub fn remove(self) -> Result<()> {
        for name in ["state.json", "cgroup"] {
            _ = rustix::fs::unlink(self.path.join(name));
        }
        match rustix::fs::rmdir(&self.path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY) => std::fs::remove_dir_all(&self.path).doing(|| format!("remove {:?}", self.path)),
            Err(errno) => Err(errno).doing(|| format!("rmdir {:?}", self.path)),
        }
    }
}

/// Reads the state in a container's directory, without its lock.
pub fn read(directory: &Path) -> Result<State> {
    let path = directory.join("state.json");
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(Error::NoContainer(id));
        }
        text => text.doing(|| format!("read {path:?}"))?,
    };
    let unreadable = |reason: String| Error::Unreadable { path: path.clone(), reason };
    let state: State = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    if state.version != VERSION {
        return Err(unreadable(format!("format {} is not {VERSION}", state.version)));
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_runcs() {
        for id in ["a", "a.b-c_d+e", "0"] {
            assert!(check_id(id).is_ok());
        }
        for id in ["", ".", "..", "a/b", "a b", "ä", "../x"] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }
}
