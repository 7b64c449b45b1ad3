//! Removing names and images, with docker's rules and refusals.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use hull_records::Gap;
use hull_types::{Digest, ImageRef, Timestamp};

use crate::index::Index;
use crate::records::{ImageRow, NameRow};
use crate::{Error, HOST_IMAGE, Images, Removed, Result};

/// How to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Also what stopped containers use, and an image with several names by its id.
    pub force: bool,
    /// Not what any container uses, however it is forced.
    pub spare_used: bool,
}

/// A container that uses an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The container's id.
    pub container: String,
    /// Its image.
    pub image: Digest,
    /// Chain ids of the layers that it stands on; they outlive their image.
    pub layers: Vec<Digest>,
    /// Whether it runs (or is paused or restarting).
    pub running: bool,
}

/// What a prune did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What went.
    pub removed: Vec<Removed>,
    /// Bytes that the disk got back.
    pub reclaimed: u64,
}

impl Images {
    /// Removes a name, and the image when that was its last one. Layers and blobs that nothing else
    /// needs go out of sight; `Snapshots::sweep` and [`Images::sweep`] delete them.
    ///
    /// # Errors
    /// [`Error::ReferenceInUse`], [`Error::Conflict`], [`Error::NoSuchImage`], [`Error::BuiltIn`].
    pub fn remove(&self, text: &str, options: RemoveOptions, uses: &[Use]) -> Result<Vec<Removed>> {
        self.remove_with(text, options, || uses.to_vec())
    }

    /// As [`Images::remove`], asking who uses images only when nobody can begin to: together with
    /// [`Images::resolve_held`] no container loses its layers between its creation and its record.
    ///
    /// # Errors
    /// As [`Images::remove`].
    pub fn remove_with(
        &self,
        text: &str,
        options: RemoveOptions,
        uses: impl FnOnce() -> Vec<Use>,
    ) -> Result<Vec<Removed>> {
        Ok(self.remove_counted(text, options, uses)?.removed)
    }

    fn remove_counted(&self, text: &str, options: RemoveOptions, uses: impl FnOnce() -> Vec<Use>) -> Result<Pruned> {
        if self.resolve(text)?.is_host() {
            return Err(Error::BuiltIn(HOST_IMAGE));
        }
        let mut index = self.index();
        let id = index.find(text)?;
        let uses = &uses()[..];
        let plan = Plan::new(&index, &id, text, options, uses)?;
        // ORDER: the rows go first, so that a power cut leaves files without a row, not the other way.
        self.inner.db.write(|tx| {
            for name in &plan.names {
                tx.delete::<NameRow>(&name.full())?;
            }
            match (plan.delete, index.images.get(&id)) {
                (true, _) => _ = tx.delete::<ImageRow>(id.as_str())?,
                (false, Some(known)) if names_of(&index, &id).len() == plan.names.len() => {
                    tx.put(id.as_str(), &ImageRow { last_tagged: Timestamp::NEVER, ..known.row.clone() })?;
                }
                _ => {}
            }
            Ok::<_, Error>(())
        })?;
        let mut pruned = Pruned::default();
        for name in plan.names {
            index.names.remove(&name.full());
            pruned.removed.push(Removed::Untagged(name.familiar()));
        }
        if plan.delete {
            self.delete(&mut index, &id, uses, &mut pruned)?;
        }
        Ok(pruned)
    }

    /// Removes every image that no container uses: those without a name, or with `all` also the others;
    /// not those of which `keep` is true.
    ///
    /// # Errors
    /// If the disk or the database refuses; what was removed before is not told then.
    pub fn prune(
        &self,
        all: bool,
        keep: impl Fn(&crate::Image) -> bool,
        uses: impl Fn() -> Vec<Use>,
    ) -> Result<Pruned> {
        self.prune_telling(all, keep, uses, |_| {})
    }

