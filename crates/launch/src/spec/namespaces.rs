//! Which namespaces a container stands in.

use serde::{Deserialize, Serialize};

use crate::plan::IdMaps;

/// Where one namespace comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamespaceWish {
    /// A new one.
    #[default]
    New,
    /// The host's.
    Host,
    /// That of the running container with this id.
    Container(String),
}

/// The wish for each kind. The mount namespace is always new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceWishes {
    /// Process ids.
    pub pid: NamespaceWish,
    /// Host name.
    pub uts: NamespaceWish,
    /// System V IPC, POSIX queues; `/dev/shm` goes with it.
    pub ipc: NamespaceWish,
    /// Other containers may join the IPC namespace (`--ipc shareable`).
    pub ipc_shareable: bool,
    /// Network.
    pub net: NamespaceWish,
    /// Cgroup root.
    pub cgroup: NamespaceWish,
    /// Clocks.
    pub time: NamespaceWish,
    /// Offsets of a new time namespace.
    pub time_offsets: Option<TimeOffsets>,
    /// User and group ids.
    pub user: Userns,
}

impl Default for NamespaceWishes {
    /// docker's defaults: all new but for users and clocks.
    fn default() -> Self {
        Self {
            pid: NamespaceWish::New,
            uts: NamespaceWish::New,
            ipc: NamespaceWish::New,
            ipc_shareable: false,
            net: NamespaceWish::New,
            cgroup: NamespaceWish::New,
            time: NamespaceWish::Host,
            time_offsets: None,
            user: Userns::Host,
        }
    }
}

/// Offsets of a new time namespace, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOffsets {
    /// Of CLOCK_MONOTONIC.
    pub monotonic: i64,
    /// Of CLOCK_BOOTTIME.
    pub boottime: i64,
}

/// The wish for the user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Userns {
    /// The engine's own.
    #[default]
    Host,
    /// A new one whose ids are a free range of the host of this length, chosen at the first start.
    Auto {
        /// How many ids.
        size: u32,
    },
    /// A new one with these maps.
    Maps(IdMaps),
    /// That of the running container with this id.
    Container(String),
}
