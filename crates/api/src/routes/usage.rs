//! `/system/df`: by kind of object from API 1.52 on, the lists as a whole before.

use hull_engine::{Engine, UsageKinds};
use hull_types::Fault;
use hull_wire::{ContainerSummary, DiskUsage, Usage};
use serde::Serialize;
use serde_json::{Map, Value};

use super::shape::encoded;
use super::{Answer, Call, json};
use crate::query::wrong;

/// `GET /system/df`.
pub(super) fn usage(engine: &Engine, call: &Call) -> Answer {
    let (query, version) = (&call.target.query, call.target.version);
    let kinds = if version >= (1, 42) { kinds(&query.all("type"))? } else { UsageKinds::ALL };
    let usage = engine.disk_usage(kinds)?;
    if version < (1, 52) {
        return json(200, &usage);
    }
    let verbose = query.flag("verbose");
    let mut document = by_kind(&usage, kinds, verbose)?;
    if version == (1, 52) && !verbose {
        // Both, for a version: clients had to have the time to change.
        document.extend(encoded(&usage)?.as_object().cloned().unwrap_or_default());
    }
    json(200, &document)
}

fn kinds(words: &[String]) -> Result<UsageKinds, Fault> {
    if words.is_empty() {
        return Ok(UsageKinds::ALL);
    }
    let mut kinds = UsageKinds::NONE;
    for word in words {
        match word.as_str() {
            "image" => kinds.images = true,
            "container" => kinds.containers = true,
            "volume" => kinds.volumes = true,
            "build-cache" => kinds.build_cache = true,
            other => return Err(wrong("type", other, "it must be container, image, volume or build-cache")),
        }
    }
    Ok(kinds)
}

fn by_kind(usage: &DiskUsage, kinds: UsageKinds, verbose: bool) -> Result<Map<String, Value>, Fault> {
    let mut document = Map::new();
    let mut put = |name: &str, usage: Usage| encoded(&usage).map(|value| drop(document.insert(name.to_owned(), value)));
    if kinds.images {
        let sums = Usage {
            active_count: count(usage.images.iter().filter(|image| image.containers > 0)),
            total_count: count(usage.images.iter()),
            reclaimable: usage.images_reclaimable,
            total_size: usage.layers_size + usage.blobs_size,
            items: items(&usage.images, verbose)?,
        };
        put("ImageUsage", sums)?;
    }
    if kinds.containers {
        let size = |all: &mut dyn Iterator<Item = &ContainerSummary>| all.filter_map(|one| one.size_rw).sum();
        let active = |one: &&ContainerSummary| matches!(one.state.as_str(), "running" | "paused" | "restarting");
        let sums = Usage {
            active_count: count(usage.containers.iter().filter(active)),
            total_count: count(usage.containers.iter()),
            reclaimable: size(&mut usage.containers.iter().filter(|one| !active(one))),
            total_size: size(&mut usage.containers.iter()),
            items: items(&usage.containers, verbose)?,
        };
        put("ContainerUsage", sums)?;
    }
    if kinds.volumes {
        let of = || usage.volumes.iter().filter_map(|volume| volume.usage_data.as_ref());
        let sums = Usage {
            active_count: count(of().filter(|data| data.ref_count > 0)),
            total_count: count(usage.volumes.iter()),
            reclaimable: of().filter(|data| data.ref_count == 0).map(|data| data.size).sum(),
            total_size: of().map(|data| data.size).sum(),
            items: items(&usage.volumes, verbose)?,
        };
        put("VolumeUsage", sums)?;
    }
    if kinds.build_cache {
        put("BuildCacheUsage", Usage { items: items(&usage.build_cache, verbose)?, ..Usage::default() })?;
    }
    Ok(document)
}

fn count<T>(some: impl Iterator<Item = T>) -> i64 {
    i64::try_from(some.count()).unwrap_or(i64::MAX)
}

fn items(list: &[impl Serialize], verbose: bool) -> Result<Option<Vec<Value>>, Fault> {
    if verbose { list.iter().map(encoded).collect::<Result<_, _>>().map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use hull_wire::{ImageSummary, Volume, VolumeUsage};

    use super::*;

    #[test]
    fn objects_are_summed_up_by_kind() {
        let container =
            |state: &str, size| ContainerSummary { state: state.into(), size_rw: Some(size), ..Default::default() };
        let volume =
            |ref_count, size| Volume { usage_data: Some(VolumeUsage { size, ref_count }), ..Default::default() };
        let usage = DiskUsage {
            layers_size: 100,
            images_reclaimable: 40,
            images: vec![ImageSummary { containers: 1, ..Default::default() }, ImageSummary::default()],
            containers: vec![container("running", 3), container("exited", 4)],
            volumes: vec![volume(1, 5), volume(0, 6)],
            ..Default::default()
        };
        let document = Value::Object(by_kind(&usage, UsageKinds::ALL, false).unwrap());
        for (kind, sums) in [
            ("ImageUsage", [1, 2, 40, 100]),
            ("ContainerUsage", [1, 2, 4, 7]),
            ("VolumeUsage", [1, 2, 6, 11]),
            ("BuildCacheUsage", [0, 0, 0, 0]),
        ] {
            let own =
                ["ActiveCount", "TotalCount", "Reclaimable", "TotalSize"].map(|name| document[kind][name].as_i64());
            assert_eq!(own, sums.map(Some), "{kind}");
            assert!(document[kind]["Items"].is_null());
        }
        let volumes = kinds(&["volume".to_owned()]).unwrap();
        let document = Value::Object(by_kind(&usage, volumes, true).unwrap());
        assert_eq!(document["VolumeUsage"]["Items"].as_array().map(Vec::len), Some(2));
        assert!(document["ImageUsage"].is_null() && kinds(&["nonsense".to_owned()]).is_err());
    }
}
