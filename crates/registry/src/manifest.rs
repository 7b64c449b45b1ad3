//! Manifests and indexes: untrusted documents, bounded and checked before anything is believed.
//!
//! Source: OCI image-spec `manifest.md`, `image-index.md`; docker's image manifest V2, schema 2.

use std::collections::BTreeMap;

use hull_types::{Digest, Platform};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Media types.
pub mod media {
    /// docker's manifest of one image.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// docker's list of manifests.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// OCI's manifest of one image.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI's list of manifests.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI's image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A gzipped layer.
    pub const OCI_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// What a client can read.
    pub(crate) const ACCEPTED: [&str; 4] = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];
}

/// Manifests and indexes larger than this are refused.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;
/// No root file system can stand on more.
const MAX_LAYERS: usize = 500;
const MAX_ENTRIES: usize = 1000;

/// What a manifest says of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Where else it could be had: hull does not go there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// One line of an index.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// The manifest.
    #[serde(flatten)]
    pub manifest: Descriptor,
    /// For which platform.
    #[serde(default)]
    pub platform: Option<PlatformText>,
    /// Remarks.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A platform as an index spells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PlatformText {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// A list of manifests.
#[derive(Clone, Debug)]
pub struct Index {
    /// Its lines.
    pub entries: Vec<Entry>,
}

/// The manifest of one image.
#[derive(Clone, Debug)]
pub struct ImageManifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
}

/// Either.
#[derive(Clone, Debug)]
pub enum Manifest {
    /// Several images.
    Index(Index),
    /// One image.
    Image(ImageManifest),
}

/// A document as it came.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// What the registry says it is.
    pub media_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<Vec<Entry>>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// What the document says. A document that is an index and a manifest at once, or that calls itself
    /// something else than the registry does, is refused: readers would disagree on what it is.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(&self, registry: &str) -> Result<Manifest> {
        let wrong = |why: &str| Error::malformed(registry, "the manifest", why);
        if !self.bytes.trim_ascii_start().starts_with(b"{") {
            return Err(wrong("it is no JSON object"));
        }
        let raw: Raw = serde_json::from_slice(&self.bytes).map_err(|error| wrong(&error.to_string()))?;
        if raw.schema_version != 2 || raw.fs_layers.is_some() {
            return Err(wrong("it is of schema version 1 (or none), which is obsolete and not supported"));
        }
        let header = self.media_type.split(';').next().unwrap_or_default().trim();
        let inner = raw.media_type.as_deref().unwrap_or_default();
        if !inner.is_empty() && media::ACCEPTED.contains(&header) && inner != header {
            return Err(wrong("it calls itself something else than the registry does"));
        }
        let kind = if inner.is_empty() { header } else { inner };
        let says_index = matches!(kind, media::OCI_INDEX | media::DOCKER_LIST);
        match (raw.manifests, raw.config, raw.layers) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(wrong("it is an index and a manifest at once")),
            (Some(entries), None, None) if says_index || !media::ACCEPTED.contains(&kind) => {
                if entries.len() > MAX_ENTRIES {
                    return Err(wrong("it lists too many manifests"));
                }
                Ok(Manifest::Index(Index { entries }))
            }
            (None, Some(config), Some(layers)) if !says_index => {
                if layers.len() > MAX_LAYERS {
                    return Err(wrong("it has too many layers"));
                }
                if config.size > MAX_DOCUMENT as u64 {
                    return Err(wrong("its configuration is larger than 4 MiB"));
                }
                if layers.iter().chain([&config]).any(|of| i64::try_from(of.size).is_err()) {
                    return Err(wrong("a size in it is out of range"));
                }
                Ok(Manifest::Image(ImageManifest { config, layers }))
            }
            _ => Err(wrong("it is neither an index nor an image manifest")),
        }
    }
}

impl Entry {
    /// The platform; `None` if the index does not say.
    pub fn platform(&self) -> Option<Platform> {
        let text = self.platform.as_ref()?;
        Some(Platform::new(&text.os, &text.architecture, text.variant.as_deref()))
    }
}

impl Index {
    /// The entry for a platform: the nearest variant that runs there, the first among equals; what does not
    /// say its platform fits only where nothing else is.
    ///
    /// # Errors
    /// [`Error::Platform`] lists what there is.
    pub fn choose(&self, wanted: &Platform) -> Result<&Entry> {
        let mut best: Option<(&Entry, Platform)> = None;
        for entry in &self.entries {
            let Some(platform) = entry.platform().filter(|platform| wanted.runs(platform)) else { continue };
            let better = match &best {
                None => true,
                Some((_, found)) if *found == *wanted => false,
                Some((_, found)) => {
                    platform == *wanted || (wanted.variant.is_some() && platform.variant > found.variant)
                }
            };
            if better {
                best = Some((entry, platform));
            }
        }
        let unnamed = || self.entries.first().filter(|entry| self.entries.len() == 1 && entry.platform.is_none());
        best.map(|(entry, _)| entry)
            .or_else(unnamed)
            .ok_or_else(|| Error::Platform { wanted: wanted.to_string(), found: self.platforms() })
    }

    fn platforms(&self) -> String {
        let known = self.entries.iter().filter_map(Entry::platform).filter(|platform| platform.os != "unknown");
        let mut names: Vec<String> = known.map(|platform| platform.to_string()).collect();
        names.truncate(20);
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

#[cfg(test)]
mod tests;
