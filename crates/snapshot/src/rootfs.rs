//! What a container's root file system is made from, and what comes out.

use std::os::fd::OwnedFd;

use hull_mount::MountFd;
use hull_types::Digest;

/// What lies below a container's own changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Base {
    /// Unpacked layers by chain id, bottom first.
    Layers(Vec<Digest>),
    /// This machine's own root file system, read-only; changes go to memory and end with the mount.
    Host,
}

impl Base {
    /// The chain ids, bottom first.
    pub fn layers(&self) -> &[Digest] {
        match self {
            Self::Layers(layers) => layers,
            Self::Host => &[],
        }
    }

    pub(crate) fn uses(&self, chain_id: &Digest) -> bool {
        self.layers().contains(chain_id)
    }
}

/// A wish for a root file system.
pub struct Rootfs<'a> {
    /// What lies below.
    pub base: &'a Base,
    /// The caller's name for the place of its changes: the container's id.
    pub slot: &'a str,
    /// The changes need not survive a power cut or a reboot: no sync on any path.
    pub ephemeral: bool,
    /// The container's user namespace, if it has its own: files appear owned by its ids. A slot keeps
    /// the ids that it was first prepared with, so the namespace's maps must stay the same.
    pub userns: Option<&'a OwnedFd>,
}

/// A root file system, ready to be moved into a mount namespace.
#[derive(Debug)]
pub struct Prepared {
    /// The detached mount.
    pub mount: MountFd,
    /// Whether it came from the pool.
    pub pooled: bool,
}
