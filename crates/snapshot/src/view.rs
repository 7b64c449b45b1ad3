//! An image's files without anybody's changes: what `--mount type=image` shows.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_mount::{MountFd, Overlay};
use hull_types::Digest;

use crate::{Error, Result, Snapshots, dir};

impl Snapshots {
    /// A read-only mount of layers, bottom first. In a user namespace its ids own the files.
    ///
    /// # Errors
    /// [`Error::MissingLayer`], [`Error::Mount`], [`Error::Idmapped`], [`Error::File`].
    pub fn view(&self, layers: &[Digest], userns: Option<&OwnedFd>) -> Result<MountFd> {
        let Some(userns) = userns else {
            return self.stack(layers, self.inner.layers.as_fd(), self.inner.slots.as_fd(), &[]);
        };
        let clone = |of: &OwnedFd| -> Result<MountFd> {
            let clone = hull_mount::bind(of, false)?;
            clone.idmap(userns.as_fd(), false).map_err(Error::Idmapped)?;
            Ok(clone)
        };
        let (shown, slots) = (clone(&self.inner.layers)?, clone(&self.inner.slots)?);
        self.stack(layers, shown.as_fd(), slots.as_fd(), &[shown.as_fd(), slots.as_fd()])
    }

    fn stack(
        &self,
        layers: &[Digest],
        shown: BorrowedFd<'_>,
        slots: BorrowedFd<'_>,
        detached: &[BorrowedFd<'_>],
    ) -> Result<MountFd> {
        let mut lowers = Vec::with_capacity(layers.len() + 1);
        for chain_id in layers.iter().rev() {
            lowers.push(self.layer_fs(shown, chain_id)?);
        }
        // KERNEL: an overlay without an upper directory has at least two lower ones.
        if lowers.len() < 2 && (!detached.is_empty() || lowers.is_empty()) {
            lowers.push(dir::open_path(slots, ".empty").map_err(Error::file("open", ".empty"))?);
        }
        let lowers: Vec<_> = lowers.iter().map(AsFd::as_fd).collect();
        hull_mount::overlay(&Overlay { lowers: &lowers, detached, ..Overlay::default() })
            .map_err(|error| Error::mount(error, !detached.is_empty()))
    }
}
