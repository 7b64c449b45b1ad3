//! Slots: one container's own changes, and the root file system on top of its image.
//!
//! ```text
//!                 prepare                      remove
//!   (nothing) ─────────────▶ snapshots/<slot> ─────────▶ trash ──sweep──▶ (nothing)
//!       ▲  .pool-<n> ──take──────▲   │ mounted, unmounted when the last fd is closed
//!       └──refill                    └──reopen──▶ mounted again
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_mount::{MountFd, Overlay};
use rustix::fs::{AtFlags, Gid, RenameFlags, Uid};
use rustix::io::Errno;

use crate::{Base, Error, Prepared, Result, Rootfs, Snapshots, dir, host, usage};

/// The two directories as a mount shows them to the container's ids.
struct View<'a> {
    layers: BorrowedFd<'a>,
    slots: BorrowedFd<'a>,
    detached: &'a [BorrowedFd<'a>],
}

impl Snapshots {
    /// The root file system of a new container, from the pool if one is ready. A slot that is there
    /// already is used again.
    ///
    /// # Errors
    /// [`Error::MissingLayer`], [`Error::Mount`], [`Error::File`].
    pub fn prepare(&self, rootfs: &Rootfs<'_>) -> Result<Prepared> {
        check(rootfs.slot)?;
        match self.take(rootfs) {
            Some(mount) => Ok(Prepared { mount, pooled: true }),
            None => self.reopen(rootfs),
        }
    }

    /// The root file system of a stopped container, with what it changed. A slot that a power cut took
    /// is made anew.
    ///
    /// # Errors
    /// As [`Snapshots::prepare`].
    pub fn reopen(&self, rootfs: &Rootfs<'_>) -> Result<Prepared> {
        check(rootfs.slot)?;
        let made = dir::make(&self.inner.slots, rootfs.slot, 0o700)?;
        let mount = self.assemble(rootfs.base, rootfs.slot, rootfs.ephemeral, rootfs.userns);
        if mount.is_err() && made {
            // The cause matters more than an empty directory that the next start sweeps.
            _ = self.inner.discard(&self.inner.slots, rootfs.slot);
        }
        Ok(Prepared { mount: mount?, pooled: false })
    }

    /// Removes a container's changes: out of sight now, deleted by [`Snapshots::sweep`]. A slot that is
    /// not there is no error.
    ///
    /// # Errors
    /// [`Error::Slot`], [`Error::File`].
    pub fn remove(&self, slot: &str) -> Result<()> {
        check(slot)?;
        self.inner.discard(&self.inner.slots, slot)
    }

