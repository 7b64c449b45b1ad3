//! `receive`: an image whose blobs come from elsewhere, such as a registry, while it is being made.
//!
//! The caller brings documents that it has verified and a source of layers ([`Arrivals`]); this says which of
//! them are needed, unpacks them as they arrive, and makes everything visible at once.

use std::io::Read;

use hull_content::Blob;
use hull_types::{Digest, Fault, ImageRef};

use crate::session::{LayerSource, MAX_LAYERS, Session, Wanted};
use crate::{Error, HOST_IMAGE, Images, Result, load};

/// An image on its way in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The image's manifest, to be kept as it came.
    pub manifest: Vec<u8>,
    /// The image's configuration.
    pub config: Vec<u8>,
    /// Its layers as the manifest lists them, bottom first.
    pub layers: Vec<IncomingLayer>,
    /// The names to give, with tags or digests.
    pub names: Vec<ImageRef>,
}

/// A layer on its way in.
#[derive(Clone, Debug)]
pub struct IncomingLayer {
    /// The archive's blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What the manifest says it is.
    pub media_type: String,
}

/// Where layers come from. Layers are meant by their place in [`Incoming::layers`]; called from several threads.
pub trait Arrivals: Sync {
    /// The layer's archive as it comes. Its end is told only when all of it has the promised digest.
    ///
    /// # Errors
    /// Why it does not come.
    fn open(&self, layer: usize) -> std::result::Result<Box<dyn Read + Send>, Fault>;

    /// The layer's whole archive, which has been read to its end.
    ///
    /// # Errors
    /// Why it did not come.
    fn blob(&self, layer: usize) -> std::result::Result<Blob, Fault>;

    /// Why a layer did not come, if one did not: the cause of whatever its reader saw.
    fn failure(&self) -> Option<Fault>;
}

/// What [`Images::receive`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiving {
    /// The layer is here already.
    Exists(usize),
    /// The layer will be asked for.
    Missing(usize),
    /// So many bytes of the layer's archive have been unpacked.
    Unpacking(usize, u64),
    /// The layer is whole.
    Done(usize),
}

impl Images {
    /// Brings in an image; its id. Nothing of it is visible before all of it is.
    ///
    /// # Errors
    /// Whatever is wrong with the documents is said before any layer is asked for.
    pub fn receive(
        &self,
        incoming: Incoming,
        from: &dyn Arrivals,
        report: &(dyn Fn(Receiving) + Sync),
    ) -> Result<Digest> {
        let config = load::config(&incoming.config)?;
        let diff_ids = config.rootfs.diff_ids.clone();
        check(&incoming, diff_ids.len())?;
        let mut session = Session::new(self)?;
        let manifest = self.inner.content.stage(&incoming.manifest)?;
        let manifest_digest = manifest.digest();
        session.keep(manifest);
        let wanted = incoming.layers.iter().zip(&diff_ids).map(|(layer, diff_id)| Wanted {
            diff_id: *diff_id,
            blob: layer.digest,
            size: Some(layer.size),
            exact: true,
        });
        let wanted: Vec<Wanted> = wanted.collect();
        for (at, layer) in wanted.iter().enumerate() {
            report(if session.knows(layer) { Receiving::Exists(at) } else { Receiving::Missing(at) });
        }
        let made = session.layers(&wanted, &Source { from, report });
        let rows = made.map_err(|error| match from.failure() {
            Some(fault) => Error::Transfer(Box::new(fault)),
            None => error,
        })?;
        let id = session.image(config, &incoming.config, rows, Some(manifest_digest), incoming.names)?;
        session.commit()?;
        Ok(id)
    }
}

fn check(incoming: &Incoming, diff_ids: usize) -> Result<()> {
    if incoming.names.iter().any(|name| name.familiar_name() == HOST_IMAGE) {
        return Err(Error::BuiltIn(HOST_IMAGE));
    }
    if incoming.layers.len() != diff_ids {
        return Err(Error::document("the manifest", "it has not as many layers as the image's configuration"));
    }
    if incoming.layers.len() > MAX_LAYERS {
        return Err(Error::document("the manifest", format!("an image has more than {MAX_LAYERS} layers")));
    }
    if incoming.layers.iter().any(|layer| load::is_foreign(&layer.media_type)) {
        return Err(Error::Unsupported(
            "layers that must be fetched from elsewhere (foreign layers) are not supported",
        ));
    }
    Ok(())
}

/// Passes the session's questions on.
struct Source<'a> {
    from: &'a dyn Arrivals,
    report: &'a (dyn Fn(Receiving) + Sync),
}

impl LayerSource for Source<'_> {
    fn open(&self, at: usize) -> Result<Box<dyn Read + Send + '_>> {
        let reader = self.from.open(at).map_err(|fault| Error::Transfer(Box::new(fault)))?;
        Ok(reader)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn blob(&self, at: usize) -> Result<Blob> {
        let blob = self.from.blob(at).map_err(|fault| Error::Transfer(Box::new(fault)))?;
        (self.report)(Receiving::Done(at));
        Ok(blob)
    }

    fn progress(&self, at: usize, bytes: u64) {
        (self.report)(Receiving::Unpacking(at, bytes));
    }
}
