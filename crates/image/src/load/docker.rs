//! docker's archive: `manifest.json` lists images with their configuration, names and layers.
//!
//! Source: docker's image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format".

use hull_types::{Digest, ImageRef};
use serde::Deserialize;

use super::spool::Spool;
use super::{Report, Spooled};
use crate::images::tag_of;
use crate::session::{MAX_LAYERS, Session, Wanted, expect};
use crate::{Error, ImageConfig, Loaded, Result};

const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An image whose configuration and names have been checked.
struct Checked {
    config: ImageConfig,
    bytes: Vec<u8>,
    names: Vec<ImageRef>,
    layers: Vec<String>,
}

/// Brings in all images of the archive.
pub(super) fn load(session: &mut Session<'_>, spool: &mut Spool, report: Report<'_>) -> Result<Vec<Loaded>> {
    let text = spool.document(session, "index", MANIFEST)?;
    let items: Vec<Item> = serde_json::from_slice(&text).map_err(|error| Error::document(MANIFEST, error))?;
    if items.is_empty() {
        return Err(Error::NoImage("its `manifest.json` is empty"));
    }
    // Everything that can be refused without unpacking comes first.
    let checked = items.into_iter().map(|item| check(session, spool, item)).collect::<Result<Vec<_>>>()?;
    checked.into_iter().map(|image| make(session, spool, image, report)).collect()
}

fn check(session: &Session<'_>, spool: &Spool, item: Item) -> Result<Checked> {
    let bytes = spool.document(session, MANIFEST, &item.config)?;
    let id = Digest::of(&bytes);
    if let Some(promised) = digest_in(&item.config) {
        expect("the image's configuration", &promised, id)?;
    }
    let config = super::oci::config(&bytes)?;
    if item.layers.len() != config.rootfs.diff_ids.len() {
        return Err(Error::document(MANIFEST, "it has not as many layers as the image's configuration"));
    }
    if item.layers.len() > MAX_LAYERS {
        return Err(Error::document(MANIFEST, format!("an image has more than {MAX_LAYERS} layers")));
    }
    let names = item.repo_tags.unwrap_or_default().iter().map(|tag| tag_of(tag)).collect::<Result<_>>()?;
    Ok(Checked { config, bytes, names, layers: item.layers })
}

fn make(session: &mut Session<'_>, spool: &mut Spool, image: Checked, report: Report<'_>) -> Result<Loaded> {
    let (mut wanted, mut totals) = (Vec::new(), Vec::new());
    for (file, diff_id) in image.layers.iter().zip(&image.config.rootfs.diff_ids) {
        let (blob, total) = session
            .take(spool, file)?
            .ok_or_else(|| Error::MissingFile { what: MANIFEST, name: file.escape_debug().to_string() })?;
        if let Some(promised) = digest_in(file).filter(|_| file.starts_with("blobs/")) {
            expect("a layer", &promised, blob)?;
        }
        wanted.push(Wanted { diff_id: *diff_id, blob, size: None, exact: false });
        totals.push(total);
    }
    let layers = session.layers(&wanted, &Spooled { wanted: &wanted, totals, report })?;
    let tags = image.names.iter().map(ImageRef::familiar).collect();
    let id = session.image(image.config, &image.bytes, layers, None, image.names)?;
    Ok(Loaded { id, tags })
}

/// The digest that a file is named by: `<hex>.json` or `blobs/sha256/<hex>`.
fn digest_in(file: &str) -> Option<Digest> {
    let name = file.rsplit('/').next().unwrap_or(file);
    Digest::from_hex(name.strip_suffix(".json").unwrap_or(name)).ok()
}
