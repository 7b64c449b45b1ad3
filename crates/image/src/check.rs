//! `image check`: every blob against its digest, every layer against its archive.
//!
//! Repairing unpacks a damaged layer again from its blob. What cannot be repaired is set aside: a damaged
//! blob out of the store, an image that lacks something out of the list, so that it can be loaded again.

use std::collections::{BTreeMap, BTreeSet};

use hull_archive::Limits;
use hull_types::Digest;

use crate::images::Hold;
use crate::index::Known;
use crate::records::{ImageRow, LayerRow};
use crate::session::room;
use crate::{Images, Result};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blobs that were read.
    pub blobs: usize,
    /// Layers that were compared.
    pub layers: usize,
    /// What is damaged.
    pub broken: Vec<Broken>,
    /// Images that can be used again.
    pub restored: Vec<Digest>,
    /// Images that can no longer be used.
    pub set_aside: Vec<Digest>,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// `blob` or `layer`.
    pub what: &'static str,
    /// Its digest, or the layer's chain id.
    pub digest: Digest,
    /// What is wrong.
    pub why: String,
    /// Ids of the images that need it.
    pub images: Vec<Digest>,
    /// It was put right.
    pub repaired: bool,
}

impl Images {
    /// Reads everything. With `repair`, puts right what can be and sets the rest aside.
    ///
    /// # Errors
    /// If the store cannot be read or written at all.
    pub fn check(&self, repair: bool) -> Result<Checked> {
        let (rows, _hold) = self.rows_held();
        let mut checked = Checked::default();
        let damaged = self.check_blobs(&rows, repair, &mut checked)?;
        self.check_layers(&rows, &damaged, repair, &mut checked)?;
        if repair {
            self.rejoin(&rows, &mut checked);
        }
        Ok(checked)
    }

    /// Every image, usable or not; nothing of them is removed meanwhile.
    fn rows_held(&self) -> (BTreeMap<Digest, ImageRow>, Hold) {
        let mut index = self.index();
        let usable = index.images.iter().map(|(id, known)| (*id, known.row.clone()));
        let rows: BTreeMap<Digest, ImageRow> = usable.chain(index.broken.iter().cloned()).collect();
        let layers = rows.values().flat_map(|row| row.layers.iter().map(|layer| layer.chain_id));
        let pins: Vec<Digest> = rows.iter().flat_map(|(id, row)| row.blobs(id)).chain(layers).collect();
        pins.iter().for_each(|digest| index.pin(*digest));
        drop(index);
        (rows, Hold::new(self, pins))
    }

    /// Reads all blobs; those that are damaged or missing.
    fn check_blobs(
        &self,
        rows: &BTreeMap<Digest, ImageRow>,
        repair: bool,
        checked: &mut Checked,
    ) -> Result<BTreeSet<Digest>> {
        let content = &self.inner.content;
        let mut wanted: BTreeSet<Digest> = rows.iter().flat_map(|(id, row)| row.blobs(id)).collect();
        wanted.extend(content.list()?.into_iter().map(|(digest, _)| digest));
        let mut damaged = BTreeSet::new();
        for digest in wanted {
            checked.blobs += 1;
            let Err(error) = content.verify(&digest) else { continue };
            if repair && !matches!(error, hull_content::Error::Missing(_)) {
                content.quarantine(&digest)?;
            }
            let images = owners(rows, |id, row| row.blobs(id).any(|blob| blob == digest));
            checked.broken.push(Broken { what: "blob", digest, why: error.to_string(), images, repaired: false });
            damaged.insert(digest);
        }
        Ok(damaged)
    }

    fn check_layers(
        &self,
        rows: &BTreeMap<Digest, ImageRow>,
        damaged: &BTreeSet<Digest>,
        repair: bool,
        checked: &mut Checked,
    ) -> Result<()> {
        let mut seen = BTreeSet::new();
        for row in rows.values() {
            for (at, layer) in row.layers.iter().enumerate() {
                if !seen.insert(layer.chain_id) {
                    continue;
                }
                checked.layers += 1;
                let Some((why, repaired)) = self.check_layer(row, at, damaged, repair)? else { continue };
                let images = owners(rows, |_, row| row.layers.iter().any(|own| own.chain_id == layer.chain_id));
                checked.broken.push(Broken { what: "layer", digest: layer.chain_id, why, images, repaired });
            }
        }
        Ok(())
    }

    /// What is wrong with a layer, and whether it was put right.
    fn check_layer(
        &self,
        row: &ImageRow,
        at: usize,
        damaged: &BTreeSet<Digest>,
        repair: bool,
    ) -> Result<Option<(String, bool)>> {
        let (layer, snapshots): (&LayerRow, _) = (&row.layers[at], &self.inner.snapshots);
        if damaged.contains(&layer.blob) {
            // Nothing is known of its files; that they are there is all that can be said.
            let there = snapshots.layer(&layer.chain_id).is_ok_and(|info| info.is_some());
            return Ok((!there).then(|| ("it is missing, and so is a whole archive of it".to_owned(), false)));
        }
        let below: Vec<Digest> = row.layers[..at].iter().map(|below| below.chain_id).collect();
        let limits = Limits { bytes: room(self)?, ..Limits::default() };
        let verified =
            match snapshots.verify(&layer.chain_id, self.inner.content.open_blob(&layer.blob)?, &below, limits) {
                Ok(verified) => verified,
                Err(error) => return Ok(Some((error.to_string(), false))),
            };
        let Some(why) = verified.differs else { return Ok(None) };
        if repair {
            snapshots.replace(verified.whole)?;
        }
        Ok(Some((why, repair)))
    }

    /// Says anew which images can be used.
    fn rejoin(&self, rows: &BTreeMap<Digest, ImageRow>, checked: &mut Checked) {
        let inner = &self.inner;
        let mut index = self.index();
        for (id, row) in rows {
            let was_broken = index.broken.iter().any(|(broken, _)| broken == id);
            match Known::join(id, row.clone(), &inner.content, &inner.snapshots) {
                Ok(known) if was_broken => {
                    index.broken.retain(|(broken, _)| broken != id);
                    index.images.insert(*id, known);
                    checked.restored.push(*id);
                }
                Err(error) if !was_broken && index.images.contains_key(id) => {
                    tracing::warn!(image = %id, %error, "an image was set aside");
                    index.images.remove(id);
                    index.names.retain(|_, (_, of)| of != id);
                    index.broken.push((*id, row.clone()));
                    checked.set_aside.push(*id);
                }
                _ => {}
            }
        }
        if !checked.restored.is_empty() {
            drop(index);
            self.read_names();
        }
    }
}

fn owners(rows: &BTreeMap<Digest, ImageRow>, needs: impl Fn(&Digest, &ImageRow) -> bool) -> Vec<Digest> {
    rows.iter().filter(|(id, row)| needs(id, row)).map(|(id, _)| *id).collect()
}
