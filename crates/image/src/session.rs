//! [`Session`]: images on their way in. Nothing is visible before [`Session::commit`]; dropped without
//! it, nothing stays.
//!
//! ```text
//! layer() … image() … ──▶ commit: one syncfs ──▶ layers and blobs renamed ──▶ one transaction ──▶ index
//! ```

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use hull_archive::{Compression, Limits};
use hull_content::Blob;
use hull_snapshot::{LayerStage, StagedLayer, StagedOrVisible, chain_id};
use hull_types::{Digest, ImageRef, Timestamp};

use crate::index::Known;
use crate::load::Spool;
use crate::records::{ImageRow, LayerRow, NameRow};
use crate::{Error, ImageConfig, Images, Result};

mod lanes;

pub(crate) use lanes::LayerSource;
use lanes::{Job, Local};

/// The most layers that one root file system can stand on.
pub(crate) const MAX_LAYERS: usize = hull_snapshot::MAX_LAYERS;

/// Images being brought in.
pub(crate) struct Session<'a> {
    images: &'a Images,
    blobs: HashMap<Digest, Blob>,
    /// Parents stand before their children.
    layers: Vec<StagedLayer>,
    /// Every layer row made so far.
    rows: Vec<LayerRow>,
    pinned: Vec<Digest>,
    new: Vec<New>,
    limits: Limits,
    /// The disk has less room than a layer may need.
    scarce: bool,
}

/// A layer as an image's configuration and manifest promise it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Digest of the uncompressed archive.
    pub diff_id: Digest,
    /// The blob that holds it.
    pub blob: Digest,
    /// The blob's size, if it is still to come from the source; otherwise it has been kept.
    pub size: Option<u64>,
    /// Only this blob will do, as the image's manifest is kept and names it. Otherwise one that holds the
    /// same layer is as good.
    pub exact: bool,
}

/// A layer to be worked on: its place, what to fill unless it is there, and a blob that is known to hold it.
type Todo = (usize, Option<LayerStage>, Option<Digest>);

struct New {
    id: Digest,
    row: ImageRow,
    config: ImageConfig,
    names: Vec<ImageRef>,
}

impl<'a> Session<'a> {
    pub fn new(images: &'a Images) -> Result<Self> {
        let bounds = images.inner.bounds.clone().map_err(|fault| Error::Bounds(Box::new(fault)))?;
        let room = room(images)?;
        let limits = Limits { bytes: room.min(bounds.size), entries: bounds.entries, ..Limits::default() };
        Ok(Self {
            images,
            blobs: HashMap::new(),
            layers: Vec::new(),
            rows: Vec::new(),
            pinned: Vec::new(),
            new: Vec::new(),
            limits,
            scarce: room < bounds.size,
        })
    }

    /// Whether it was the disk that made something too large.
    fn told(&self, error: Error) -> Error {
        if self.scarce && error.is_too_large() { Error::NoRoom(Box::new(error)) } else { error }
    }

    /// Keeps a blob for the images of this session, unless the store has it.
    pub fn keep(&mut self, blob: Blob) {
        let digest = blob.digest();
        self.pin(digest);
        if !self.images.inner.content.has(&digest) {
            self.blobs.insert(digest, blob);
        }
    }

    /// Takes a file of a spooled archive as a blob.
    pub fn take(&mut self, spool: &mut Spool, name: &str) -> Result<Option<(Digest, u64)>> {
        let content = self.images.inner.content.clone();
        spool.take(self, &content, name)
    }

    /// The blob's content, from this session or the store.
    pub fn blob(&self, digest: &Digest) -> Result<Box<dyn Read + Send>> {
        Ok(match self.blobs.get(digest) {
            Some(blob) => Box::new(blob.reader()?),
            None => Box::new(self.images.inner.content.open_blob(digest)?),
        })
    }

    /// Whether the layer on top of `below` with this diffID needs no unpacking; it is pinned then.
    pub fn has_layer(&mut self, below: &[LayerRow], diff_id: &Digest) -> bool {
        let chain_id = chain_id(below.last().map(|layer| &layer.chain_id), diff_id);
        if self.layers.iter().any(|layer| layer.chain_id() == chain_id) {
            return true;
        }
        let mut index = self.images.index();
        let there = self.images.inner.snapshots.has_layer(&chain_id);
        if there {
            index.pin(chain_id);
            self.pinned.push(chain_id);
        }
        there
    }

