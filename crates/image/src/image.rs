//! What callers learn about an image.

use std::sync::Arc;

use hull_types::{Digest, Timestamp};

use crate::config::ImageConfig;

/// The text that names the built-in image.
pub const HOST_IMAGE: &str = "hull/host";

/// An image, resolved. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of its configuration.
    pub id: Digest,
    /// Its configuration.
    pub config: Arc<ImageConfig>,
    /// Where its files come from.
    pub source: Source,
    /// `name:tag` in familiar form, sorted.
    pub tags: Vec<String>,
    /// `name@sha256:…` in familiar form, sorted.
    pub repo_digests: Vec<String>,
    /// Bytes of its unpacked layers.
    pub size: u64,
    /// When it was last given a name; never, if it has none.
    pub last_tagged: Timestamp,
}

impl Image {
    /// Whether this is the built-in `hull/host`.
    pub fn is_host(&self) -> bool {
        self.source == Source::Host
    }

    /// Chain ids of its layers, bottom first; empty for `hull/host`.
    pub fn layers(&self) -> &[Digest] {
        match &self.source {
            Source::Layers(chain) => chain,
            Source::Host => &[],
        }
    }

    /// The base that `hull_snapshot` prepares a root file system on.
    pub fn base(&self) -> hull_snapshot::Base {
        match &self.source {
            Source::Layers(chain) => hull_snapshot::Base::Layers(chain.clone()),
            Source::Host => hull_snapshot::Base::Host,
        }
    }
}

/// Where an image's files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Unpacked layers by chain id, bottom first.
    Layers(Vec<Digest>),
    /// This machine's own root file system.
    Host,
}

/// One line of `history`, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryLine {
    /// The image's id on its newest line, `None` (docker's `<missing>`) on the others.
    pub id: Option<Digest>,
    /// When the step was made.
    pub created: Timestamp,
    /// The instruction.
    pub created_by: String,
    /// Bytes of the step's unpacked layer.
    pub size: u64,
    /// The step's comment.
    pub comment: String,
    /// `name:tag` of the image on its newest line.
    pub tags: Vec<String>,
}

/// One line of what a removal did, in docker's words and order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name went: `busybox:latest` or `busybox@sha256:…`.
    Untagged(String),
    /// An image or a layer went.
    Deleted(Digest),
}

/// What `load` brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub id: Digest,
    /// `name:tag` given to it by the archive, in familiar form.
    pub tags: Vec<String>,
}
