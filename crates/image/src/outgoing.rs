//! `outgoing`: an image as a registry wants it: blobs, a configuration, a manifest.
//!
//! What was pulled goes out as it came, byte for byte. Layers that were never compressed are, and always to the
//! same bytes.

use std::fs::File;

use flate2::{Compression, GzBuilder};
use hull_types::{Digest, ImageRef};
use serde_json::json;

use crate::index::MAX_DOCUMENT;
use crate::records::{LayerRow, NameRow};
use crate::{Error, Hold, Images, Result};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
/// gzip's default: what docker's and other tools' layers have.
const LEVEL: u32 = 6;

/// An image on its way out. Its layers stay as long as this lives.
pub struct Outgoing {
    /// The image.
    pub id: Digest,
    /// Its layers, bottom first.
    pub layers: Vec<OutgoingLayer>,
    /// Its configuration; its digest is the id.
    pub config: Vec<u8>,
    kept: Option<Vec<u8>>,
    _hold: Hold,
}

/// A layer on its way out.
pub struct OutgoingLayer {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The archive's blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// OCI media type of the blob.
    pub media_type: String,
    /// Repositories that are known to have it.
    pub elsewhere: Vec<ImageRef>,
    file: File,
}

impl Images {
    /// Prepares an image to be sent: its layers are compressed, which takes its time. Blocks.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::BuiltIn`].
    pub fn outgoing(&self, text: &str) -> Result<Outgoing> {
        let (image, hold) = self.resolve_held(text)?;
        if image.is_host() {
            return Err(Error::Unsupported("`hull/host` is this machine itself: it cannot be pushed"));
        }
        let (row, elsewhere) = {
            let index = self.index();
            let known = index.images.get(&image.id).ok_or_else(|| Error::NoSuchImage(text.to_owned()))?;
            let having = |blob: &Digest| {
                let digests = index.names.values().filter(|(name, _)| name.digest().is_some());
                let having = digests.filter(|(_, id)| {
                    index.images.get(id).is_some_and(|known| known.row.layers.iter().any(|layer| layer.blob == *blob))
                });
                having.map(|(name, _)| name.clone()).collect::<Vec<ImageRef>>()
            };
            let elsewhere: Vec<Vec<ImageRef>> = known.row.layers.iter().map(|layer| having(&layer.blob)).collect();
            (known.row.clone(), elsewhere)
        };
        let content = &self.inner.content;
        let kept = row.manifest.map(|manifest| content.read(&manifest, MAX_DOCUMENT)).transpose()?;
        let as_kept = kept.is_some();
        let layers = row.layers.into_iter().zip(elsewhere);
        let layers = layers.map(|(layer, elsewhere)| self.outgoing_layer(layer, elsewhere, as_kept));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let config = content.read(&image.id, MAX_DOCUMENT)?;
        Ok(Outgoing { id: image.id, layers, config, kept, _hold: hold })
    }

    fn outgoing_layer(&self, layer: LayerRow, elsewhere: Vec<ImageRef>, as_kept: bool) -> Result<OutgoingLayer> {
        let content = &self.inner.content;
        let LayerRow { diff_id, blob: digest, media_type, .. } = layer;
        let file = content.open_blob(&digest)?;
        if media_type != PLAIN || as_kept {
            let size = content.size(&digest)?;
            return Ok(OutgoingLayer { diff_id, digest, size, media_type, elsewhere, file });
        }
        let made = gzip(file, content.ingest()?)?.finish(None)?;
        // The file has no name any more once `made` is gone, and lives as long as it is open.
        let (digest, size, file) = (made.digest(), made.size(), made.file()?);
        Ok(OutgoingLayer { diff_id, digest, size, media_type: OCI_GZIP.to_owned(), elsewhere, file })
    }

    /// Remembers the digest under which a repository has an image.
    ///
    /// # Errors
    /// If the database refuses.
    pub fn known_as(&self, id: &Digest, name: &ImageRef) -> Result<()> {
        let mut index = self.index();
        if !index.images.contains_key(id) {
            return Err(Error::NoSuchImage(id.to_string()));
        }
        self.inner.db.write(|tx| tx.put(&name.full(), &NameRow { id: *id }))?;
        index.names.insert(name.full(), (name.clone(), *id));
        Ok(())
    }

    /// The names with tags that a repository has here.
    pub fn tags_of(&self, repository: &ImageRef) -> Vec<ImageRef> {
        let index = self.index();
        let names = index.names.values().map(|(name, _)| name);
        let own = names.filter(|name| name.tag().is_some() && name.full_name() == repository.full_name());
        own.cloned().collect()
    }
}

impl Outgoing {
    /// The manifest and its media type: the one that the image came with, or an OCI one.
    ///
    /// # Errors
    /// [`Error::Document`] if the kept one cannot be read.
    pub fn manifest(&self) -> Result<(Vec<u8>, String)> {
        if let Some(kept) = &self.kept {
            let document: serde_json::Value =
                serde_json::from_slice(kept).map_err(|error| Error::document("the manifest", error))?;
            let media_type = document["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
            return Ok((kept.clone(), media_type));
        }
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| json!({ "mediaType": layer.media_type, "digest": layer.digest, "size": layer.size }))
            .collect();
        let config = json!({ "mediaType": OCI_CONFIG, "digest": self.id, "size": self.config.len() });
        let manifest = json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers });
        let bytes = serde_json::to_vec(&manifest).map_err(|error| Error::document("the manifest", error))?;
        Ok((bytes, OCI_MANIFEST.to_owned()))
    }
}

impl OutgoingLayer {
    /// The blob's file, for reading at any position.
    ///
    /// # Errors
    /// What dup(2) says.
    pub fn file(&self) -> std::io::Result<File> {
        self.file.try_clone()
    }
}

/// Compresses without anything of this moment or machine in the result.
fn gzip(mut from: File, to: hull_content::Ingest) -> Result<hull_content::Ingest> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(to, Compression::new(LEVEL));
    std::io::copy(&mut from, &mut encoder).map_err(Error::Read)?;
    encoder.finish().map_err(Error::Read)
}
