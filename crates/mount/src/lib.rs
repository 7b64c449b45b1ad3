//! Mounts as values: a [`MountFd`] is a detached mount that somebody further up attaches in a
//! namespace of their own, or drops, and then it is gone.
//!
//! Nothing is ever attached in the host's mount namespace. Where an old kernel can only make a mount
//! by attaching it, that happens in a private mount namespace on a helper thread.
#![forbid(unsafe_code)]

mod error;
mod overlay;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::Named;
use hull_sys::mount::{self, FsContext, SetAttr};

pub use error::{Error, Result};
pub use overlay::{MAX_LOWERS, Overlay, overlay};

/// `MOUNT_ATTR_RDONLY`.
pub const RDONLY: u64 = 0x1;
/// `MOUNT_ATTR_NOSUID`.
pub const NOSUID: u64 = 0x2;
/// `MOUNT_ATTR_NODEV`.
pub const NODEV: u64 = 0x4;
/// `MOUNT_ATTR_NOEXEC`.
pub const NOEXEC: u64 = 0x8;
/// `MOUNT_ATTR_NOATIME`.
pub const NOATIME: u64 = 0x10;
/// `MOUNT_ATTR_STRICTATIME`.
pub const STRICTATIME: u64 = 0x20;
/// `MOUNT_ATTR_NODIRATIME`.
pub const NODIRATIME: u64 = 0x80;
/// `MOUNT_ATTR_NOSYMFOLLOW`.
pub const NOSYMFOLLOW: u64 = 0x20_0000;

/// `CLONE_NEWNS`.
const NEW_MOUNT_NAMESPACE: u32 = 0x0002_0000;

/// How mounts and unmounts travel between peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// `MS_SHARED`.
    Shared,
    /// `MS_SLAVE`.
    Slave,
    /// `MS_PRIVATE`.
    Private,
    /// `MS_UNBINDABLE`.
    Unbindable,
}

impl Propagation {
    /// The `MS_*` bit.
    pub const fn bits(self) -> u64 {
        match self {
            Self::Unbindable => 1 << 17,
            Self::Private => 1 << 18,
            Self::Slave => 1 << 19,
            Self::Shared => 1 << 20,
        }
    }
}

/// A detached mount (or tree of mounts). Dropping it unmounts it.
#[derive(Debug)]
pub struct MountFd(OwnedFd);

impl MountFd {
    /// Takes a descriptor that is a detached mount.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The descriptor, to send with a plan.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Another descriptor of the same mount.
    pub fn duplicate(&self) -> Result<Self> {
        Ok(Self(hull_sys::fds::duplicate(&self.0)?))
    }

    /// Sets and clears `MOUNT_ATTR_*` bits.
    pub fn set_attrs(&self, set: u64, clear: u64, recursive: bool) -> Result<()> {
        Ok(mount::set_attributes(&self.0, SetAttr { set, clear, recursive, ..SetAttr::default() })?)
    }

    /// Makes it an idmapped mount: ids are shown as the user namespace maps them.
    pub fn idmap(&self, userns: BorrowedFd<'_>, recursive: bool) -> Result<()> {
        let attrs = SetAttr { idmap: Some(userns), recursive, ..SetAttr::default() };
        Ok(mount::set_attributes(&self.0, attrs)?)
    }

    /// Sets the propagation.
    pub fn propagation(&self, propagation: Propagation, recursive: bool) -> Result<()> {
        let attrs = SetAttr { propagation: propagation.bits(), recursive, ..SetAttr::default() };
        Ok(mount::set_attributes(&self.0, attrs)?)
    }
}

impl AsFd for MountFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A clone of the mount at the descriptor: a file or directory of the caller's mount namespace
/// (`O_PATH` suffices). With `recursive`, also of what is mounted beneath it. Propagation is made
/// private; see [`bind_shared`].
pub fn bind(source: impl AsFd, recursive: bool) -> Result<MountFd> {
    let clone = bind_shared(source, recursive)?;
    clone.propagation(Propagation::Private, recursive)?;
    Ok(clone)
}

/// A detached mount of what lies at `path` beneath a detached mount, links resolved inside it.
pub fn beneath(mount: &MountFd, path: &std::path::Path) -> Result<MountFd> {
    // KERNEL(6.15): before, only what is attached in the caller's namespace can be cloned.
    let clone = hull_sys::namespace::on_own_thread(|| {
        hull_sys::process::unshare_fs()?;
        hull_sys::process::unshare(NEW_MOUNT_NAMESPACE)?;
        mount::make_all_private()?;
        let root =
            rustix::fs::open("/", rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty());
        mount::attach(mount, root.named(|| "open(\"/\")".to_owned())?)?;
        mount::clone_tree(hull_sys::resolve::open_in_root(mount, path, rustix::fs::OFlags::PATH)?, false)
    })?;
    Ok(MountFd(clone))
}

/// As [`bind`], but still in the peer group of the source, if that is shared: for `rslave` and
/// `rshared`, which the caller sets next.
pub fn bind_shared(source: impl AsFd, recursive: bool) -> Result<MountFd> {
    Ok(MountFd(mount::clone_tree(source, recursive)?))
}

/// A new tmpfs. Options as in tmpfs(5): (`size`, `Some("64m")`), (`mode`, `Some("1777")`); attributes
/// are `MOUNT_ATTR_*`.
pub fn tmpfs(options: &[(&str, Option<&str>)], attrs: u64) -> Result<MountFd> {
    let context = FsContext::open("tmpfs")?;
    for (key, value) in options {
        match value {
            Some(value) => context.string(key, value)?,
            None => context.flag(key)?,
        }
    }
    Ok(MountFd(context.mount(attrs)?))
}
