//! `save`: images become an archive that docker, skopeo and hull load: docker's `manifest.json` and an OCI
//! layout over the same blobs, as docker writes since 25.
//!
//! Layers are written as they came, compressed or not: every reader undoes that, and nothing has to be
//! packed again. The same images give the same bytes.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use hull_archive::tar::{Entry, EntryKind, Writer};
use hull_types::{Digest, ImageRef};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::images::Hold;
use crate::index::MAX_DOCUMENT;
use crate::records::ImageRow;
use crate::{Error, Images, Result};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An archive that can be written: everything is there, and stays until this is dropped.
pub struct Saving {
    images: Images,
    files: Vec<(String, Content)>,
    _hold: Hold,
}

enum Content {
    Directory,
    Bytes(Vec<u8>),
    Blob(Digest, u64),
}

/// An image with the names that were asked for.
struct Chosen {
    id: Digest,
    row: ImageRow,
    names: Vec<ImageRef>,
}

impl Images {
    /// Prepares an archive of images: by name with this name, by a repository without a tag with all its
    /// tags, by id without a name.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`]; [`Error::Unsupported`] for `hull/host`; if a blob is missing.
    pub fn save(&self, names: &[String]) -> Result<Saving> {
        let (chosen, hold) = self.choose(names)?;
        let mut files = Files { images: self, blobs: BTreeSet::new(), files: Vec::new() };
        let (mut items, mut entries) = (Vec::new(), Vec::new());
        for image in &chosen {
            let manifest = files.image(image)?;
            items.push(json!({
                "Config": file(&image.id),
                "RepoTags": if image.names.is_empty() { Value::Null } else { json!(image.names.iter().map(ImageRef::familiar).collect::<Vec<_>>()) },
                "Layers": image.row.layers.iter().map(|layer| file(&layer.blob)).collect::<Vec<_>>(),
            }));
            entries.extend(described(&manifest, &image.names));
        }
        let index =
            json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries });
        let text = |name: &str, value: &Value| (name.to_owned(), Content::Bytes(value.to_string().into_bytes()));
        let mut all = vec![
            text("oci-layout", &json!({"imageLayoutVersion": "1.0.0"})),
            text("index.json", &index),
            text("manifest.json", &json!(items)),
            ("blobs/".to_owned(), Content::Directory),
            ("blobs/sha256/".to_owned(), Content::Directory),
        ];
        all.append(&mut files.files);
        Ok(Saving { images: self.clone(), files: all, _hold: hold })
    }

    fn choose(&self, names: &[String]) -> Result<(Vec<Chosen>, Hold)> {
        if names.iter().any(|text| self.resolve(text).is_ok_and(|image| image.is_host())) {
            return Err(Error::Unsupported("`hull/host` is this machine itself and cannot be saved"));
        }
        let mut index = self.index();
        let mut wanted: Vec<(Digest, Option<ImageRef>)> = Vec::new();
        for text in names {
            let name = text.parse::<ImageRef>().ok();
            let repository = name.as_ref().filter(|name| name.tag().is_none() && name.digest().is_none());
            let tags: Vec<(Digest, Option<ImageRef>)> = index
                .names
                .values()
                .filter(|(own, _)| {
                    own.tag().is_some() && repository.is_some_and(|of| of.full_name() == own.full_name())
                })
                .map(|(own, id)| (*id, Some(own.clone())))
                .collect();
            if tags.is_empty() {
                let id = index.find(text)?;
                let named = index.find_name(text).and(name).map(|name| name.with_default_tag());
                wanted.push((id, named.filter(|name| name.digest().is_none())));
            } else {
                wanted.extend(tags);
            }
        }
        let mut chosen: Vec<Chosen> = Vec::new();
        for (id, name) in wanted {
            let at = chosen.iter().position(|image| image.id == id);
            let image = match at {
                Some(at) => &mut chosen[at],
                None => {
                    let known = index.images.get(&id).ok_or_else(|| Error::NoSuchImage(id.to_string()))?;
                    chosen.push(Chosen { id, row: known.row.clone(), names: Vec::new() });
                    let last = chosen.len() - 1;
                    &mut chosen[last]
                }
            };
            image.names.extend(name.filter(|name| !image.names.contains(name)));
        }
        let pins: Vec<Digest> = chosen.iter().flat_map(|image| image.row.blobs(&image.id)).collect();
        pins.iter().for_each(|digest| index.pin(*digest));
        drop(index);
        Ok((chosen, Hold::new(self, pins)))
    }
}

