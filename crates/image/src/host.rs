//! `hull/host`: this machine's own root file system as an image.

use std::sync::Arc;

use hull_types::{Digest, ImageRef, Platform, Timestamp};

use crate::{HOST_IMAGE, History, Image, ImageConfig, RootFs, RunConfig, Source};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The built-in image. Its id depends on the configuration alone, so it is the same on every machine
/// of an architecture.
pub(crate) fn image() -> Image {
    let platform = Platform::host();
    let comment = "this machine's own root file system, read-only below a throwaway layer".to_owned();
    let config = ImageConfig {
        architecture: platform.architecture,
        variant: platform.variant.unwrap_or_default(),
        os: platform.os,
        comment: comment.clone(),
        config: RunConfig {
            env: vec![PATH.to_owned()],
            cmd: vec![shell().to_owned()],
            working_dir: "/".to_owned(),
            ..RunConfig::default()
        },
        rootfs: RootFs::default(),
        history: vec![History { created_by: HOST_IMAGE.to_owned(), comment, empty_layer: true, ..History::default() }],
        ..ImageConfig::default()
    };
    Image {
        id: Digest::of(&serde_json::to_vec(&config).unwrap_or_default()),
        config: Arc::new(config),
        source: Source::Host,
        tags: vec![format!("{HOST_IMAGE}:latest")],
        repo_digests: Vec::new(),
        size: 0,
        last_tagged: Timestamp::NEVER,
    }
}

fn shell() -> &'static str {
    if std::path::Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }
}

/// Whether a text means the built-in image: its name, its id, or at least 12 digits of it.
pub(crate) fn is_meant(host: &Image, text: &str) -> bool {
    let named = text.parse::<ImageRef>().is_ok_and(|name| {
        name.familiar_name() == HOST_IMAGE && name.tag().is_none_or(|tag| tag == "latest") && name.digest().is_none()
    });
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    named || (hex.len() >= 12 && host.id.hex().starts_with(hex))
}
