//! Pruning, disk usage and the check of the store.

use std::sync::Arc;

use hull_image::{Image, Removed};
use hull_types::{Fault, Timestamp};
use hull_wire as wire;

use crate::container::Message;
use crate::container::step::Phase;
use crate::core::{Core, blocking};
use crate::images;
use crate::janitor::Job;
use crate::list;
use crate::options::{RemoveOptions, Told, UsageKinds};
use crate::volumes;

/// `POST /images/prune`.
pub(crate) async fn images(
    core: &Arc<Core>,
    filters: &wire::Filters,
    told: Told,
) -> Result<wire::ImagesPruneReport, Fault> {
    filters.check(&["dangling", "label", "label!", "until"])?;
    let all = images::dangling(filters)?.is_some_and(|dangling| !dangling);
    let until = until(filters)?;
    let filters = filters.clone();
    let keep = move |image: &Image| {
        until.is_some_and(|until| images::created_at(image) >= until)
            || !labels_match(&filters, &image.config.config.labels)
    };
    let pruned = {
        let core = Arc::clone(core);
        let told = move |removed: &Removed| match removed {
            Removed::Untagged(name) => told(name, "untagged"),
            Removed::Deleted(id) => told(id.as_str(), "deleted"),
        };
        tokio::task::spawn_blocking(move || core.images.prune_telling(all, keep, || images::uses(&core), told))
    };
    let pruned = pruned.await.map_err(|error| Fault::internal("the prune broke off").cause(error))??;
    images::sweep(core);
    Ok(wire::ImagesPruneReport {
        images_deleted: pruned.removed.into_iter().map(|removed| images::removed(core, removed)).collect(),
        space_reclaimed: pruned.reclaimed,
    })
}

/// `POST /containers/prune`: those that do not run.
pub(crate) async fn containers(
    core: &Arc<Core>,
    filters: &wire::Filters,
    told: Told,
) -> Result<wire::ContainersPruneReport, Fault> {
    filters.check(&["label", "label!", "until"])?;
    let until = until(filters)?;
    let mut report = wire::ContainersPruneReport::default();
    for container in core.registry.all() {
        let view = container.view();
        let definition = &view.definition;
        let stopped = matches!(view.state.phase, Phase::Created | Phase::Exited);
        let young = until.is_some_and(|until| definition.created >= until);
        if !stopped || young || !labels_match(filters, &definition.config.labels) {
            continue;
        }
        let slot = definition.id.to_string();
        let bytes = blocking(|| core.parts.snapshots.usage(&slot)).unwrap_or(0);
        let options = RemoveOptions::default();
        // One that was started meanwhile stays.
        if container.ask(|reply| Message::Remove { options, reply }).await.is_ok() {
            told(&slot, "deleted");
            report.containers_deleted.push(slot);
            report.space_reclaimed += bytes;
        }
    }
    Ok(report)
}

/// `GET /system/df`: what is not asked for is empty.
pub(crate) fn usage(core: &Core, kinds: UsageKinds) -> Result<wire::DiskUsage, Fault> {
    let mut usage = if kinds.images { images_usage(core)? } else { wire::DiskUsage::default() };
    if kinds.containers {
        usage.containers = list::all(core)?;
    }
    if kinds.volumes {
        usage.volumes = volumes::usage(core)?;
    }
    Ok(usage)
}

fn images_usage(core: &Core) -> Result<wire::DiskUsage, Fault> {
    let uses = images::uses(core);
    let usage = blocking(|| core.images.usage(&uses))?;
    let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let documents = usage.images.iter().map(|of| {
        let containers = uses.iter().filter(|used| used.image == of.image.id).count();
        wire::ImageSummary {
            shared_size: number(of.shared),
            ..images::summary(&of.image, i64::try_from(containers).unwrap_or(i64::MAX))
        }
    });
    Ok(wire::DiskUsage {
        layers_size: number(usage.layers),
        blobs_size: number(usage.blobs),
        images_reclaimable: number(usage.reclaimable),
        images: documents.collect(),
        ..Default::default()
    })
}

/// `POST /images/check`.
pub(crate) async fn check(core: &Arc<Core>, repair: bool) -> Result<wire::ImagesCheckReport, Fault> {
    let checked = {
        let images = core.images.clone();
        tokio::task::spawn_blocking(move || images.check(repair))
    };
    let checked = checked.await.map_err(|error| Fault::internal("the check broke off").cause(error))??;
    core.janitor.ask(Job::Sweep);
    let names = |id: &hull_types::Digest| match core.images.get(id) {
        Some(image) if !image.tags.is_empty() => image.tags,
        _ => vec![id.to_string()],
    };
    let texts = |ids: Vec<hull_types::Digest>| ids.iter().map(ToString::to_string).collect();
    Ok(wire::ImagesCheckReport {
        blobs: checked.blobs,
        layers: checked.layers,
        broken: checked
            .broken
            .into_iter()
            .map(|broken| wire::BrokenItem {
                kind: broken.what.to_owned(),
                digest: broken.digest.to_string(),
                why: broken.why,
                images: broken.images.iter().flat_map(names).collect(),
                repaired: broken.repaired,
            })
            .collect(),
        restored: texts(checked.restored),
        set_aside: texts(checked.set_aside),
    })
}

/// The moment before which something must have been made; the newest wins, as docker allows one only.
pub(crate) fn until(filters: &wire::Filters) -> Result<Option<Timestamp>, Fault> {
    match filters.get("until") {
        [] => Ok(None),
        [one] => Ok(Some(moment(one)?)),
        _ => Err(Fault::invalid("more than one until filter specified")),
    }
}

/// A time, or a duration back from now.
fn moment(text: &str) -> Result<Timestamp, Fault> {
    if let Ok(duration) = text.parse::<hull_types::GoDuration>() {
        return Ok(Timestamp::from_nanos(Timestamp::now().nanos().saturating_sub(duration.nanos())));
    }
    let shown: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    let at = text.parse::<Timestamp>().or_else(|_| Timestamp::parse_api(text));
    at.map_err(|_| Fault::invalid(format!("invalid filter 'until={shown}'")).hint("a duration such as 24h, or a time"))
}

/// Every `label` is there and no `label!` is.
pub(crate) fn labels_match(filters: &wire::Filters, labels: &std::collections::BTreeMap<String, String>) -> bool {
    let has = |wanted: &String| match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|own| own == value),
        None => labels.contains_key(wanted),
    };
    filters.matches_labels("label", labels) && !filters.get("label!").iter().any(has)
}
