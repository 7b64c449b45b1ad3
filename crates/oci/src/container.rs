//! A container as it is now: its state on disk together with what the kernel says.

use std::path::Path;

use rustix::process::Pid;
use serde::Serialize;

use crate::cgroups::Group;
use crate::cli::Globals;
use crate::error::{Doing, Error, Result};
use crate::state::{self, Locked, State};

/// The states of runtime-spec, and `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for `start`.
    Created,
    /// Its process runs.
    Running,
    /// Its process is frozen.
    Paused,
    /// Its process has ended.
    Stopped,
}

impl Status {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// A container that exists.
pub struct Container {
    /// What is on disk.
    pub state: State,
    /// Its directory.
    pub directory: std::path::PathBuf,
}

impl Container {
    /// Finds it, without a lock.
    pub fn find(globals: &Globals, id: &str) -> Result<Self> {
        state::check_id(id)?;
        let directory = globals.root.join(id);
        Ok(Self { state: state::read(&directory)?, directory })
    }

    /// Of a locked directory.
    pub fn of(locked: &Locked) -> Result<Self> {
        Ok(Self { state: locked.read()?, directory: locked.path().to_owned() })
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        if !self.is_alive() {
            Status::Stopped
        } else if self.directory.join("exec.fifo").exists() {
            Status::Created
        } else if self.group().is_some_and(|group| group.is_frozen()) {
            Status::Paused
        } else {
            Status::Running
        }
    }

    /// Whether its first process still is that process, and no zombie.
    pub fn is_alive(&self) -> bool {
        started(self.state.pid).is_ok_and(|(started, ended)| started == self.state.started && !ended)
    }

    /// Its cgroup, if it has one.
    pub fn group(&self) -> Option<Group> {
        let path = std::fs::read_link(self.directory.join("cgroup")).ok()?;
        Group::open(path.to_str()?).ok()
    }

    fn proc_directory(&self) -> Result<std::os::fd::OwnedFd> {
        let path = format!("/proc/{}", self.state.pid);
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).map_err(|_| Error::NotRunning)
    }

    /// A descriptor of its first process.
    pub fn pidfd(&self) -> Result<std::os::fd::OwnedFd> {
        let pid = Pid::from_raw(self.state.pid).ok_or(Error::NotRunning)?;
        let pidfd = match hull_sys::pidfd::open(pid) {
            Err(error) if error.errno == rustix::io::Errno::SRCH => return Err(Error::NotRunning),
            // KERNEL(5.3): signals can be sent through its directory in /proc, too.
            Err(error) if error.errno == rustix::io::Errno::NOSYS => self.proc_directory()?,
            pidfd => pidfd?,
        };
        // ORDER: looked at once the descriptor holds it, so that it cannot be another one.
        if self.is_alive() { Ok(pidfd) } else { Err(Error::NotRunning) }
    }
}

/// When a process was started, in ticks since boot, and whether it has ended: proc_pid_stat(5).
pub fn started(pid: i32) -> Result<(u64, bool)> {
    let path = format!("/proc/{pid}/stat");
    let mut bytes = [0u8; 1024];
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).doing(|| format!("open {path:?}"))?;
    let n = rustix::io::read(&file, &mut bytes).doing(|| format!("read {path:?}"))?;
    let text = String::from_utf8_lossy(&bytes[..n]);
    // The name before may hold anything, also parentheses.
    let fields = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = fields.split(' ');
    let ended = matches!(fields.next(), Some("Z" | "X" | "x"));
    let started = fields.nth(18).and_then(|ticks| ticks.parse().ok());
    let started = started.ok_or_else(|| Error::Unreadable { path: path.into(), reason: "no start time".into() })?;
    Ok((started, ended))
}

/// The JSON of runtime-spec's state, as hooks get it: before and after the number of the process.
pub fn spec_state(parts: &SpecState<'_>) -> (String, String) {
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let before = format!(
        "{{\"ociVersion\":{},\"id\":{},\"status\":{},\"pid\":",
        quoted(parts.version),
        quoted(parts.id),
        quoted(parts.status)
    );
    let mut after = format!(",\"bundle\":{}", quoted(&parts.bundle.to_string_lossy()));
    if !parts.annotations.is_empty() {
        after += ",\"annotations\":";
        after += &serde_json::to_string(parts.annotations).unwrap_or_default();
    }
    after.push('}');
    (before, after)
}

/// What a hook is told.
pub struct SpecState<'a> {
    pub version: &'a str,
    pub id: &'a str,
    pub status: &'a str,
    pub bundle: &'a Path,
    pub annotations: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> SpecState<'a> {
    /// Of a container that exists.
    pub fn of(state: &'a State, status: &'a str) -> Self {
        let State { oci_version, id, bundle, annotations, .. } = state;
        Self { version: oci_version, id, status, bundle, annotations }
    }
}
