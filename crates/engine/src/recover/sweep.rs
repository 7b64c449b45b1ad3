//! What no container owns any more is removed: exit records, cgroups, root file systems, log
//! directories, descriptors in the keeper.

use std::collections::{BTreeSet, HashMap};

use hull_launch::keeper::ExitRecord;

use crate::core::{Core, blocking};
use crate::images;
use crate::keeper::Listing;

/// Every exit record that can be read, by key. Others are removed.
pub(super) fn exit_records(core: &Core) -> HashMap<String, ExitRecord> {
    let mut records = HashMap::new();
    let Ok(entries) = std::fs::read_dir(core.facts.run.join("exits")) else { return records };
    for entry in entries.flatten() {
        let read = std::fs::read(entry.path()).map_err(|e| e.to_string());
        let parsed = read.and_then(|bytes| serde_json::from_slice::<ExitRecord>(&bytes).map_err(|e| e.to_string()));
        match parsed {
            Ok(record) => {
                records.insert(record.key.clone(), record);
            }
            Err(why) => {
                tracing::error!(path = %entry.path().display(), %why, "unreadable exit record removed");
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
    records
}

/// Sweeps. Each part fails alone: what stays behind is named and does not stop the engine. Unless the
/// records are `complete`, files stay: they may belong to a container whose record was set aside.
pub(super) fn sweep(core: &Core, listing: &Listing, unowned: &HashMap<String, ExitRecord>, complete: bool) {
    let owned: BTreeSet<String> = core.registry.all().iter().map(|c| c.id.to_string()).collect();
    for key in unowned.keys() {
        let _ = std::fs::remove_file(core.exit_record(key));
    }
    for key in listing.held.keys().filter(|key| !owned.contains(*key)) {
        core.keeper.drop_held(key, None);
    }
    sweep_cgroups(core, &owned, listing);
    if !complete {
        return;
    }
    if let Err(error) = blocking(|| core.parts.snapshots.recover(&owned)) {
        tracing::warn!(%error, "root file systems not swept");
    }
    if let Err(error) = blocking(|| core.images.collect(&images::uses(core))) {
        tracing::warn!(%error, "layers of images not swept");
    }
    sweep_directories(core, &owned);
    sweep_volumes(core);
}

/// Those of a create or a removal that was cut short.
fn sweep_volumes(core: &Core) {
    let views: Vec<_> = core.registry.all().iter().map(|container| container.view()).collect();
    let is_used = |volume: &str| views.iter().any(|view| view.definition.spec.mounts_volume(volume));
    let volumes = &core.parts.volumes;
    let swept = volumes.orphans(is_used).and_then(|names| names.iter().try_for_each(|name| volumes.remove(name)));
    if let Err(error) = swept {
        tracing::warn!(%error, "volumes not swept");
    }
}

/// Those of nobody, and those that a start or an end which was cut short left without processes.
fn sweep_cgroups(core: &Core, owned: &BTreeSet<String>, listing: &Listing) {
    let cgroups = &core.parts.cgroups;
    let parent = &core.facts.instance;
    if let Err(error) = blocking(|| cgroups.sweep_spares(parent)) {
        tracing::warn!(%error, "spare cgroups not swept");
    }
    let found = match cgroups.list(parent) {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "cgroups not swept");
            return;
        }
    };
    // Of a run that is still to be accounted for, the container's task looks for lack of memory first.
    let live = |id: &str| {
        let container = id.parse().ok().and_then(|id| core.registry.get(&id));
        container.is_some_and(|container| container.view().state.phase.is_live())
    };
    let child = |id: &str| listing.children.iter().any(|(key, ..)| key == id);
    for id in found.iter().filter(|id| !child(id) && !live(id)) {
        let Ok(cgroup) = cgroups.open(parent, id) else { continue };
        // Processes without a record: of a row that was set aside. They are not ours to kill.
        match cgroup.pids() {
            Ok(pids) if !pids.is_empty() && owned.contains(id) => {}
            Ok(pids) if !pids.is_empty() => {
                tracing::warn!(%id, pids = pids.len(), "processes in a cgroup that no container owns");
            }
            _ => {
                if let Err(error) = cgroup.remove() {
                    tracing::warn!(%id, %error, "cgroup not swept");
                }
            }
        }
    }
}

fn sweep_directories(core: &Core, owned: &BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(core.facts.root.join("containers")) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !owned.contains(&name)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "not swept");
        }
    }
}
