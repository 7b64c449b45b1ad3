//! Volumes as objects of their own: what is there, who uses it, and what goes.
//!
//! Who uses a volume is what the containers' records say; it is stored nowhere else.

pub(crate) mod mounts;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hull_launch::spec::Spec;
use hull_records::Db;
use hull_types::{ContainerId, Fault, Kind};
use hull_volume::{NewVolume, Volume, Volumes};
use hull_wire as wire;

use crate::core::{Core, blocking};
use crate::options::Told;
use crate::prune::labels_match;

/// docker's mark of a volume without a name of its own.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// How long volumes wait to be synced: the next ones may come at once, and the disk is theirs.
const QUIET: Duration = Duration::from_secs(2);

/// All volumes beneath the root. What cannot be kept or read of what was promised is named.
pub(crate) fn open(root: &Path, durable: Db) -> Result<Volumes, Fault> {
    let (volumes, failures, unread) = blocking(|| Volumes::open(root, durable))?;
    for error in failures {
        tracing::error!(%error, "a volume that was acknowledged could not be made again");
    }
    for aside in unread {
        tracing::error!(table = %aside.table, key = %aside.key, why = %aside.why, "unreadable record set aside");
    }
    Ok(volumes)
}

/// Syncs, behind the answer, what was promised until then.
pub(crate) fn settle_soon(core: &Core) {
    let volumes = Arc::clone(&core.parts.volumes);
    if !volumes.has_promises() || core.settling.swap(true, Ordering::AcqRel) {
        return;
    }
    let settling = Arc::clone(&core.settling);
    core.runtime.spawn(async move {
        tokio::time::sleep(QUIET).await;
        settling.store(false, Ordering::Release);
        let settled = tokio::task::spawn_blocking(move || volumes.settle()).await;
        if let Ok(Err(error)) = settled {
            tracing::warn!(%error, "volumes not synced: the records say what there is until the next try");
        }
    });
}

/// `GET /volumes`.
pub(crate) fn list(core: &Core, filters: &wire::Filters) -> Result<wire::VolumeList, Fault> {
    filters.check(&["dangling", "driver", "label", "name"])?;
    let dangling = match filters.get("dangling") {
        [] => None,
        [word] if matches!(word.as_str(), "1" | "true") => Some(true),
        [word] if matches!(word.as_str(), "0" | "false") => Some(false),
        words => {
            let shown: String = words.join(" ").chars().take(64).flat_map(char::escape_debug).collect();
            return Err(Fault::invalid(format!("invalid filter 'dangling=[{shown}]'")));
        }
    };
    let (volumes, unreadable) = blocking(|| core.parts.volumes.list())?;
    let named = |volume: &Volume| {
        let names = filters.get("name");
        names.is_empty() || names.iter().any(|name| volume.name.contains(name.as_str()))
    };
    let wanted = volumes.iter().filter(|volume| {
        named(volume)
            && filters.matches("driver", "local")
            && dangling.is_none_or(|dangling| dangling == users(core, &volume.name).is_empty())
    });
    let documents = wanted.map(|volume| document(core, volume));
    Ok(wire::VolumeList {
        volumes: documents.filter(|volume| filters.matches_labels("label", &volume.labels)).collect(),
        warnings: unreadable.iter().map(ToString::to_string).collect(),
    })
}

/// `GET /volumes/{name}`.
pub(crate) fn inspect(core: &Core, name: &str) -> Result<wire::Volume, Fault> {
    Ok(document(core, &blocking(|| core.parts.volumes.inspect(name)).map_err(missing(name))?))
}

/// COMPAT(docker 28): a name that no volume can have is one that is not there.
fn missing(name: &str) -> impl Fn(hull_volume::Error) -> Fault + '_ {
    move |error| match error {
        hull_volume::Error::Name(_) => hull_volume::Error::Missing(name.to_owned()).into(),
        other => other.into(),
    }
}

/// `POST /volumes/create`: one that is there already is the answer.
pub(crate) fn create(core: &Core, request: &wire::VolumeCreateRequest) -> Result<wire::Volume, Fault> {
    if request.cluster_volume_spec.is_some() {
        return Err(Fault::unsupported("cluster volumes are not supported: `ClusterVolumeSpec` must be absent"));
    }
    let named = !request.name.is_empty();
    let name = if named { request.name.clone() } else { ContainerId::new_random().to_string() };
    let refuse = |fault: Fault| Fault { summary: format!("create {name}: {}", fault.summary), ..fault };
    if !matches!(request.driver.as_str(), "" | "local") {
        let driver: String = request.driver.chars().take(64).flat_map(char::escape_debug).collect();
        let text = format!("error looking up volume plugin {driver}: plugin \"{driver}\" not found");
        return Err(refuse(Fault::not_found(text)));
    }
    let mut labels = request.labels.clone();
    if !named {
        labels.insert(ANONYMOUS.to_owned(), String::new());
    }
    let wish =
        NewVolume { name: &name, anonymous: false, labels: &labels, options: &request.driver_opts, lasting: true };
    if blocking(|| core.parts.volumes.create(&wish)).map_err(|error| refuse(error.into()))? {
        core.events.volume("create", &name, Default::default());
        settle_soon(core);
    }
    inspect(core, &name)
}

