//! The OCI image layout: `index.json` → manifests → configurations and layers, all by digest.
//!
//! Source: OCI image-spec `image-layout.md`, `image-index.md`, `manifest.md`; docker's schema 2 has the
//! same shape under other media types.

use std::collections::BTreeMap;

use hull_types::{Digest, ImageRef, Platform};
use serde::Deserialize;

use super::spool::Spool;
use super::{Report, Spooled};
use crate::images::tag_of;
use crate::session::{MAX_LAYERS, Session, Wanted, expect};
use crate::{Error, ImageConfig, Loaded, Result};

const INDEX: &str = "index.json";
/// An index within an index within an index is no honest one.
const DEPTH: usize = 3;
const IMAGES: usize = 1000;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<PlatformText>,
}

#[derive(Clone, Deserialize)]
struct PlatformText {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// An index or a manifest. A document that is both is refused: readers disagree on which it is.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
}

struct Manifest {
    digest: Digest,
    config: Descriptor,
    layers: Vec<Descriptor>,
    names: Vec<ImageRef>,
}

/// Brings in all images of the layout that are for this host.
pub(super) fn load(session: &mut Session<'_>, spool: &mut Spool, report: Report<'_>) -> Result<Vec<Loaded>> {
    let text = spool.document(session, "layout", INDEX)?;
    let entries = match parse(INDEX, &text)? {
        Document { manifests: Some(entries), .. } => entries,
        _ => return Err(Error::document(INDEX, "it lists no manifests")),
    };
    let mut found = Found::default();
    for entry in &entries {
        let names = names(entry)?;
        found.walk(session, spool, entry, &names, 0)?;
    }
    if found.manifests.is_empty() {
        return Err(match found.others.is_empty() {
            true => Error::NoImage("its `index.json` lists none"),
            false => Error::Platform { wanted: Platform::host(), found: found.others.join(", ") },
        });
    }
    let mut loaded: Vec<Loaded> = Vec::new();
    for manifest in found.manifests {
        let image = make(session, spool, manifest, report)?;
        match loaded.iter_mut().find(|earlier| earlier.id == image.id) {
            Some(earlier) => earlier.tags.extend(image.tags),
            None => loaded.push(image),
        }
    }
    Ok(loaded)
}

/// Manifests for this host, and the platforms of the others.
#[derive(Default)]
struct Found {
    manifests: Vec<Manifest>,
    others: Vec<String>,
}

impl Found {
    fn walk(
        &mut self,
        session: &mut Session<'_>,
        spool: &mut Spool,
        entry: &Descriptor,
        names: &[ImageRef],
        depth: usize,
    ) -> Result<()> {
        if let Some(platform) = &entry.platform {
            let platform = Platform::new(&platform.os, &platform.architecture, platform.variant.as_deref());
            if !Platform::host().runs(&platform) {
                // Attestations are listed as images of an unknown platform.
                if platform.os != "unknown" {
                    self.others.push(platform.to_string());
                }
                return Ok(());
            }
        }
        blob(session, spool, entry)?;
        let text = spool.document(session, INDEX, &file(&entry.digest))?;
        let document = parse("a manifest", &text)?;
        match document {
            Document { manifests: Some(entries), .. } if depth < DEPTH => {
                // The first that fits is meant, as in a registry.
                let before = self.manifests.len();
                for entry in &entries {
                    self.walk(session, spool, entry, names, depth + 1)?;
                    if self.manifests.len() > before {
                        break;
                    }
                }
                Ok(())
            }
            Document { config: Some(config), layers: Some(layers), .. } => {
                if self.manifests.len() >= IMAGES || layers.len() > MAX_LAYERS {
                    return Err(Error::document(INDEX, "it lists too many images or layers"));
                }
                let names = names.to_vec();
                self.manifests.push(Manifest { digest: entry.digest, config, layers, names });
                Ok(())
            }
            _ => Err(Error::document("a manifest", "it is neither an index nor an image manifest")),
        }
    }
}

fn make(session: &mut Session<'_>, spool: &mut Spool, manifest: Manifest, report: Report<'_>) -> Result<Loaded> {
    blob(session, spool, &manifest.config)?;
    let bytes = spool.document(session, "a manifest", &file(&manifest.config.digest))?;
    let config = config(&bytes)?;
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return Err(Error::document("a manifest", "it has not as many layers as the image's configuration"));
    }
    if let Some(foreign) = manifest.layers.iter().find(|layer| is_foreign(&layer.media_type)) {
        tracing::debug!(media_type = foreign.media_type, "foreign layer");
        return Err(Error::Unsupported(
            "layers that must be fetched from elsewhere (foreign layers) are not supported",
        ));
    }
    let mut wanted = Vec::new();
    for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        blob(session, spool, layer)?;
        wanted.push(Wanted { diff_id: *diff_id, blob: layer.digest, size: None, exact: true });
    }
    let totals = manifest.layers.iter().map(|layer| layer.size).collect();
    let layers = session.layers(&wanted, &Spooled { wanted: &wanted, totals, report })?;
    let tags = manifest.names.iter().map(ImageRef::familiar).collect();
    let id = session.image(config, &bytes, layers, Some(manifest.digest), manifest.names)?;
    Ok(Loaded { id, tags })
}

/// Gives the blob of a descriptor to the session; its digest and size must be those promised.
fn blob(session: &mut Session<'_>, spool: &mut Spool, of: &Descriptor) -> Result<()> {
    let name = file(&of.digest);
    let (found, size) = match session.take(spool, &name)? {
        Some(taken) => taken,
        None => return Err(Error::MissingFile { what: INDEX, name }),
    };
    expect("a blob", &of.digest, found)?;
    if size != of.size {
        return Err(Error::SizeMismatch { digest: found, expected: of.size, found: size });
    }
    Ok(())
}

fn file(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn parse(what: &'static str, text: &[u8]) -> Result<Document> {
    let document: Document = serde_json::from_slice(text).map_err(|error| Error::document(what, error))?;
    match (&document.manifests, &document.layers, &document.config) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            Err(Error::document(what, "it is an index and a manifest at once"))
        }
        _ => Ok(document),
    }
}

/// An image's configuration. Another architecture is for `run` to refuse; another system has no layers
/// that could be unpacked here.
pub(crate) fn config(bytes: &[u8]) -> Result<ImageConfig> {
    const WHAT: &str = "the image's configuration";
    // Lists would be taken for an object's fields in order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Error::document(WHAT, "it is no JSON object"));
    }
    let config: ImageConfig = serde_json::from_slice(bytes).map_err(|error| Error::document(WHAT, error))?;
    if config.rootfs.kind != "layers" {
        return Err(Error::document(WHAT, "its root file system is not made of layers"));
    }
    let platform = config.platform();
    if platform.os != Platform::host().os {
        return Err(Error::Platform { wanted: Platform::host(), found: platform.to_string() });
    }
    Ok(config)
}

/// Names that annotations give: containerd's full one, or the layout's if it is more than a tag.
fn names(entry: &Descriptor) -> Result<Vec<ImageRef>> {
    let annotation = |key: &str| entry.annotations.as_ref().and_then(|all| all.get(key)).map(String::as_str);
    let layout = annotation("org.opencontainers.image.ref.name").filter(|name| name.contains([':', '/']));
    match annotation("io.containerd.image.name").or(layout) {
        Some(name) => Ok(vec![tag_of(name)?]),
        None => Ok(Vec::new()),
    }
}

pub(crate) fn is_foreign(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains("foreign")
}
