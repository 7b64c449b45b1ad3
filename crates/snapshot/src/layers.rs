//! Unpacked layers: made aside, visible when whole, removed out of sight.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_archive::{Limits, Lowers, Ready, Unpacked};
use hull_types::Digest;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Snapshots, dir};

const INFO: &str = "layer.json";

/// What is known of an unpacked layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Chain id of the layer below.
    pub parent: Option<Digest>,
    /// Bytes of its files.
    pub size: u64,
    /// Number of its entries.
    pub entries: u64,
}

/// An empty layer being filled. Dropped, it goes to the trash.
pub struct LayerStage {
    snapshots: Snapshots,
    name: String,
    dir: OwnedFd,
    fs: OwnedFd,
    parent: Option<Digest>,
    kept: bool,
}

/// A whole layer that is not visible yet. Dropped without being published, it goes to the trash.
pub struct StagedLayer {
    stage: LayerStage,
    chain_id: Digest,
    info: LayerInfo,
}

/// The chain id of a layer with this diffID on top of `parent`.
///
/// Source: OCI image-spec `config.md`, "Layer ChainID".
pub fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    match parent {
        None => *diff_id,
        Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
    }
}

impl Snapshots {
    /// The layer with this chain id, if it is there.
    ///
    /// # Errors
    /// [`Error::DamagedLayer`] if its description cannot be read.
    pub fn layer(&self, chain_id: &Digest) -> Result<Option<LayerInfo>> {
        let name = format!("{}/{INFO}", chain_id.hex());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = match rustix::fs::openat(&self.inner.layers, &name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::file("open", name)(errno)),
        };
        let mut text = String::new();
        let damaged = |why: String| Error::DamagedLayer(*chain_id, why);
        std::fs::File::from(fd).take(1 << 16).read_to_string(&mut text).map_err(|error| damaged(error.to_string()))?;
        serde_json::from_str(&text).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Where the files of a layer lie, for telling.
    pub fn layer_path(&self, chain_id: &Digest) -> std::path::PathBuf {
        self.inner.root.join("layers").join(chain_id.hex()).join("fs")
    }

    /// All visible layers.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn layers(&self) -> Result<Vec<Digest>> {
        let names = dir::names(&dir::open(&self.inner.layers, ".")?, "layers")?;
        Ok(names.iter().filter_map(|name| Digest::from_hex(name).ok()).collect())
    }

    /// Starts a layer on top of `parent`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn stage(&self, parent: Option<&Digest>) -> Result<LayerStage> {
        let name = format!(".new-{}", self.inner.number());
        if !dir::make(&self.inner.layers, &name, 0o700)? {
            self.inner.discard(&self.inner.layers, &name)?;
            dir::make(&self.inner.layers, &name, 0o700)?;
        }
        let staged = dir::open(&self.inner.layers, &name)?;
        let fs = dir::ensure(&staged, "fs", 0o755)?;
        // The process's umask may have taken bits away.
        rustix::fs::fchmod(&fs, Mode::from_raw_mode(0o755)).map_err(Error::file("chmod", "fs"))?;
        Ok(LayerStage { snapshots: self.clone(), name, dir: staged, fs, parent: parent.copied(), kept: false })
    }

    /// Makes layers visible, in order. One that has become visible meanwhile wins; ours is dropped.
    /// ORDER: the caller has synced the file system since they were finished.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn publish(&self, layers: impl IntoIterator<Item = StagedLayer>) -> Result<()> {
        for mut layer in layers {
            let (from, to) = (&layer.stage.name, layer.chain_id.hex());
            let fds = &self.inner.layers;
            match rustix::fs::renameat_with(fds, from, fds, to, RenameFlags::NOREPLACE) {
                Ok(()) => layer.stage.kept = true,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::file("publish", to)(errno)),
            }
        }
        rustix::fs::fsync(&self.inner.layers).map_err(Error::file("sync", "layers"))
    }

    /// Moves a layer to the trash, and the prepared root file systems that stand on it. A root file
    /// system in use keeps what it has open; the caller makes sure that none is started on it again.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove_layer(&self, chain_id: &Digest) -> Result<()> {
        self.forget_pooled(|base| base.uses(chain_id));
        self.inner.discard(&self.inner.layers, chain_id.hex())
    }

    /// The directory of a layer's files, as a place.
    pub(crate) fn layer_fs(&self, layers: impl AsFd, chain_id: &Digest) -> Result<OwnedFd> {
        match dir::open_path(layers, &format!("{}/fs", chain_id.hex())) {
            Err(Errno::NOENT) => Err(Error::MissingLayer(*chain_id)),
            other => other.map_err(Error::file("open", chain_id.hex())),
        }
    }
}

