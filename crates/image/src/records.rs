//! What state.db holds of images: one row per image, one per name.

use hull_records::Record;
use hull_types::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// An image, keyed by its id. Its configuration is the blob of that digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRow {
    /// Its layers, bottom first.
    pub layers: Vec<LayerRow>,
    /// The manifest that it came with, if any; a blob.
    #[serde(default)]
    pub manifest: Option<Digest>,
    /// When it was last given a name.
    #[serde(default)]
    pub last_tagged: Timestamp,
}

impl ImageRow {
    /// Every blob that the image `id` needs.
    pub fn blobs(&self, id: &Digest) -> impl Iterator<Item = Digest> {
        self.layers.iter().map(|layer| layer.blob).chain(self.manifest).chain([*id])
    }
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRow {
    /// Its directory.
    pub chain_id: Digest,
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The archive as it came; a blob.
    pub blob: Digest,
    /// OCI media type of that blob.
    pub media_type: String,
}

/// A name, keyed by its full form: `docker.io/library/busybox:latest` or `…@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameRow {
    /// The image.
    pub id: Digest,
}

impl Record for ImageRow {
    const TABLE: &'static str = "images";
}

impl Record for NameRow {
    const TABLE: &'static str = "image_names";
}