    /// As [`Images::prune`]; what went is told at once, too.
    ///
    /// # Errors
    /// As [`Images::prune`].
    pub fn prune_telling(
        &self,
        all: bool,
        keep: impl Fn(&crate::Image) -> bool,
        uses: impl Fn() -> Vec<Use>,
        told: impl Fn(&Removed),
    ) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        for image in self.list() {
            let named = !image.tags.is_empty() || !image.repo_digests.is_empty();
            if image.is_host() || (named && !all) || keep(&image) {
                continue;
            }
            let options = RemoveOptions { force: true, spare_used: true };
            match self.remove_counted(image.id.as_str(), options, &uses) {
                Ok(gone) => {
                    gone.removed.iter().for_each(&told);
                    pruned.removed.extend(gone.removed);
                    pruned.reclaimed += gone.reclaimed;
                }
                // Used, or gone meanwhile.
                Err(Error::Conflict { .. } | Error::NoSuchImage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(pruned)
    }

    /// Deletes the blobs that removals moved out of sight; how many. Blocks: run it behind the answer.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sweep(&self) -> Result<usize> {
        Ok(self.inner.content.sweep()?)
    }

    /// Moves every layer and blob that no image, no container and no operation in flight needs out of
    /// sight. For start-up: an interrupted operation may have left some. What belongs to images that
    /// cannot be used stays, and if rows could not be read, everything does.
    ///
    /// # Errors
    /// If the directories cannot be read or written.
    pub fn collect(&self, uses: &[Use]) -> Result<usize> {
        let index = self.index();
        if index.gap != Gap::None {
            return Ok(0);
        }
        let (layers, blobs) = self.unowned(&index, uses)?;
        layers.iter().try_for_each(|chain_id| self.inner.snapshots.remove_layer(chain_id))?;
        for digest in &blobs {
            self.inner.content.remove(digest)?;
        }
        Ok(layers.len() + blobs.len())
    }

    /// As [`Images::collect`], after damage: what nobody needs, as far as is known, is moved into the
    /// directories `layers` and `blobs`, which are on the same file system. How much was.
    ///
    /// # Errors
    /// If the directories cannot be read or written.
    pub fn set_aside(&self, uses: &[Use], layers_to: impl AsFd, blobs_to: impl AsFd) -> Result<usize> {
        let mut index = self.index();
        if index.gap == Gap::Newer {
            return Ok(0);
        }
        let (layers, blobs) = self.unowned(&index, uses)?;
        layers.iter().try_for_each(|chain_id| self.inner.snapshots.set_layer_aside(chain_id, &layers_to))?;
        blobs.iter().try_for_each(|digest| self.inner.content.set_aside(digest, &blobs_to))?;
        index.gap = Gap::None;
        Ok(layers.len() + blobs.len())
    }

    /// Layers and blobs that nothing needs.
    fn unowned(&self, index: &Index, uses: &[Use]) -> Result<(Vec<Digest>, Vec<Digest>)> {
        let mut kept = index.kept();
        kept.layers.extend(uses.iter().flat_map(|used| used.layers.iter().copied()));
        let mut layers = self.inner.snapshots.layers()?;
        layers.retain(|chain_id| !kept.layers.contains(chain_id));
        let blobs = self.inner.content.list()?.into_iter().map(|(digest, _)| digest);
        Ok((layers, blobs.filter(|digest| !kept.blobs.contains(digest)).collect()))
    }

    /// Deletes what nothing else needs of an image whose row is gone.
    fn delete(&self, index: &mut Index, id: &Digest, uses: &[Use], pruned: &mut Pruned) -> Result<()> {
        let (snapshots, content) = (&self.inner.snapshots, &self.inner.content);
        let Some(gone) = index.images.remove(id) else { return Ok(()) };
        pruned.removed.push(Removed::Deleted(*id));
        let mut kept = index.kept();
        kept.layers.extend(uses.iter().flat_map(|used| used.layers.iter().copied()));
        for layer in gone.row.layers.iter().rev() {
            if kept.layers.insert(layer.chain_id) {
                pruned.reclaimed += snapshots.layer(&layer.chain_id).ok().flatten().map_or(0, |info| info.size);
                snapshots.remove_layer(&layer.chain_id)?;
                pruned.removed.push(Removed::Deleted(layer.chain_id));
            }
        }
        for blob in gone.row.blobs(id) {
            if kept.blobs.insert(blob) {
                pruned.reclaimed += content.size(&blob).unwrap_or(0);
                content.remove(&blob)?;
            }
        }
        Ok(())
    }
}

/// What a removal will do, once it has been allowed.
struct Plan {
    names: Vec<ImageRef>,
    delete: bool,
}

impl Plan {
    fn new(index: &Index, id: &Digest, text: &str, options: RemoveOptions, uses: &[Use]) -> Result<Self> {
        let own: Vec<&Use> = uses.iter().filter(|used| used.image == *id).collect();
        if options.spare_used {
            conflict(id, &own, false, false)?;
        }
        let names = names_of(index, id);
        let repositories: BTreeSet<String> = names.iter().map(ImageRef::full_name).collect();
        let several = repositories.len() > 1 || names.iter().filter(|name| name.tag().is_some()).count() > 1;
        if index.find_name(text) != Some(*id) {
            conflict(id, &own, several, options.force)?;
            return Ok(Self { names, delete: true });
        }
        if let Some(used) = own.first().filter(|_| !several && !options.force) {
            return Err(Error::ReferenceInUse {
                name: text.to_owned(),
                container: short(&used.container),
                image: id.short().to_owned(),
            });
        }
        let name = text.parse::<ImageRef>()?.with_default_tag();
        let name = name.digest().map_or(name.clone(), |digest| name.with_digest(*digest));
        let going = [vec![name.clone()], orphaned_digests(&names, &name)].concat();
        let delete = going.len() == names.len();
        if delete {
            // Not even force takes the image from a running container.
            conflict(id, &own, false, true)?;
        }
        Ok(Self { names: going, delete })
    }
}

fn names_of(index: &Index, id: &Digest) -> Vec<ImageRef> {
    index.names.values().filter(|(_, of)| of == id).map(|(name, _)| name.clone()).collect()
}

/// With the last tag of a repository go the digests under which the image was known there.
fn orphaned_digests(names: &[ImageRef], going: &ImageRef) -> Vec<ImageRef> {
    let same = |name: &&ImageRef| name.full_name() == going.full_name() && *name != going;
    let others: Vec<ImageRef> = names.iter().filter(same).cloned().collect();
    if going.digest().is_some() || others.iter().any(|name| name.tag().is_some()) { Vec::new() } else { others }
}

fn conflict(id: &Digest, uses: &[&Use], several: bool, force: bool) -> Result<()> {
    let refuse = |forcible, why: String| Err(Error::Conflict { image: id.short().to_owned(), forcible, why });
    if let Some(used) = uses.iter().find(|used| used.running) {
        return refuse(false, format!("image is being used by running container {}", short(&used.container)));
    }
    if several && !force {
        return refuse(true, "image is referenced in multiple repositories".to_owned());
    }
    match uses.first().filter(|_| !force) {
        Some(used) => refuse(true, format!("image is being used by stopped container {}", short(&used.container))),
        None => Ok(()),
    }
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}
