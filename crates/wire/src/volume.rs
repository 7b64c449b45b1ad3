//! Volumes: requests and responses of `/volumes`.

use std::collections::BTreeMap;

use crate::macros::wire;

wire! {
    /// A volume. `CreatedAt` has whole seconds.
    struct Volume {
        created_at: String,
        driver: String,
        null labels: BTreeMap<String, String>,
        mountpoint: String,
        name: String,
        null options: BTreeMap<String, String>,
        scope: String,
        omit usage_data: Option<VolumeUsage>,
    }

    /// What a volume takes, and how many containers use it.
    struct VolumeUsage {
        size: i64,
        ref_count: i64,
    }

    /// `GET /volumes`.
    struct VolumeList {
        volumes: Vec<Volume>,
        null warnings: Vec<String>,
    }

    /// `POST /volumes/create`.
    struct VolumeCreateRequest {
        name: String,
        driver: String,
        driver_opts: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        omit cluster_volume_spec: Option<serde_json::Value>,
    }

    /// `POST /volumes/prune`.
    struct VolumesPruneReport {
        volumes_deleted: Vec<String>,
        space_reclaimed: u64,
    }
}
