//! What no container owns any more is removed: exit records, cgroups, root file systems, log
//! directories, descriptors in the keeper.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use hull_launch::keeper::ExitRecord;

use crate::core::{Core, blocking};
use crate::images;
use crate::keeper::Listing;

/// Every exit record that can be read, by key. Others are set aside.
pub(super) fn exit_records(core: &Core) -> HashMap<String, ExitRecord> {
    let mut records = HashMap::new();
    let Ok(entries) = std::fs::read_dir(core.facts.run.join("exits")) else { return records };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let read = std::fs::read(entry.path()).map_err(|e| e.to_string());
        let parsed = read.and_then(|bytes| serde_json::from_slice::<ExitRecord>(&bytes).map_err(|e| e.to_string()));
        match parsed {
            Ok(record) => {
                // ORDER: a hidden one is whole, but its keeper was killed before it was renamed.
                if name != record.key {
                    let _ = std::fs::rename(entry.path(), core.exit_record(&record.key));
                }
                records.insert(record.key.clone(), record);
            }
            // Half-written by a keeper that was killed.
            Err(_) if name.starts_with('.') => _ = std::fs::remove_file(entry.path()),
            Err(why) => {
                let aside = damaged_exits(core);
                tracing::error!(path = %entry.path().display(), aside = %aside.display(), %why, "unreadable exit record set aside");
                let moved =
                    std::fs::create_dir_all(&aside).and_then(|()| std::fs::rename(entry.path(), aside.join(&name)));
                if let Err(error) = moved {
                    tracing::error!(path = %entry.path().display(), %error, "not set aside");
                }
            }
        }
    }
    records
}

/// Where exit records lie that cannot be read.
pub(super) fn damaged_exits(core: &Core) -> PathBuf {
    core.facts.run.join("exits.damaged")
}

/// Sweeps what is of this boot. Each part fails alone: what stays behind is named and does not stop the engine.
pub(super) fn sweep(core: &Core, listing: &Listing, unowned: &HashMap<String, ExitRecord>, owned: &BTreeSet<String>) {
    for key in unowned.keys() {
        let _ = std::fs::remove_file(core.exit_record(key));
    }
    for key in listing.held.keys().filter(|key| !owned.contains(*key)) {
        core.keeper.drop_held(key, None);
    }
    sweep_cgroups(core, owned, listing);
}

/// Sweeps the files of nobody, when it is known whose they all are.
pub(super) fn sweep_files(core: &Core, owned: &BTreeSet<String>) {
    if let Err(error) = blocking(|| core.parts.snapshots.recover(owned)) {
        tracing::warn!(%error, "root file systems not swept");
    }
    if let Err(error) = blocking(|| core.images.collect(&images::uses(core))) {
        tracing::warn!(%error, "layers of images not swept");
    }
    images::sweep(core);
    sweep_directories(core, owned);
    sweep_volumes(core);
}

/// Anonymous volumes that no container mounts: of a create or a removal that was cut short.
pub(super) fn orphaned_volumes(core: &Core) -> hull_volume::Result<Vec<String>> {
    let views: Vec<_> = core.registry.all().iter().map(|container| container.view()).collect();
    let is_used = |volume: &str| views.iter().any(|view| view.definition.spec.mounts_volume(volume));
    core.parts.volumes.orphans(is_used)
}

fn sweep_volumes(core: &Core) {
    let volumes = &core.parts.volumes;
    let swept = orphaned_volumes(core).and_then(|names| names.iter().try_for_each(|name| volumes.remove(name)));
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
        match cgroup.pids() {
            // Processes without a record: of a row that was set aside. They are not ours to kill.
            Ok(pids) if !pids.is_empty() && !owned.contains(id) => {
                tracing::warn!(%id, pids = pids.len(), "processes in a cgroup that no container owns");
            }
            // Of a start that was cut short with its keeper: nobody was told that it runs.
            Ok(pids) if !pids.is_empty() => {
                tracing::warn!(%id, pids = pids.len(), "processes of a start that did not come about are ended");
                if let Err(error) = blocking(|| cgroup.kill()) {
                    tracing::warn!(%id, %error, "not ended");
                }
                remove(&cgroup, id);
            }
            _ => remove(&cgroup, id),
        }
    }
}

fn remove(cgroup: &hull_cgroup::Cgroup, id: &str) {
    if let Err(error) = blocking(|| cgroup.remove()) {
        tracing::warn!(%id, %error, "cgroup not swept");
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
