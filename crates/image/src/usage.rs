//! What images cost on the disk: each byte is counted once, and whose it is is said.

use std::collections::{BTreeMap, BTreeSet};

use hull_types::Digest;

use crate::records::ImageRow;
use crate::{Image, Images, Result, Use};

/// What all images cost.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Each image but `hull/host`.
    pub images: Vec<ImageUsage>,
    /// Bytes of all unpacked layers, those of removed images that containers stand on included.
    pub layers: u64,
    /// Bytes of all blobs: layers as they came, configurations, manifests.
    pub blobs: u64,
    /// What [`Images::prune`] of all would give back.
    pub reclaimable: u64,
}

/// What one image costs.
#[derive(Clone, Debug)]
pub struct ImageUsage {
    /// The image; its `size` is that of its unpacked layers.
    pub image: Image,
    /// Bytes of unpacked layers that other images have, too.
    pub shared: u64,
    /// Bytes of blobs that no other image has.
    pub own_blobs: u64,
}

impl Images {
    /// Counts what is on the disk. `uses` are the containers.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn usage(&self, uses: &[Use]) -> Result<Usage> {
        let snapshots = &self.inner.snapshots;
        let mut layers: BTreeMap<Digest, u64> = BTreeMap::new();
        for chain_id in snapshots.layers()? {
            // A layer that cannot be described costs what nobody can say.
            layers.insert(chain_id, snapshots.layer(&chain_id).ok().flatten().map_or(0, |info| info.size));
        }
        let blobs: BTreeMap<Digest, u64> = self.inner.content.list()?.into_iter().collect();
        let index = self.index();
        let mut owners: BTreeMap<Digest, usize> = BTreeMap::new();
        for (id, known) in &index.images {
            digests(id, &known.row).into_iter().for_each(|digest| *owners.entry(digest).or_default() += 1);
        }
        let size = |of: &BTreeMap<Digest, u64>, digest: &Digest| of.get(digest).copied().unwrap_or(0);
        let images = index.images.iter().filter_map(|(id, known)| {
            let shared =
                known.row.layers.iter().filter(|layer| owners.get(&layer.chain_id).is_some_and(|count| *count > 1));
            let own: BTreeSet<Digest> = known.row.blobs(id).filter(|blob| owners.get(blob) == Some(&1)).collect();
            Some(ImageUsage {
                image: index.image(id)?,
                shared: shared.map(|layer| size(&layers, &layer.chain_id)).sum(),
                own_blobs: own.iter().map(|blob| size(&blobs, blob)).sum(),
            })
        });
        let images = images.collect();
        let used: BTreeSet<Digest> = uses.iter().map(|used| used.image).collect();
        let mut kept: BTreeSet<Digest> = uses.iter().flat_map(|used| used.layers.iter().copied()).collect();
        for (id, known) in index.images.iter().filter(|(id, _)| used.contains(id)) {
            kept.extend(digests(id, &known.row));
        }
        let going = |all: &BTreeMap<Digest, u64>| -> u64 {
            all.iter()
                .filter(|(digest, _)| owners.contains_key(digest) && !kept.contains(digest))
                .map(|(_, size)| size)
                .sum()
        };
        Ok(Usage {
            images,
            layers: layers.values().sum(),
            blobs: blobs.values().sum(),
            reclaimable: going(&layers) + going(&blobs),
        })
    }
}

/// Layers and blobs of an image, each once. A bottom layer and its uncompressed blob have one digest.
fn digests(id: &Digest, row: &ImageRow) -> BTreeSet<Digest> {
    row.blobs(id).chain(row.layers.iter().map(|layer| layer.chain_id)).collect()
}
