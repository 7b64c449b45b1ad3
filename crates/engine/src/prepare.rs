//! Preparing: from a stored [`Spec`] to a launch plan with its file descriptors.
//!
//! [`start()`] and [`exec()`] gather the facts (root file system, binds, volumes, cgroup, namespaces,
//! identity, seccomp program), each through the crate that owns its kind, and compile. They block.
//! What was made is undone when a later part fails; undo errors are told with the cause.
//! Knows nothing of the API, of records and of the keeper.

pub(crate) mod by_hand;
mod cgroup;
mod devices;
mod etc;
mod exec;
mod fds;
mod files;
mod host;
mod identity;
mod mounts;
mod namespaces;
mod peer;
mod ranges;
mod room;
mod start;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use hull_launch::plan::{IdMaps, LaunchPlan, Slot};
use hull_launch::spec::{ExecSpec, Spec};
use hull_network::Endpoint;
use hull_types::{ContainerId, Fault};

use crate::story::Laps;

pub(crate) use etc::texts as etc_texts;
pub(crate) use identity::resolve as resolve_user;
pub(crate) use peer::{maps_of, root_of};
pub(crate) use room::in_room;

pub use etc::{follow_networks, hosts_file};
pub use exec::exec;
pub use host::HostFacts;
pub use ranges::IdRanges;
pub use start::start;
#[cfg(test)]
pub(crate) use start::tests::spec as plain_spec;

/// What the engine owns and lends to every preparation.
pub struct Parts {
    /// `--root`.
    pub root: PathBuf,
    /// The engine's instance name, the parent of its cgroups.
    pub instance: String,
    /// Layers to root file systems.
    pub snapshots: Arc<hull_snapshot::Snapshots>,
    /// Volumes.
    pub volumes: Arc<hull_volume::Volumes>,
    /// The host's cgroups.
    pub cgroups: Arc<hull_cgroup::Host>,
    /// Network namespaces, some made ahead.
    pub netns: Arc<hull_network::Pool>,
    /// What the host's kernel and security modules offer.
    pub host: HostFacts,
    /// Ranges of host ids given to `--userns auto` containers.
    pub ranges: IdRanges,
    /// Compiled seccomp filters.
    pub filters: hull_confine::seccomp::Cache,
}

/// The running containers, as a preparation may see them.
pub trait Peers {
    /// The running container with this id.
    fn running(&self, id: &str) -> Option<Peer>;
}

/// A running container.
pub struct Peer {
    /// Its PID 1, as the host counts.
    pub pid: i32,
    /// The pidfd of its PID 1.
    pub pidfd: OwnedFd,
    /// Its wish.
    pub spec: Arc<Spec>,
}

/// The root file system of a container.
pub struct Rootfs {
    /// What lies below the container's own changes.
    pub base: hull_snapshot::Base,
    /// The name of its writable directory: the container's id.
    pub slot: String,
    /// It ends with the container: nothing of it needs to survive a power cut.
    pub ephemeral: bool,
}

/// The process's terminal or its three streams.
pub enum Io {
    /// The child's ends of its streams.
    Streams {
        /// fd 0.
        stdin: OwnedFd,
        /// fd 1.
        stdout: OwnedFd,
        /// fd 2.
        stderr: OwnedFd,
    },
    /// A terminal of this size, made by the child; its master comes back through the keeper.
    Terminal {
        /// Rows; 0 leaves the kernel's default.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

/// What one start is made from.
pub struct StartInput<'a> {
    /// The container's id; also the key of the launch.
    pub id: &'a ContainerId,
    /// Its name, for messages.
    pub name: &'a str,
    /// The stored wish.
    pub spec: &'a Spec,
    /// Its root file system.
    pub rootfs: Rootfs,
    /// Its streams.
    pub io: Io,
    /// Its ends in networks.
    pub endpoints: &'a [Endpoint],
    /// Addresses of this host that every container reaches: `host-gateway`.
    pub gateway: &'a [std::net::IpAddr],
    /// A network namespace that was made ahead for this container, with its wire.
    pub ready: &'a dyn Fn() -> Option<OwnedFd>,
    /// Wires a namespace to them.
    pub wire: &'a dyn Fn(BorrowedFd<'_>) -> Result<(), Fault>,
    /// The other running containers.
    pub peers: &'a dyn Peers,
    /// What is done when.
    pub laps: &'a mut Laps,
    /// Asks the keeper for a user namespace with these maps.
    pub userns: &'a dyn Fn(&IdMaps) -> Result<OwnedFd, Fault>,
}

/// What one exec is made from.
pub struct ExecInput<'a> {
    /// The exec's id: the key of the launch.
    pub key: &'a str,
    /// The container's id.
    pub container: &'a ContainerId,
    /// The container's stored wish.
    pub spec: &'a Spec,
    /// The wish for the process, from [`crate::admit::exec`].
    pub exec: &'a ExecSpec,
    /// PID 1 of the container.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// The process's streams.
    pub io: Io,
}

/// A plan with its descriptors, ready for the keeper.
pub struct Prepared {
    /// The plan.
    pub plan: LaunchPlan,
    /// The descriptors, by slot.
    pub fds: Vec<OwnedFd>,
    /// What should be logged: nothing here stops the launch.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// Adds a descriptor that travels with the plan (for example one the keeper shall hold).
    pub fn push(&mut self, fd: OwnedFd) -> Slot {
        let slot = Slot(u16::try_from(self.fds.len()).unwrap_or(u16::MAX));
        self.fds.push(fd);
        slot
    }
}