/// `DELETE /volumes/{name}`.
pub(crate) fn remove(core: &Core, name: &str, force: bool) -> Result<(), Fault> {
    let gone = blocking(|| core.parts.volumes.remove_unless(name, || !users(core, name).is_empty()));
    match gone.map_err(missing(name)) {
        Ok(true) => {
            core.events.volume("destroy", name, Default::default());
            Ok(())
        }
        Ok(false) => {
            let users = users(core, name).join(", ");
            Err(Fault::conflict(format!("remove {name}: volume is in use - [{users}]")))
        }
        Err(fault) if force && fault.kind == Kind::NotFound => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// `POST /volumes/prune`: anonymous ones, or `all`, that no container uses.
pub(crate) fn prune(
    core: &Core,
    filters: &wire::Filters,
    all: bool,
    told: &Told,
) -> Result<wire::VolumesPruneReport, Fault> {
    filters.check(&["all", "label", "label!"])?;
    let all = match filters.get("all").first().map(String::as_str) {
        None => all,
        Some("1" | "true") => true,
        Some("0" | "false") => false,
        Some(_) => return Err(Fault::invalid("invalid filter 'all': it is true or false")),
    };
    let mut report = wire::VolumesPruneReport::default();
    for volume in blocking(|| core.parts.volumes.list())?.0 {
        let document = document(core, &volume);
        if !all && !document.labels.contains_key(ANONYMOUS) || !labels_match(filters, &document.labels) {
            continue;
        }
        let name = volume.name.as_str();
        let bytes = size(core, &volume);
        if blocking(|| core.parts.volumes.remove_unless(name, || !users(core, name).is_empty()))? {
            core.events.volume("destroy", name, Default::default());
            told(name, "deleted");
            report.volumes_deleted.push(volume.name);
            report.space_reclaimed += bytes;
        }
    }
    Ok(report)
}

/// For `GET /system/df`.
pub(crate) fn usage(core: &Core) -> Result<Vec<wire::Volume>, Fault> {
    let (volumes, _) = blocking(|| core.parts.volumes.list())?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let with_usage = volumes.iter().map(|volume| {
        let ref_count = i64::try_from(users(core, &volume.name).len()).unwrap_or(i64::MAX);
        let usage = wire::VolumeUsage { size: number(size(core, volume)), ref_count };
        wire::Volume { usage_data: Some(usage), ..document(core, volume) }
    });
    Ok(with_usage.collect())
}

/// What its content takes; of one that shows another directory nothing is its own.
fn size(core: &Core, volume: &Volume) -> u64 {
    if !volume.options.is_empty() {
        return 0;
    }
    blocking(|| {
        let data = core.parts.volumes.data(&volume.name).ok();
        data.and_then(|data| hull_snapshot::bytes_beneath(&data).ok()).unwrap_or(0)
    })
}

/// Unmounts the file systems of those of a container's volumes that no other one that runs uses.
pub(crate) fn release(core: &Core, spec: &Spec, except: Option<ContainerId>) {
    let volumes = &core.parts.volumes;
    for name in volumes.mounted().iter().filter(|name| spec.mounts_volume(name)) {
        blocking(|| volumes.release_unless(name, || is_in_use(core, name, except)));
    }
}

/// Whether a container runs, or is about to, that mounts it.
fn is_in_use(core: &Core, name: &str, except: Option<ContainerId>) -> bool {
    core.registry.all().iter().filter(|container| Some(container.id) != except).any(|container| {
        let view = container.view();
        view.state.phase.is_live() && view.definition.spec.mounts_volume(name)
    })
}

/// The ids of the containers that mount it.
fn users(core: &Core, name: &str) -> Vec<String> {
    let all = core.registry.all();
    let using = all.iter().filter(|container| container.view().definition.spec.mounts_volume(name));
    using.map(|container| container.id.to_string()).collect()
}

fn document(core: &Core, volume: &Volume) -> wire::Volume {
    let mut labels = volume.labels.clone();
    if volume.anonymous {
        labels.insert(ANONYMOUS.to_owned(), String::new());
    }
    let created = hull_types::Timestamp::from_secs(volume.created.secs());
    wire::Volume {
        created_at: created.to_string(),
        driver: "local".into(),
        labels,
        mountpoint: core.parts.volumes.mountpoint(&volume.name).to_string_lossy().into_owned(),
        name: volume.name.clone(),
        options: volume.options.clone(),
        scope: "local".into(),
        usage_data: None,
    }
}
