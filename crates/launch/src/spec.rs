//! [`Spec`]: everything wished for one container, resolved and typed.
//!
//! The engine makes it once, when it admits a create request, and stores it in the container's
//! record; a start reads it and nothing else. It holds wishes, no facts: no file descriptor, no
//! resolved user, no path that was looked at. It knows neither images nor the API.

mod bundle;
mod mounts;
mod namespaces;
mod process;

pub use bundle::{Bundle, BundleProcess, CapabilitySets};
pub use mounts::{Idmap, MountKind, MountWish, Propagation, Readonly, Shm};
pub use namespaces::{NamespaceWish, NamespaceWishes, TimeOffsets, Userns};
pub use process::{Lsm, OomScore, Process, RlimitWish, SeccompWish};

use std::collections::BTreeMap;
use std::path::PathBuf;

use hull_cgroup::Limits;
use hull_confine::devices::{Mapping, Rule};
use serde::{Deserialize, Serialize};

/// The typed wish for one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// What runs, and as whom.
    pub process: Process,
    /// The host name inside. Not set (the host's is seen) when the UTS namespace is shared.
    pub hostname: String,
    /// The NIS domain name inside.
    pub domainname: Option<String>,
    /// Which namespaces are new, the host's or another container's.
    pub namespaces: NamespaceWishes,
    /// `--privileged`: see `compile` for what it changes.
    pub privileged: bool,
    /// The container may write its own cgroup (`writable-cgroups`).
    pub writable_cgroups: bool,
    /// `--init`: hull's own tiny init is PID 1.
    pub init: bool,
    /// `--read-only`.
    pub readonly_root: bool,
    /// What the user asks to be mounted, in the order of the request.
    pub mounts: Vec<MountWish>,
    /// `/dev/shm`.
    pub shm: Shm,
    /// `--device`: nodes of the host, or directories of them.
    pub devices: Vec<Mapping>,
    /// `--device-cgroup-rule`.
    pub device_rules: Vec<Rule>,
    /// Paths hidden from the container; empty when unconfined.
    pub masked_paths: Vec<PathBuf>,
    /// Paths made read-only; empty when unconfined.
    pub readonly_paths: Vec<PathBuf>,
    /// `--sysctl`, namespaced keys only (checked).
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits; `devices` is filled at each start, when the nodes' numbers are known.
    pub limits: Limits,
    /// `--cgroup-parent`; `None` is the engine's own.
    pub cgroup_parent: Option<String>,
    /// The contents of `/etc/hosts` and `/etc/resolv.conf`.
    pub resolver: Resolver,
    /// How the container is asked to stop.
    pub stop: Stop,
    /// Where its output goes.
    pub log: LogWish,
}

impl Spec {
    /// Whether preparing its start looks at nothing but what the engine itself keeps: no volume to mount, no
    /// path of the host, no other container, no user namespace to ask for.
    pub fn is_brief(&self) -> bool {
        let alone = |wish: &NamespaceWish| !matches!(wish, NamespaceWish::Container(_));
        let spaces = &self.namespaces;
        let all = [&spaces.pid, &spaces.uts, &spaces.ipc, &spaces.net, &spaces.cgroup, &spaces.time];
        self.mounts.is_empty() && self.devices.is_empty() && spaces.user == Userns::Host && all.into_iter().all(alone)
    }

    /// Whether one of its mounts is this volume.
    pub fn mounts_volume(&self, volume: &str) -> bool {
        self.mounts.iter().any(|mount| matches!(&mount.kind, MountKind::Volume { name, .. } if name == volume))
    }
}

/// What goes into `/etc/hosts` and `/etc/resolv.conf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// `--dns`.
    pub servers: Vec<String>,
    /// `--dns-search`.
    pub search: Vec<String>,
    /// `--dns-option`.
    pub options: Vec<String>,
    /// `--add-host` as (name, address). The address may be the word `host-gateway`.
    pub hosts: Vec<(String, String)>,
}

/// How a container is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The signal's number.
    pub signal: i32,
    /// Seconds until SIGKILL; `-1` waits for ever.
    pub timeout: i64,
}

/// Where the output of a container goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogWish {
    /// The driver's name as asked for. Whatever it is, output goes to hull's own spool first.
    pub driver: String,
    /// Bytes kept at most (`max-size` × `max-file`); `None` keeps all.
    pub max_bytes: Option<u64>,
    /// Of each stream what is older than so many bytes is compressed (`compress`: all but the latest `max-size`).
    #[serde(default)]
    pub packed_after: Option<u64>,
    /// What the driver hands on is not kept to be read here.
    #[serde(default)]
    pub cache_disabled: bool,
}

impl LogWish {
    /// Whether output is kept at all.
    pub fn keeps(&self) -> bool {
        self.driver != "none" && !self.cache_disabled
    }
}

/// The typed wish for one process in a running container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// What runs, and as whom; confinement as the container's own unless privileged.
    pub process: Process,
    /// `exec --privileged`: all capabilities.
    pub privileged: bool,
}
