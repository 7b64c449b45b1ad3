//! The images and names in memory: what state.db says, joined with configurations and layer sizes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hull_content::Store;
use hull_records::Gap;
use hull_snapshot::Snapshots;
use hull_types::{Digest, ImageRef};

use crate::records::{ImageRow, LayerRow, NameRow};
use crate::{Error, Image, ImageConfig, Result, Source};

/// Configurations larger than this are refused.
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

#[derive(Default)]
pub(crate) struct Index {
    pub images: BTreeMap<Digest, Known>,
    /// Full form of a name, with tag or digest.
    pub names: BTreeMap<String, (ImageRef, Digest)>,
    /// Images that cannot be used; what is left of them stays, for repair.
    pub broken: Vec<(Digest, ImageRow)>,
    /// Rows that could not be read: nobody knows what they need.
    pub gap: Gap,
    /// Layers and blobs that an operation in flight relies on.
    pins: HashMap<Digest, usize>,
}

#[derive(Clone)]
pub(crate) struct Known {
    pub row: ImageRow,
    pub config: Arc<ImageConfig>,
    pub size: u64,
}

impl Known {
    /// Joins a row with what the disk says; an error names what is missing.
    pub fn join(id: &Digest, row: ImageRow, content: &Store, snapshots: &Snapshots) -> Result<Self> {
        let bytes = content.read(id, MAX_DOCUMENT)?;
        let config =
            serde_json::from_slice(&bytes).map_err(|error| Error::document("the image's configuration", error))?;
        Self::of(row, Arc::new(config), snapshots)
    }

    /// Adds the sizes of the layers, which must be there.
    pub fn of(row: ImageRow, config: Arc<ImageConfig>, snapshots: &Snapshots) -> Result<Self> {
        let mut size = 0;
        for layer in &row.layers {
            let info = snapshots.layer(&layer.chain_id)?;
            size += info.ok_or(hull_snapshot::Error::MissingLayer(layer.chain_id))?.size;
        }
        Ok(Self { row, config, size })
    }
}

impl Index {
    pub fn image(&self, id: &Digest) -> Option<Image> {
        let known = self.images.get(id)?;
        let names = || self.names.values().filter(|(_, of)| of == id).map(|(name, _)| name);
        Some(Image {
            id: *id,
            config: known.config.clone(),
            source: Source::Layers(known.row.layers.iter().map(|layer| layer.chain_id).collect()),
            tags: names().filter(|name| name.tag().is_some()).map(ImageRef::familiar).collect(),
            repo_digests: names().filter(|name| name.digest().is_some()).map(ImageRef::familiar).collect(),
            size: known.size,
            last_tagged: known.row.last_tagged,
        })
    }

    /// The image that a text means: a name first, then an id, then an id prefix.
    pub fn find(&self, text: &str) -> Result<Digest> {
        let missing = || Error::NoSuchImage(text.to_owned());
        if let Some(id) = self.find_name(text) {
            return Ok(id);
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.is_empty() || hex.len() > 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            // COMPAT(docker 28): what no image can be called is malformed, not missing.
            let name = text.parse::<ImageRef>()?;
            return Err(Error::NoSuchImage(name.with_default_tag().familiar()));
        }
        let mut fitting = self.images.keys().filter(|id| id.hex().starts_with(hex));
        match (fitting.next(), fitting.next()) {
            (Some(id), None) => Ok(*id),
            (Some(_), Some(_)) => Err(Error::Ambiguous(text.to_owned())),
            // COMPAT(docker 28): it was looked for by name, too.
            (None, _) => Err(text
                .parse::<ImageRef>()
                .map_or_else(|_| missing(), |name| Error::NoSuchImage(name.with_default_tag().familiar()))),
        }
    }

    /// The image with this name; `latest` is meant if there is no tag.
    pub fn find_name(&self, text: &str) -> Option<Digest> {
        let name: ImageRef = text.parse().ok()?;
        let name = name.with_default_tag();
        match name.digest() {
            // A digest says it all; the tag beside it is decoration.
            Some(digest) => self.names.get(&name.with_digest(*digest).full()).map(|(_, id)| *id),
            None => self.names.get(&name.full()).map(|(_, id)| *id),
        }
    }

    /// Names of images that can be used.
    pub fn take_names(&mut self, rows: impl IntoIterator<Item = (String, NameRow)>) {
        for (full, row) in rows {
            match full.parse() {
                Ok(name) if self.images.contains_key(&row.id) => _ = self.names.insert(full, (name, row.id)),
                Ok(_) => tracing::warn!(name = full, image = %row.id, "a name's image cannot be used"),
                Err(error) => tracing::warn!(name = full, %error, "a name cannot be read"),
            }
        }
    }

    /// Every layer of every image.
    pub fn rows(&self) -> impl Iterator<Item = &LayerRow> {
        self.images.values().flat_map(|known| &known.row.layers)
    }

    pub fn pin(&mut self, digest: Digest) {
        *self.pins.entry(digest).or_default() += 1;
    }

    pub fn unpin(&mut self, digest: &Digest) {
        if let Some(count) = self.pins.get_mut(digest) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(digest);
            }
        }
    }

    /// What must stay: every image's and everything pinned.
    pub fn kept(&self) -> Kept {
        let pins: BTreeSet<Digest> = self.pins.keys().copied().collect();
        let mut kept = Kept { layers: pins.clone(), blobs: pins };
        let usable = self.images.iter().map(|(id, known)| (id, &known.row));
        for (id, row) in usable.chain(self.broken.iter().map(|(id, row)| (id, row))) {
            kept.layers.extend(row.layers.iter().map(|layer| layer.chain_id));
            kept.blobs.extend(row.blobs(id));
        }
        kept
    }
}

/// Chain ids and blobs. A bottom layer's chain id and its uncompressed blob are the same digest.
pub(crate) struct Kept {
    pub layers: BTreeSet<Digest>,
    pub blobs: BTreeSet<Digest>,
}