/// A manifest, as an index names it.
struct Manifest {
    media_type: String,
    digest: Digest,
    size: usize,
}

struct Files<'a> {
    images: &'a Images,
    blobs: BTreeSet<Digest>,
    files: Vec<(String, Content)>,
}

impl Files<'_> {
    /// Adds the blobs of an image that are not there yet, and its manifest.
    fn image(&mut self, image: &Chosen) -> Result<Manifest> {
        for blob in image.row.layers.iter().map(|layer| layer.blob).chain([image.id]) {
            let size = self.images.inner.content.size(&blob)?;
            if self.blobs.insert(blob) {
                self.files.push((file(&blob), Content::Blob(blob, size)));
            }
        }
        let (media_type, bytes) = self.manifest(image)?;
        let manifest = Manifest { media_type, digest: Digest::of(&bytes), size: bytes.len() };
        if self.blobs.insert(manifest.digest) {
            self.files.push((file(&manifest.digest), Content::Bytes(bytes)));
        }
        Ok(manifest)
    }

    /// The manifest that the image came with, if it still names the blobs that there are; else a new one.
    fn manifest(&self, image: &Chosen) -> Result<(String, Vec<u8>)> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Known {
            #[serde(default)]
            media_type: Option<String>,
            config: Named,
            layers: Vec<Named>,
        }
        #[derive(Deserialize)]
        struct Named {
            digest: Digest,
        }
        let content = &self.images.inner.content;
        let bytes = image.row.manifest.and_then(|digest| content.read(&digest, MAX_DOCUMENT).ok());
        if let Some(bytes) = bytes
            && let Ok(known) = serde_json::from_slice::<Known>(&bytes)
            && known.config.digest == image.id
            && known.layers.iter().map(|layer| layer.digest).eq(image.row.layers.iter().map(|layer| layer.blob))
        {
            return Ok((known.media_type.unwrap_or_else(|| MANIFEST.to_owned()), bytes));
        }
        let describe = |media_type: &str, digest: &Digest| {
            Ok::<_, Error>(json!({ "mediaType": media_type, "digest": digest, "size": content.size(digest)? }))
        };
        let layers = image.row.layers.iter().map(|layer| describe(&layer.media_type, &layer.blob));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": describe(CONFIG, &image.id)?,
            "layers": layers.collect::<Result<Vec<_>>>()?,
        });
        Ok((MANIFEST.to_owned(), manifest.to_string().into_bytes()))
    }
}

/// A manifest's lines in the index: one per name, or one without.
fn described(manifest: &Manifest, names: &[ImageRef]) -> Vec<Value> {
    let plain = json!({ "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size });
    if names.is_empty() {
        return vec![plain];
    }
    let with_name = |name: &ImageRef| {
        let mut line = plain.clone();
        line["annotations"] = json!({
            "io.containerd.image.name": name.full(),
            "org.opencontainers.image.ref.name": name.tag().unwrap_or_default(),
        });
        line
    };
    names.iter().map(with_name).collect()
}

fn file(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

impl Saving {
    /// Writes the archive. Blobs are verified on the way; a damaged one ends it.
    ///
    /// # Errors
    /// [`Error::Archive`] if `to` fails; [`Error::Mismatch`] for a damaged blob.
    pub fn write(self, to: impl Write) -> Result<()> {
        let mut writer = Writer::new(to);
        for (name, content) in self.files {
            let path = name.into_bytes();
            match content {
                Content::Directory => {
                    let entry = Entry { path, kind: EntryKind::Directory, mode: 0o755, ..Entry::default() };
                    writer.append(&entry, std::io::empty())?;
                }
                Content::Bytes(bytes) => {
                    let entry = Entry { path, mode: 0o644, size: bytes.len() as u64, ..Entry::default() };
                    writer.append(&entry, &bytes[..])?;
                }
                Content::Blob(digest, size) => {
                    let mut from = Verified::new(self.images.inner.content.open_blob(&digest)?);
                    writer.append(&Entry { path, mode: 0o644, size, ..Entry::default() }, &mut from)?;
                    crate::session::expect("a blob of the store", &digest, from.digest())?;
                }
            }
        }
        writer.finish()?;
        Ok(())
    }
}

/// A stream that is hashed on the way.
struct Verified<R> {
    from: R,
    hasher: hull_archive::Hasher,
}

impl<R> Verified<R> {
    fn new(from: R) -> Self {
        Self { from, hasher: hull_archive::Hasher::default() }
    }

    fn digest(self) -> Digest {
        self.hasher.digest()
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
