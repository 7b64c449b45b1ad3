//! `/system/df`, and what pruning and comparing answer.

use hull_types::Timestamp;

use crate::container::ContainerSummary;
use crate::image::ImageSummary;
use crate::macros::wire;
use crate::volume::Volume;

wire! {
    /// `GET /system/df` up to API 1.52. `BlobsSize` and `ImagesReclaimable` are hull's own: what the layers' archives take,
    /// and what removing every image that no container uses would give back.
    struct DiskUsage {
        layers_size: i64,
        blobs_size: i64,
        images_reclaimable: i64,
        images: Vec<ImageSummary>,
        containers: Vec<ContainerSummary>,
        volumes: Vec<Volume>,
        build_cache: Vec<serde_json::Value>,
    }

    /// The same of one kind of object, from API 1.52 on. The items are there only if they were asked for.
    struct Usage {
        active_count: i64,
        total_count: i64,
        reclaimable: i64,
        total_size: i64,
        omit items: Option<Vec<serde_json::Value>>,
    }

    /// `POST /containers/prune`.
    struct ContainersPruneReport {
        null containers_deleted: Vec<String>,
        space_reclaimed: u64,
    }

    /// `X-Docker-Container-Path-Stat`: what is at a path. `Mode` is Go's `FileMode`; `LinkTarget` is where a link
    /// leads, as an absolute path of the container.
    #[serde(rename_all = "camelCase")]
    struct PathStat {
        name: String,
        size: i64,
        mode: u32,
        mtime: Timestamp,
        link_target: String,
    }

    /// One path of `GET /containers/{id}/changes`: 0 modified, 1 added, 2 deleted.
    struct FilesystemChange {
        path: String,
        kind: i64,
    }
}
