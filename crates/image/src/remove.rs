//! Removing names and images, with docker's rules and refusals.

use std::collections::BTreeSet;

use hull_types::{Digest, ImageRef, Timestamp};

use crate::index::Index;
use crate::records::{ImageRow, NameRow};
use crate::{Error, HOST_IMAGE, Images, Removed, Result};

/// How to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Also what stopped containers use, and an image with several names by its id.
    pub force: bool,
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
    /// needs go out of sight; `Snapshots::sweep` deletes them.
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
        if self.resolve(text)?.is_host() {
            return Err(Error::BuiltIn(HOST_IMAGE));
        }
        let mut index = self.index();
        let id = index.find(text)?;
        let uses = &uses()[..];
        let own: Vec<&Use> = uses.iter().filter(|used| used.image == id).collect();
        let mut removed = Vec::new();
        if index.find_name(text) == Some(id) {
            let name: ImageRef = text.parse()?;
            let name = name.with_default_tag();
            let name = name.digest().map_or(name.clone(), |digest| name.with_digest(*digest));
            let last = names_of(&index, &id).len() == 1;
            if let Some(used) = own.first().filter(|_| last && !options.force) {
                return Err(Error::ReferenceInUse {
                    name: text.to_owned(),
                    container: short(&used.container),
                    image: id.short().to_owned(),
                });
            }
            // A running container's image keeps its record even under force; its name may go only if
            // another one stays.
            if last {
                conflict(&id, &own, false, true)?;
            }
            let going = [vec![name.clone()], orphaned_digests(&index, &id, &name)].concat();
            self.untag(&mut index, &id, &going, &mut removed)?;
            if !names_of(&index, &id).is_empty() {
                return Ok(removed);
            }
        } else {
            let names = names_of(&index, &id);
            let several = names.iter().map(ImageRef::full_name).collect::<BTreeSet<_>>().len() > 1
                || names.iter().filter(|name| name.tag().is_some()).count() > 1;
            conflict(&id, &own, several, options.force)?;
            self.untag(&mut index, &id, &names, &mut removed)?;
        }
        self.delete(&mut index, &id, uses, &mut removed)?;
        Ok(removed)
    }

    /// Removes every image that no container uses: those without a name, or with `all` also the others.
    ///
    /// # Errors
    /// If the disk or the database refuses; what was removed before is not told then.
    pub fn prune(&self, all: bool, keep: impl Fn(&crate::Image) -> bool, uses: &[Use]) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        let used: BTreeSet<Digest> = uses.iter().map(|used| used.image).collect();
        for image in self.list() {
            let named = !image.tags.is_empty() || !image.repo_digests.is_empty();
            if image.is_host() || used.contains(&image.id) || (named && !all) || keep(&image) {
                continue;
            }
            let removed = self.remove(image.id.as_str(), RemoveOptions { force: true }, uses)?;
            pruned.removed.extend(removed);
            pruned.reclaimed += image.size;
        }
        Ok(pruned)
    }

    /// Moves every layer and blob that no image, no container and no operation in flight needs out of
    /// sight. For start-up: an interrupted operation may have left some.
    ///
    /// # Errors
    /// If the directories cannot be read or written.
    pub fn collect(&self, uses: &[Use]) -> Result<usize> {
        let index = self.index();
        let mut kept = index.kept();
        kept.layers.extend(uses.iter().flat_map(|used| used.layers.iter().copied()));
        let mut collected = 0;
        for chain_id in self.inner.snapshots.layers()?.iter().filter(|chain_id| !kept.layers.contains(chain_id)) {
            self.inner.snapshots.remove_layer(chain_id)?;
            collected += 1;
        }
        for (digest, _) in self.inner.content.list()?.iter().filter(|(digest, _)| !kept.blobs.contains(digest)) {
            self.inner.content.remove(digest)?;
            collected += 1;
        }
        Ok(collected)
    }

    fn untag(&self, index: &mut Index, id: &Digest, names: &[ImageRef], removed: &mut Vec<Removed>) -> Result<()> {
        let left = names_of(index, id).len() > names.len();
        self.inner.db.write(|tx| {
            for name in names {
                tx.delete::<NameRow>(&name.full())?;
            }
            if let (false, Some(known)) = (left, index.images.get(id)) {
                tx.put(id.as_str(), &ImageRow { last_tagged: Timestamp::NEVER, ..known.row.clone() })?;
            }
            Ok::<_, Error>(())
        })?;
        for name in names {
            index.names.remove(&name.full());
            removed.push(Removed::Untagged(name.familiar()));
        }
        Ok(())
    }

    /// ORDER: the row goes first, so that a power cut leaves files without a row, not the other way.
    fn delete(&self, index: &mut Index, id: &Digest, uses: &[Use], removed: &mut Vec<Removed>) -> Result<()> {
        self.inner.db.write(|tx| tx.delete::<ImageRow>(id.as_str()))?;
        let Some(gone) = index.images.remove(id) else { return Ok(()) };
        removed.push(Removed::Deleted(*id));
        let mut kept = index.kept();
        kept.layers.extend(uses.iter().flat_map(|used| used.layers.iter().copied()));
        for layer in gone.row.layers.iter().rev() {
            if kept.layers.insert(layer.chain_id) {
                self.inner.snapshots.remove_layer(&layer.chain_id)?;
                removed.push(Removed::Deleted(layer.chain_id));
            }
        }
        for blob in gone.row.blobs(id) {
            if kept.blobs.insert(blob) {
                self.inner.content.remove(&blob)?;
            }
        }
        Ok(())
    }
}

fn names_of(index: &Index, id: &Digest) -> Vec<ImageRef> {
    index.names.values().filter(|(_, of)| of == id).map(|(name, _)| name.clone()).collect()
}

/// With the last tag of a repository go the digests under which the image was known there.
fn orphaned_digests(index: &Index, id: &Digest, going: &ImageRef) -> Vec<ImageRef> {
    let same = |name: &ImageRef| name.full_name() == going.full_name() && name != going;
    let names: Vec<ImageRef> = names_of(index, id).into_iter().filter(same).collect();
    if going.digest().is_some() || names.iter().any(|name| name.tag().is_some()) { Vec::new() } else { names }
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