    /// Unpacks all layers of an image, bottom first, several at a time; those that are there already are
    /// neither asked for nor unpacked.
    pub fn layers(&mut self, wanted: &[Wanted], source: &dyn LayerSource) -> Result<Vec<LayerRow>> {
        let mut rows: Vec<LayerRow> = Vec::with_capacity(wanted.len());
        let mut todo = Vec::new();
        for (at, layer) in wanted.iter().enumerate() {
            let there = self.has_layer(&rows, &layer.diff_id);
            let chain_id = chain_id(rows.last().map(|below| &below.chain_id), &layer.diff_id);
            let fits = |row: &LayerRow| {
                row.diff_id == layer.diff_id && (!layer.exact || row.blob == layer.blob) && self.has_blob(&row.blob)
            };
            let known = self.row(|row| fits(row) && row.blob == layer.blob).or_else(|| self.row(fits));
            let (blob, media_type) = match &known {
                Some(known) => {
                    self.pin(known.blob);
                    (known.blob, known.media_type.clone())
                }
                None => (layer.blob, String::new()),
            };
            if !there || known.is_none() {
                let stage = if there {
                    None
                } else {
                    Some(self.images.inner.snapshots.stage(rows.last().map(|row| &row.chain_id))?)
                };
                todo.push((at, stage, known.map(|known| known.blob)));
            }
            rows.push(LayerRow { chain_id, diff_id: layer.diff_id, blob, media_type });
        }
        let jobs = self.jobs(wanted, &rows, &todo);
        let done = lanes::run(&jobs, source, &self.images.inner.content, self.limits);
        drop(jobs);
        let done = done.map_err(|error| self.told(error))?;
        for ((at, stage, _), done) in todo.into_iter().zip(done) {
            if rows[at].media_type.is_empty() {
                media_type(done.compression).clone_into(&mut rows[at].media_type);
            }
            if let (Some(stage), Some(unpacked)) = (stage, &done.unpacked) {
                self.layers.push(stage.finish(unpacked)?);
            }
            done.blob.into_iter().for_each(|blob| self.keep(blob));
        }
        self.rows.extend(rows.iter().cloned());
        Ok(rows)
    }

    fn jobs<'s>(&'s self, wanted: &[Wanted], rows: &[LayerRow], todo: &'s [Todo]) -> Vec<Job<'s>> {
        let filling = |below: usize| todo.iter().find(|(at, ..)| *at == below).and_then(|(_, stage, _)| stage.as_ref());
        let jobs = todo.iter().map(|(at, stage, known)| {
            let below = (0..*at).map(|below| match filling(below) {
                Some(stage) => StagedOrVisible::Filling(stage),
                None => self.find(&rows[below].chain_id),
            });
            let layer = &wanted[*at];
            let here = known.or_else(|| layer.size.is_none().then_some(layer.blob));
            Job {
                at: *at,
                diff_id: layer.diff_id,
                keep: layer.size.map(|size| (layer.blob, size)).filter(|_| here.is_none()),
                local: here.map(|blob| Box::new(move || self.blob(&blob)) as Local<'s>),
                stage: stage.as_ref(),
                below: if stage.is_some() { below.collect() } else { Vec::new() },
            }
        });
        jobs.collect()
    }

    fn has_blob(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest) || self.images.inner.content.has(digest)
    }

    /// Whether an image that is here has exactly this layer in exactly this blob.
    pub fn knows(&self, layer: &Wanted) -> bool {
        self.row(|row| row.diff_id == layer.diff_id && row.blob == layer.blob && self.has_blob(&row.blob)).is_some()
    }

    /// A layer of an image that is there, or of this session.
    fn row(&self, is: impl Fn(&LayerRow) -> bool) -> Option<LayerRow> {
        self.images.index().rows().chain(&self.rows).find(|row| is(row)).cloned()
    }

    /// Unpacks a stream as a layer on top of `below`. `blob` says, once the stream has been read, which
    /// blob holds it.
    pub fn layer<R: Read + Send>(
        &mut self,
        below: &[LayerRow],
        mut from: R,
        diff_id: Option<&Digest>,
        blob: impl FnOnce(R) -> Result<Digest>,
    ) -> Result<LayerRow> {
        let parent = below.last().map(|layer| layer.chain_id);
        let stage = self.images.inner.snapshots.stage(parent.as_ref())?;
        let lowers: Vec<StagedOrVisible<'_>> = below.iter().map(|layer| self.find(&layer.chain_id)).collect();
        let unpacked = stage.unpack(&mut from, &lowers, self.limits).map_err(|error| self.told(error.into()))?;
        if let Some(diff_id) = diff_id {
            expect("a layer", diff_id, unpacked.diff_id)?;
        }
        drop(lowers);
        let layer = stage.finish(&unpacked)?;
        let row = LayerRow {
            chain_id: layer.chain_id(),
            diff_id: unpacked.diff_id,
            blob: blob(from)?,
            media_type: media_type(unpacked.compression).to_owned(),
        };
        self.layers.push(layer);
        Ok(row)
    }

