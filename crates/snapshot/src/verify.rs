//! Verifying layers against their archives, and putting whole ones in the place of damaged ones.

use std::io::Read;
use std::os::fd::AsFd;

use hull_archive::Limits;
use hull_types::Digest;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use crate::{Error, Result, Snapshots, StagedLayer, StagedOrVisible, dir};

/// A layer beside what its archive makes.
pub struct Verified {
    /// How they differ, in words; `None` if they do not.
    pub differs: Option<String>,
    /// The layer as it should be.
    pub whole: StagedLayer,
}

impl Snapshots {
    /// Unpacks a layer's archive again and compares. `below` are the chain ids of the layers below it,
    /// bottom first, which are taken as they are.
    ///
    /// # Errors
    /// [`Error::Archive`] if the archive is damaged; then nothing is known of the layer.
    pub fn verify(
        &self,
        chain_id: &Digest,
        from: impl Read + Send,
        below: &[Digest],
        limits: Limits,
    ) -> Result<Verified> {
        let stage = self.stage(below.last())?;
        let ground: Vec<StagedOrVisible<'_>> = below.iter().map(|below| StagedOrVisible::Visible(*below)).collect();
        let unpacked = stage.unpack(from, &ground, limits)?;
        let whole = stage.finish(&unpacked)?;
        if whole.chain_id() != *chain_id {
            return Err(Error::DamagedLayer(*chain_id, "its archive holds another one".to_owned()));
        }
        let differs = match self.layer(chain_id) {
            Ok(Some(info)) if info == *whole.info() => match self.layer_fs(&self.inner.layers, chain_id) {
                Ok(_) => {
                    let there = dir::open(&self.inner.layers, &format!("{}/fs", chain_id.hex()))?;
                    hull_archive::differs(whole.fs(), there.as_fd())?
                }
                Err(error) => Some(error.to_string()),
            },
            Ok(Some(_)) => Some("its description is another one's".to_owned()),
            Ok(None) => Some("it is missing".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        Ok(Verified { differs, whole })
    }

    /// Puts a whole layer in the place of the one that is there, if one is. Containers that run go on with
    /// the old one until they end.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn replace(&self, whole: StagedLayer) -> Result<()> {
        let chain_id = whole.chain_id();
        self.sync()?;
        self.forget_pooled(|base| base.uses(&chain_id));
        let (layers, name) = (&self.inner.layers, chain_id.hex());
        match rustix::fs::statat(layers, name, AtFlags::SYMLINK_NOFOLLOW) {
            // The damaged one takes the staged one's name, and with it its way into the trash.
            Ok(_) => rustix::fs::renameat_with(layers, whole.name(), layers, name, RenameFlags::EXCHANGE)
                .map_err(Error::file("replace", name))?,
            Err(Errno::NOENT) => return self.publish([whole]),
            Err(errno) => return Err(Error::file("stat", name)(errno)),
        }
        rustix::fs::fsync(layers).map_err(Error::file("sync", "layers"))
    }
}