impl LayerStage {
    /// Unpacks an archive into the layer. `below` are the chain ids of the layers below, bottom first.
    ///
    /// # Errors
    /// [`Error::Archive`] for whatever is wrong with the archive.
    pub fn unpack(&self, from: impl Read + Send, below: &[StagedOrVisible<'_>], limits: Limits) -> Result<Unpacked> {
        self.unpack_on(from, &Ground { below, ready: None }, limits)
    }

    /// As [`LayerStage::unpack`], on layers that may still be on their way.
    ///
    /// # Errors
    /// As [`LayerStage::unpack`]; `hull_archive::Error::Below` if a layer below failed and is needed.
    pub fn unpack_on(&self, from: impl Read + Send, on: &Ground<'_>, limits: Limits) -> Result<Unpacked> {
        let fds: Vec<OwnedFd> =
            on.below.iter().rev().map(|layer| layer.open(&self.snapshots)).collect::<Result<_>>()?;
        let fds = fds.iter().map(AsFd::as_fd).collect();
        let lowers = match on.ready {
            Some(ready) => Lowers::when(fds, ready),
            None => Lowers::new(fds),
        };
        let unpacked = hull_archive::unpack(from, self.fs.as_fd(), lowers.clone(), limits)?;
        // What the archive does not say of the root directory, the layer below does.
        if !unpacked.extracted.root
            && let Some(top) = lowers.top()?
        {
            let like = rustix::fs::fstat(top).map_err(Error::file("stat", "the layer below"))?;
            dir::dress(&self.dir, "fs", &like)?;
        }
        Ok(unpacked)
    }

    /// Ends the layer.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn finish(self, unpacked: &Unpacked) -> Result<StagedLayer> {
        let info = LayerInfo {
            diff_id: unpacked.diff_id,
            parent: self.parent,
            size: unpacked.extracted.bytes,
            entries: unpacked.extracted.entries,
        };
        let text = serde_json::to_vec(&info).map_err(|error| Error::DamagedLayer(info.diff_id, error.to_string()))?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.dir, INFO, flags, Mode::from_raw_mode(0o600))
            .map_err(Error::file("create", INFO))?;
        std::io::Write::write_all(&mut std::fs::File::from(fd), &text)
            .map_err(|error| Error::file("write", INFO)(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let chain_id = chain_id(self.parent.as_ref(), &info.diff_id);
        Ok(StagedLayer { stage: self, chain_id, info })
    }
}

impl Drop for LayerStage {
    fn drop(&mut self) {
        if !self.kept {
            // Left in place, it is found at the next start.
            if let Err(error) = self.snapshots.inner.discard(&self.snapshots.inner.layers, &self.name) {
                tracing::warn!(%error, "a half-made layer could not be discarded");
            }
        }
    }
}

impl StagedLayer {
    /// The name under which it will be visible.
    pub fn chain_id(&self) -> Digest {
        self.chain_id
    }

    /// Its files.
    pub(crate) fn fs(&self) -> BorrowedFd<'_> {
        self.stage.fs.as_fd()
    }

    /// Its directory's name until it is visible.
    pub(crate) fn name(&self) -> &str {
        &self.stage.name
    }

    /// What is known of it.
    pub fn info(&self) -> &LayerInfo {
        &self.info
    }
}

/// What a layer is unpacked on.
pub struct Ground<'a> {
    /// The layers below, bottom first.
    pub below: &'a [StagedOrVisible<'a>],
    /// Waits until they are whole; without it they are.
    pub ready: Option<Ready<'a>>,
}

/// A layer that another one is unpacked on.
pub enum StagedOrVisible<'a> {
    /// Still being filled.
    Filling(&'a LayerStage),
    /// Whole but not visible yet.
    Staged(&'a StagedLayer),
    /// Visible under this chain id.
    Visible(Digest),
}

impl StagedOrVisible<'_> {
    fn open(&self, snapshots: &Snapshots) -> Result<OwnedFd> {
        match self {
            Self::Filling(stage) => dir::open(&stage.dir, "fs"),
            Self::Staged(layer) => dir::open(&layer.stage.dir, "fs"),
            Self::Visible(chain_id) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let name = format!("{}/fs", chain_id.hex());
                rustix::fs::openat(&snapshots.inner.layers, &name, flags, Mode::empty())
                    .map_err(|_| Error::MissingLayer(*chain_id))
            }
        }
    }
}

/// Bytes that the file system has left for layers.
impl Snapshots {
    /// Bytes that an unprivileged process could still write.
    pub fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.inner.layers).map_err(Error::file("statvfs", "layers"))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Writes everything of the layers' file system to the disk.
    ///
    /// # Errors
    /// [`Error::File`]: the disk failed; nothing may be published.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(&self.inner.layers).map_err(Error::file("sync", "the file system"))
    }

    /// Whether a layer is visible; cheaper than [`Snapshots::layer`].
    pub fn has_layer(&self, chain_id: &Digest) -> bool {
        rustix::fs::statat(&self.inner.layers, chain_id.hex(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}