    fn find(&self, chain_id: &Digest) -> StagedOrVisible<'_> {
        match self.layers.iter().find(|layer| layer.chain_id() == *chain_id) {
            Some(staged) => StagedOrVisible::Staged(staged),
            None => StagedOrVisible::Visible(*chain_id),
        }
    }

    /// Adds an image. Its configuration is stored as given: its digest is the id.
    pub fn image(
        &mut self,
        config: ImageConfig,
        bytes: &[u8],
        layers: Vec<LayerRow>,
        manifest: Option<Digest>,
        names: Vec<ImageRef>,
    ) -> Result<Digest> {
        let blob = self.images.inner.content.stage(bytes)?;
        let id = blob.digest();
        self.keep(blob);
        let last_tagged = if names.is_empty() { Timestamp::NEVER } else { Timestamp::now() };
        self.new.push(New { id, row: ImageRow { layers, manifest, last_tagged }, config, names });
        Ok(id)
    }

    /// Makes everything visible, names last.
    pub fn commit(mut self) -> Result<()> {
        let inner = &self.images.inner;
        let layers = std::mem::take(&mut self.layers);
        let mut blobs = std::mem::take(&mut self.blobs);
        let wanted: Vec<Digest> = self.new.iter().flat_map(|new| new.row.blobs(&new.id)).collect();
        blobs.retain(|digest, _| wanted.contains(digest));
        let chain_ids: Vec<Digest> = layers.iter().map(StagedLayer::chain_id).collect();
        let digests: Vec<Digest> = blobs.keys().copied().collect();
        // ORDER: content reaches the disk before the name that makes it visible, and that before the row.
        inner.snapshots.sync()?;
        let mut index = self.images.index();
        let recorded = inner
            .snapshots
            .publish(layers)
            .map_err(Error::from)
            .and_then(|()| Ok(inner.content.publish(blobs.into_values())?))
            .and_then(|()| self.record());
        match recorded {
            Ok(known) => {
                let mut former = Vec::new();
                for (new, known) in self.new.drain(..).zip(known) {
                    former.extend(
                        index.images.insert(new.id, known).map(|old| old.row.blobs(&new.id).collect::<Vec<_>>()),
                    );
                    index.names.extend(new.names.into_iter().map(|name| (name.full(), (name, new.id))));
                }
                // ORDER: the rows hold now what the pins held, and a pin of the bottom layer would hold its plain blob as well.
                self.pinned.drain(..).for_each(|digest| index.unpin(&digest));
                // An image that came again in other blobs no longer needs those it came in before.
                let mut kept = index.kept().blobs;
                for digest in former.iter().flatten().filter(|digest| kept.insert(**digest)) {
                    _ = inner.content.remove(digest);
                }
                Ok(())
            }
            Err(error) => {
                // Nobody has been told of them, and nobody can have begun to use them under this lock.
                let kept = index.kept();
                for chain_id in chain_ids.iter().filter(|chain_id| !kept.layers.contains(chain_id)) {
                    _ = inner.snapshots.remove_layer(chain_id);
                }
                let used: BTreeSet<Digest> = index.images.iter().flat_map(|(id, known)| known.row.blobs(id)).collect();
                for digest in digests.iter().filter(|digest| !used.contains(digest)) {
                    _ = inner.content.remove(digest);
                }
                Err(error)
            }
        }
    }

    /// Writes the rows, in one transaction.
    fn record(&self) -> Result<Vec<Known>> {
        let inner = &self.images.inner;
        let join = |new: &New| Known::of(new.row.clone(), new.config.clone().into(), &inner.snapshots);
        let known = self.new.iter().map(join).collect::<Result<Vec<_>>>()?;
        inner.db.write(|tx| {
            for new in &self.new {
                tx.put(new.id.as_str(), &new.row)?;
                for name in &new.names {
                    tx.put(&name.full(), &NameRow { id: new.id })?;
                }
            }
            Ok::<_, Error>(())
        })?;
        Ok(known)
    }

    fn pin(&mut self, digest: Digest) {
        self.images.index().pin(digest);
        self.pinned.push(digest);
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let mut index = self.images.index();
        self.pinned.iter().for_each(|digest| index.unpin(digest));
    }
}

/// A bomb must not fill the disk; what an honest image needs beside this is its compressed form.
pub(crate) fn room(images: &Images) -> Result<u64> {
    let free = images.inner.snapshots.free_bytes()?;
    Ok(free - free / 4)
}

pub(crate) fn expect(what: &'static str, expected: &Digest, found: Digest) -> Result<()> {
    if *expected == found {
        Ok(())
    } else {
        Err(Error::Mismatch { what, expected: Box::new(*expected), found: Box::new(found) })
    }
}

fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Plain => "application/vnd.oci.image.layer.v1.tar",
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}

#[cfg(test)]
mod tests;