    /// Bytes of the files that a container changed or made: docker's `SizeRw`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn usage(&self, slot: &str) -> Result<u64> {
        check(slot)?;
        match dir::open_path(&self.inner.slots, slot) {
            Ok(slot) => match dir::open_path(&slot, "upper") {
                Ok(_) => usage::bytes(&dir::open(&slot, "upper")?),
                Err(_) => Ok(0),
            },
            Err(Errno::NOENT) => Ok(0),
            Err(errno) => Err(Error::file("open", slot)(errno)),
        }
    }

    /// Mounts `base` under the slot's directory, which exists.
    pub(crate) fn assemble(
        &self,
        base: &Base,
        slot: &str,
        ephemeral: bool,
        userns: Option<&OwnedFd>,
    ) -> Result<MountFd> {
        let (mount, fresh) = self.mount(base, slot, ephemeral, userns)?;
        // What a container has removed of them stays away.
        if let (Some(places), true) = (self.inner.places.get(), fresh) {
            // In a user namespace the host's root has no name: its own is whom `/` belongs to.
            let owner =
                userns.map(|_| rustix::fs::fstat(mount.as_fd()).map_err(Error::file("stat", "/"))).transpose()?;
            let owner = owner.map(|stat| (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid)));
            places.make(mount.as_fd(), owner);
        }
        Ok(mount)
    }

    /// The mount, and whether there are no changes of a container's in it yet.
    fn mount(&self, base: &Base, slot: &str, ephemeral: bool, userns: Option<&OwnedFd>) -> Result<(MountFd, bool)> {
        match base {
            Base::Host => Ok((host::mount(&self.inner.root, userns)?, true)),
            Base::Layers(_) => match userns {
                None => {
                    let (layers, slots) = (self.inner.layers.as_fd(), self.inner.slots.as_fd());
                    self.overlay(base, slot, ephemeral, &View { layers, slots, detached: &[] })
                }
                Some(userns) => {
                    // Clones that show the layers with the namespace's ids. The slot itself is not
                    // shifted: overlayfs copies up as the one who mounted it, whose ids such a clone
                    // would not have. Its files belong to the namespace's ids on the disk.
                    let clone = |of: &OwnedFd| -> Result<MountFd> {
                        let clone = hull_mount::bind(of, false)?;
                        clone.idmap(userns.as_fd(), false).map_err(Error::Idmapped)?;
                        Ok(clone)
                    };
                    let (layers, slots) = (clone(&self.inner.layers)?, clone(&self.inner.slots)?);
                    let (layers, slots) = (layers.as_fd(), slots.as_fd());
                    self.overlay(base, slot, ephemeral, &View { layers, slots, detached: &[layers, slots] })
                }
            },
        }
    }

    fn overlay(&self, base: &Base, slot: &str, ephemeral: bool, view: &View<'_>) -> Result<(MountFd, bool)> {
        let View { layers, slots, detached } = *view;
        let mut lowers = Vec::new();
        for chain_id in base.layers().iter().rev() {
            lowers.push(self.layer_fs(layers, chain_id)?);
        }
        if lowers.is_empty() {
            lowers.push(dir::open_path(slots, ".empty").map_err(Error::file("open", ".empty"))?);
        }
        let place = dir::open_path(&self.inner.slots, slot).map_err(Error::file("open", slot))?;
        let fresh = self.make_upper(&place, &lowers[0])?;
        let open = |name: &'static str| dir::open_path(&place, name).map_err(Error::file("open", name));
        let (upper, work) = (open("upper")?, open("work")?);
        let mount = hull_mount::overlay(&Overlay {
            lowers: &lowers.iter().map(AsFd::as_fd).collect::<Vec<_>>(),
            upper: Some(upper.as_fd()),
            work: Some(work.as_fd()),
            volatile: ephemeral,
            detached,
            ..Overlay::default()
        });
        Ok((mount.map_err(|error| Error::mount(error, !detached.is_empty()))?, fresh))
    }

    /// Makes what is missing of a slot; whether its upper directory was. Its owner and mode are those of the
    /// container's `/`, so they are the topmost layer's.
    fn make_upper(&self, place: &OwnedFd, top: &OwnedFd) -> Result<bool> {
        let fresh = dir::make(place, "upper", 0o700)?;
        if fresh {
            let like = rustix::fs::fstat(top).map_err(Error::file("stat", "the topmost layer"))?;
            dir::dress(place, "upper", &like)?;
        }
        if !dir::make(place, "work", 0o700)? {
            // A volatile overlay was here in this boot; its mark refuses another mount.
            let mark = rustix::fs::statat(place, "work/work/incompat", AtFlags::SYMLINK_NOFOLLOW);
            if mark.is_ok() {
                self.inner.discard(place, "work")?;
                dir::make(place, "work", 0o700)?;
            }
        }
        Ok(fresh)
    }

    /// Gives a prepared slot its name.
    pub(crate) fn adopt(&self, prepared: &str, slot: &str) -> std::result::Result<(), Errno> {
        let slots = &self.inner.slots;
        rustix::fs::renameat_with(slots, prepared, slots, slot, RenameFlags::NOREPLACE)
    }
}

/// A slot is one component, and not one of ours.
pub(crate) fn check(slot: &str) -> Result<()> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let good = (1..=128).contains(&slot.len()) && slot.bytes().all(word) && !slot.starts_with('.');
    if good { Ok(()) } else { Err(Error::Slot(slot.escape_debug().to_string())) }
}
