//! Images: responses of `/images`, and the progress messages of load and import.

use std::collections::BTreeMap;

use hull_types::Timestamp;

use crate::config::HealthConfig;
use crate::decode::{Empty, words};
use crate::macros::wire;

wire! {
    /// One image of `GET /images/json`.
    struct ImageSummary {
        id: String,
        parent_id: String,
        repo_tags: Vec<String>,
        repo_digests: Vec<String>,
        created: i64,
        size: i64,
        shared_size: i64,
        labels: BTreeMap<String, String>,
        containers: i64,
    }

    /// `GET /images/{name}/json`.
    struct ImageInspect {
        id: String,
        repo_tags: Vec<String>,
        repo_digests: Vec<String>,
        parent: String,
        comment: String,
        omit created: Option<Timestamp>,
        docker_version: String,
        author: String,
        config: Option<ImageConfig>,
        architecture: String,
        omit variant: String,
        os: String,
        omit os_version: String,
        size: i64,
        graph_driver: GraphDriver,
        #[serde(rename = "RootFS")] root_fs: RootFs,
        metadata: ImageMetadata,
        omit identity: Option<Identity>,
    }

    /// Where an image came from, from API 1.53 on. Signatures are not looked at.
    struct Identity {
        omit pull: Vec<PullIdentity>,
    }

    /// A repository that has it.
    struct PullIdentity {
        repository: String,
    }

    /// The defaults that an image gives its containers.
    struct ImageConfig {
        omit user: String,
        omit exposed_ports: BTreeMap<String, Empty>,
        omit env: Vec<String>,
        #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")] raw entrypoint: Option<Vec<String>>,
        #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")] raw cmd: Option<Vec<String>>,
        omit healthcheck: Option<HealthConfig>,
        omit args_escaped: bool,
        omit volumes: BTreeMap<String, Empty>,
        omit working_dir: String,
        omit labels: BTreeMap<String, String>,
        omit stop_signal: String,
        omit on_build: Vec<String>,
        omit shell: Vec<String>,
    }

    /// Where the driver keeps the layers.
    struct GraphDriver {
        null data: BTreeMap<String, String>,
        name: String,
    }

    /// The layers by diffID.
    struct RootFs {
        #[serde(rename = "Type")] kind: String,
        omit layers: Vec<String>,
    }

    /// What is known locally only.
    struct ImageMetadata {
        last_tag_time: Timestamp,
    }

    /// One step of an image's history.
    struct HistoryItem {
        id: String,
        created: i64,
        created_by: String,
        null tags: Vec<String>,
        size: i64,
        comment: String,
    }

    /// One effect of removing an image: exactly one member is set.
    struct ImageDeleteItem {
        omit untagged: String,
        omit deleted: String,
    }

    /// `POST /images/prune`.
    struct ImagesPruneReport {
        null images_deleted: Vec<ImageDeleteItem>,
        space_reclaimed: u64,
    }

    /// `POST /images/check`, which is hull's own.
    struct ImagesCheckReport {
        blobs: usize,
        layers: usize,
        broken: Vec<BrokenItem>,
        restored: Vec<String>,
        set_aside: Vec<String>,
    }

    /// A blob or a layer that is not what it should be.
    struct BrokenItem {
        kind: String,
        digest: String,
        why: String,
        images: Vec<String>,
        repaired: bool,
    }

    /// One message of a progress stream. Its members are in camel case.
    #[serde(rename_all = "camelCase")]
    struct JsonMessage {
        omit stream: String,
        omit status: String,
        omit id: String,
        omit progress: String,
        omit progress_detail: Option<Progress>,
        omit error_detail: Option<JsonError>,
        omit error: String,
        omit aux: Option<serde_json::Value>,
    }

    /// How far a step is.
    #[serde(rename_all = "lowercase")]
    struct Progress {
        omit current: i64,
        omit total: i64,
    }

    /// The error that ends a progress stream.
    #[serde(rename_all = "lowercase")]
    struct JsonError {
        omit code: i64,
        message: String,
    }
}
