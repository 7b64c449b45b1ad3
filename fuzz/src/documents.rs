//! JSON documents: manifests, indexes and image configurations.

use hull_image::ImageConfig;
use hull_registry::{Document, Index, Manifest, media};
use hull_types::{Digest, Platform};

const HEADERS: [&str; 6] =
    [media::OCI_MANIFEST, media::OCI_INDEX, media::DOCKER_MANIFEST, media::DOCKER_LIST, "", "text/plain; charset=x"];
/// What a configuration may at most have, as it is read into memory.
const MAX_CONFIG: u64 = 4 << 20;

/// What a document is does not depend on what the registry calls it.
pub fn manifest(data: &[u8]) {
    let (mut images, mut indexes) = (0, 0);
    for found in readings(data) {
        match found {
            Manifest::Index(_) => indexes += 1,
            Manifest::Image(manifest) => {
                images += 1;
                assert!(manifest.config.size <= MAX_CONFIG, "a configuration of {} bytes", manifest.config.size);
                let sizes = manifest.layers.iter().try_fold(0_i64, |_, layer| i64::try_from(layer.size));
                assert!(sizes.is_ok() && manifest.layers.len() <= 500);
            }
        }
    }
    assert!(images == 0 || indexes == 0, "an index and a manifest at once");
}

/// What is chosen from an index runs on the platform that was asked for.
pub fn index(data: &[u8]) {
    for found in readings(data) {
        if let Manifest::Index(index) = found {
            choose(&index);
        }
    }
}

fn choose(index: &Index) {
    for (architecture, variant) in [("amd64", None), ("arm64", Some("v8")), ("arm", Some("v7")), ("arm", None)] {
        let wanted = Platform::new("linux", architecture, variant);
        let Ok(entry) = index.choose(&wanted) else { continue };
        match entry.platform() {
            Some(platform) => assert!(wanted.runs(&platform), "{platform} for {wanted}"),
            None => assert_eq!(index.entries.len(), 1, "an entry without a platform among others"),
        }
    }
}

fn readings(data: &[u8]) -> Vec<Manifest> {
    let digest = Digest::of(data);
    let document = |header: &str| Document { bytes: data.to_vec(), digest, media_type: header.to_owned() };
    HEADERS.iter().filter_map(|header| document(header).parse("r.example").ok()).collect()
}

/// A configuration is the same after it was written and read.
pub fn config(data: &[u8]) {
    let Ok(found) = serde_json::from_slice::<ImageConfig>(data) else { return };
    let written = serde_json::to_vec(&found).expect("it can be written");
    let again: ImageConfig = serde_json::from_slice(&written).expect("it can be read");
    assert_eq!(again, found);
    let _ = found.platform();
}
