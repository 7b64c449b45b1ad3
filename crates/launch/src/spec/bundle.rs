//! [`Bundle`]: the wish for a container that an OCI bundle describes: exactly its mounts, in its order.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{NamespaceWishes, Process};
use crate::plan::{Hook, Scheduler, Step};

/// A bundle's container.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What runs, with what the runtime specification knows of a process and docker does not.
    pub process: BundleProcess,
    /// The host name; `None` leaves it.
    pub hostname: Option<String>,
    /// The NIS domain name; `None` leaves it.
    pub domainname: Option<String>,
    /// Namespaces. The mount namespace is always new.
    pub namespaces: NamespaceWishes,
    /// Attaching steps, in the order of the bundle: `Attach`, `NewMount`, `TmpfsCopyUp`, `Symlink`, `Remount`.
    pub mounts: Vec<Step>,
    /// `/dev` is the container's own: nodes, links and the console are made in it.
    pub own_dev: bool,
    /// Hidden paths.
    pub masked_paths: Vec<PathBuf>,
    /// Read-only paths.
    pub readonly_paths: Vec<PathBuf>,
    /// What is done to the root once it is the root.
    pub root: Option<Step>,
    /// The root is read-only.
    pub readonly_root: bool,
    /// `pivot_root`; else `chroot`.
    pub pivot: bool,
    /// Sysctls.
    pub sysctls: BTreeMap<String, String>,
    /// `personality`.
    pub personality: Option<u32>,
    /// Run in the container's namespaces, before the root is changed.
    pub create_container: Vec<Hook>,
    /// Run in the container before its command.
    pub start_container: Vec<Hook>,
}

/// A process of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct BundleProcess {
    /// What it has in common with docker's; its `capabilities` are not looked at.
    pub process: Process,
    /// The five sets.
    pub capabilities: CapabilitySets,
    /// `sched_setattr`.
    pub scheduler: Option<Scheduler>,
    /// I/O priority: class and level.
    pub io_priority: Option<(u16, u16)>,
    /// CPUs of the process once it runs.
    pub affinity: Option<Vec<u32>>,
    /// The name of a session keyring of its own; `None` keeps the launcher's.
    pub keyring: Option<String>,
}

/// Capability sets, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// Bounding.
    pub bounding: u64,
    /// Permitted.
    pub permitted: u64,
    /// Effective.
    pub effective: u64,
    /// Inheritable.
    pub inheritable: u64,
    /// Ambient.
    pub ambient: u64,
}
