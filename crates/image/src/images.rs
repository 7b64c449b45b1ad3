//! [`Images`]: looking up, naming and telling the history of images.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_content::Store;
use hull_records::{Db, Gap};
use hull_snapshot::Snapshots;
use hull_types::{Digest, Fault, ImageRef, Timestamp};

use crate::index::{Index, Known};
use crate::records::{ImageRow, NameRow};
use crate::{Bounds, Error, HOST_IMAGE, HistoryLine, Image, Result, host};

/// The images of one engine. Clones share them.
#[derive(Clone)]
pub struct Images {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub content: Store,
    pub snapshots: Snapshots,
    pub db: Db,
    index: Mutex<Index>,
    host: Image,
    pub bounds: std::result::Result<Bounds, Fault>,
}

impl Images {
    /// Opens the images beneath `root`. An image whose configuration or layers cannot be read is left
    /// out and logged; its row stays.
    ///
    /// # Errors
    /// If the store or the database cannot be read at all.
    pub fn open(root: &Path, db: Db, snapshots: Snapshots) -> Result<Self> {
        Self::bounded(root, db, snapshots, Ok(Bounds::default()))
    }

    /// The same with bounds on what may be brought in. Where they are not known, nothing is.
    ///
    /// # Errors
    /// As [`Images::open`].
    pub fn bounded(
        root: &Path,
        db: Db,
        snapshots: Snapshots,
        bounds: std::result::Result<Bounds, Fault>,
    ) -> Result<Self> {
        let content = Store::open(root)?;
        let mut index = Index::default();
        let (images, names) = db.write(|tx| Ok::<_, Error>((tx.scan::<ImageRow>()?, tx.scan::<NameRow>()?)))?;
        for aside in images.set_aside.iter().chain(&names.set_aside) {
            tracing::warn!(table = aside.table, key = aside.key, why = aside.why, "a row was set aside");
        }
        index.gap = Gap::of(images.set_aside.iter().chain(db.set_aside()));
        for (key, row) in images.rows {
            let Ok(id) = key.parse::<Digest>() else {
                tracing::warn!(key, "a row of an image has no digest as its key");
                continue;
            };
            match Known::join(&id, row.clone(), &content, &snapshots) {
                Ok(known) => _ = index.images.insert(id, known),
                Err(error) => {
                    tracing::warn!(image = key, %error, "an image cannot be used");
                    index.broken.push((id, row));
                }
            }
        }
        index.take_names(names.rows);
        let inner = Inner { content, snapshots, db, index: Mutex::new(index), host: host::image(), bounds };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads the names of images that have become usable.
    pub(crate) fn read_names(&self) {
        match self.inner.db.write(|tx| Ok::<_, Error>(tx.scan::<NameRow>()?)) {
            Ok(names) => self.index().take_names(names.rows),
            Err(error) => tracing::warn!(%error, "names of images come back with the next start"),
        }
    }

    /// The store of blobs.
    pub fn content(&self) -> Store {
        self.inner.content.clone()
    }

    /// All images that were brought in, the most recently made first.
    pub fn list(&self) -> Vec<Image> {
        let index = self.index();
        let mut images: Vec<Image> = index.images.keys().filter_map(|id| index.image(id)).collect();
        images.sort_by_cached_key(|image| (std::cmp::Reverse(created(&image.config.created)), image.id));
        images
    }

    /// `hull/host`, which is in no list: it takes no room, and nobody can remove it.
    pub fn built_in(&self) -> Image {
        self.inner.host.clone()
    }

    /// Whether the rows of all images could be read.
    pub fn gap(&self) -> Gap {
        self.index().gap
    }

    /// The image that a text means: `name[:tag]`, `name@digest`, an id or an id prefix.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::Ambiguous`].
    pub fn resolve(&self, text: &str) -> Result<Image> {
        if host::is_meant(&self.inner.host, text) {
            return Ok(self.inner.host.clone());
        }
        let index = self.index();
        let id = index.find(text)?;
        index.image(&id).ok_or_else(|| Error::NoSuchImage(text.to_owned()))
    }

    /// As [`Images::resolve`]; the image's layers stay at least as long as the [`Hold`] lives.
    ///
    /// # Errors
    /// As [`Images::resolve`].
    pub fn resolve_held(&self, text: &str) -> Result<(Image, Hold)> {
        if host::is_meant(&self.inner.host, text) {
            return Ok((self.inner.host.clone(), Hold { images: self.clone(), layers: Vec::new() }));
        }
        let mut index = self.index();
        let id = index.find(text)?;
        let image = index.image(&id).ok_or_else(|| Error::NoSuchImage(text.to_owned()))?;
        image.layers().iter().for_each(|layer| index.pin(*layer));
        let hold = Hold { images: self.clone(), layers: image.layers().to_vec() };
        Ok((image, hold))
    }

    /// The image with exactly this id, as containers name theirs.
    pub fn get(&self, id: &Digest) -> Option<Image> {
        if *id == self.inner.host.id {
            return Some(self.inner.host.clone());
        }
        self.index().image(id)
    }

    /// Gives an image another name. An image that had it loses it.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::NoTag`] if `name` has a digest, [`Error::BuiltIn`].
    pub fn tag(&self, source: &str, name: &str) -> Result<Image> {
        let name = tag_of(name)?;
        let source = self.resolve(source)?;
        if source.is_host() {
            return Err(Error::BuiltIn(HOST_IMAGE));
        }
        let mut index = self.index();
        let Some(known) = index.images.get_mut(&source.id) else {
            return Err(Error::NoSuchImage(source.id.to_string()));
        };
        let row = ImageRow { last_tagged: Timestamp::now(), ..known.row.clone() };
        self.inner.db.write(|tx| {
            tx.put(source.id.as_str(), &row)?;
            tx.put(&name.full(), &NameRow { id: source.id })
        })?;
        known.row = row;
        index.names.insert(name.full(), (name, source.id));
        index.image(&source.id).ok_or_else(|| Error::NoSuchImage(source.id.to_string()))
    }

    /// How an image came about, newest step first.
    ///
    /// # Errors
    /// As [`Images::resolve`].
    pub fn history(&self, text: &str) -> Result<Vec<HistoryLine>> {
        let image = self.resolve(text)?;
        let mut layers = image.layers().iter();
        let mut lines = Vec::new();
        for step in &image.config.history {
            let layer = if step.empty_layer { None } else { layers.next() };
            lines.push(HistoryLine {
                id: None,
                created: created(&step.created),
                created_by: step.created_by.clone(),
                size: self.layer_size(layer)?,
                comment: step.comment.clone(),
                tags: Vec::new(),
            });
        }
        // Tools that write no history leave layers over.
        for layer in layers {
            let size = self.layer_size(Some(layer))?;
            let (created_by, comment) = (String::new(), String::new());
            let created = created(&image.config.created);
            lines.push(HistoryLine { id: None, created, created_by, size, comment, tags: Vec::new() });
        }
        lines.reverse();
        if let Some(newest) = lines.first_mut() {
            newest.id = Some(image.id);
            newest.tags = image.tags;
        }
        Ok(lines)
    }

    fn layer_size(&self, chain_id: Option<&Digest>) -> Result<u64> {
        let info = chain_id.map(|chain_id| self.inner.snapshots.layer(chain_id)).transpose()?;
        Ok(info.flatten().map_or(0, |info| info.size))
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        // Each change of the index is one insertion or removal: a panic leaves none half-done.
        self.inner.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the layers of an image from being removed, until it is dropped.
pub struct Hold {
    images: Images,
    layers: Vec<Digest>,
}

impl Hold {
    /// Of what has been pinned.
    pub(crate) fn new(images: &Images, pinned: Vec<Digest>) -> Self {
        Self { images: images.clone(), layers: pinned }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut index = self.images.index();
        self.layers.iter().for_each(|layer| index.unpin(layer));
    }
}

/// A name with a tag and without a digest; `latest` if there is none. `hull/host` is taken.
pub(crate) fn tag_of(text: &str) -> Result<ImageRef> {
    let name: ImageRef = text.parse()?;
    if name.digest().is_some() {
        return Err(Error::NoTag(text.to_owned()));
    }
    let name = name.with_default_tag();
    if name.familiar_name() == HOST_IMAGE { Err(Error::BuiltIn(HOST_IMAGE)) } else { Ok(name) }
}

fn created(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::NEVER)
}
