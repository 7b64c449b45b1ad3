//! `load`: what `docker save` and OCI tools write becomes images.
//!
//! The archive is a stream whose index stands at its end, so its files are spooled first: small ones in
//! memory, large ones as blobs that are not visible yet. Then the index is read, and the images are
//! made from the spooled files; see [`Session`] for what makes that all or nothing.

use std::io::{BufReader, Read};

use hull_archive::tar::Reader;
use hull_archive::{Decompressor, Limits};

use crate::session::{LayerSource, Session, Wanted, room};
use crate::{Error, Images, Loaded, Result};

mod docker;
mod oci;
mod spool;

pub(crate) use oci::{config, is_foreign};
pub(crate) use spool::Spool;

/// What `load` is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A layer is being unpacked.
    Layer {
        /// Short diffID of the layer.
        id: String,
        /// Bytes of its archive read so far.
        current: u64,
        /// Bytes of its archive.
        total: u64,
    },
    /// An image lost a name to a loaded one.
    Renamed {
        /// The name.
        name: String,
        /// The image that had it: `sha256:…`.
        old: String,
    },
}

/// Where progress is told; called from several threads.
pub type Report<'a> = &'a (dyn Fn(Progress) + Send + Sync);

impl Images {
    /// Brings in every image of an archive, or none: a docker archive (`manifest.json`) or an OCI layout
    /// (`index.json`), plain or compressed with gzip or zstd.
    ///
    /// # Errors
    /// [`Error::NoImage`] and whatever else is wrong with the archive; then nothing was named or stored.
    pub fn load(&self, from: impl Read + Send, report: Report<'_>) -> Result<Vec<Loaded>> {
        let mut session = Session::new(self)?;
        let mut spool = self.spool(from).map_err(|error| match error.is_too_large() {
            // An archive of many images is bound by the disk alone.
            true => Error::NoRoom(Box::new(error)),
            false => error,
        })?;
        let loaded = if spool.has("manifest.json") {
            docker::load(&mut session, &mut spool, report)?
        } else if spool.has("index.json") {
            oci::load(&mut session, &mut spool, report)?
        } else if spool.has("repositories") {
            return Err(Error::Unsupported("archives of docker before 1.10, without manifest.json, are not supported"));
        } else {
            return Err(Error::NoImage("it has neither `manifest.json` nor `index.json`"));
        };
        self.report_renamed(&loaded, report);
        session.commit()?;
        Ok(loaded)
    }

    fn spool(&self, from: impl Read) -> Result<Spool> {
        let plain = BufReader::with_capacity(1 << 18, Decompressor::new(from)?);
        let mut reader = Reader::new(plain, Limits { bytes: room(self)?, ..Limits::default() });
        let spool = Spool::read(&mut reader, &self.inner.content)?;
        reader.drain()?;
        Ok(spool)
    }

    fn report_renamed(&self, loaded: &[Loaded], report: Report<'_>) {
        for image in loaded {
            for name in &image.tags {
                match self.resolve(name) {
                    Ok(old) if old.id != image.id => {
                        report(Progress::Renamed { name: name.clone(), old: old.id.to_string() });
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Layers whose blobs have been kept: nothing is left to open, only to tell.
struct Spooled<'a> {
    wanted: &'a [Wanted],
    totals: Vec<u64>,
    report: Report<'a>,
}

impl LayerSource for Spooled<'_> {
    fn open(&self, at: usize) -> Result<Box<dyn Read + Send + '_>> {
        Err(hull_content::Error::Missing(self.wanted[at].blob).into())
    }

    fn progress(&self, at: usize, current: u64) {
        let id = self.wanted[at].diff_id.short().to_owned();
        (self.report)(Progress::Layer { id, current, total: self.totals[at] });
    }
}
