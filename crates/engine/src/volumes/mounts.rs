//! Volumes whose file systems are mounted, across engines: the keeper holds their mount namespaces.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::is_in_use;
use crate::core::{Core, blocking};
use crate::keeper::Listing;

/// What the keeper's key of a volume begins with; no container's id does.
const KEY: &str = "volume:";
/// The name of the one descriptor beneath it.
const NAMESPACE: &str = "mnt";

/// Has the keeper hold what is mounted from now on.
pub(crate) fn report(core: &Arc<Core>) {
    let keeper = Arc::clone(&core.keeper);
    core.parts.volumes.report_mounts_to(move |name, namespace| match namespace {
        Some(namespace) => keeper.hold(&key(name), NAMESPACE, namespace),
        None => keeper.drop_held(&key(name), None),
    });
}

/// Takes over what an earlier engine has mounted.
pub(crate) fn adopt(core: &Core, listing: &mut Listing) {
    let keys: Vec<String> = listing.held.keys().filter(|key| key.starts_with(KEY)).cloned().collect();
    for key in keys {
        let namespace = listing.held.remove(&key).and_then(|mut held| held.remove(NAMESPACE));
        if let Some(namespace) = namespace {
            core.parts.volumes.adopt_mount(&key[KEY.len()..], namespace);
        }
    }
}

/// Unmounts those that nobody uses: of a start or an end that was cut short.
pub(crate) fn sweep(core: &Core) {
    let volumes = &core.parts.volumes;
    for name in volumes.mounted() {
        blocking(|| volumes.release_unless(&name, || is_in_use(core, &name, None)));
    }
}

/// What the next keeper is to hold: key, name, descriptor.
pub(crate) fn legacy(core: &Core) -> Vec<(String, String, OwnedFd)> {
    let volumes = &core.parts.volumes;
    let namespaces =
        volumes.mounted().into_iter().filter_map(|name| Some((key(&name), volumes.mount_namespace(&name)?)));
    namespaces.map(|(key, namespace)| (key, NAMESPACE.to_owned(), namespace)).collect()
}

fn key(name: &str) -> String {
    format!("{KEY}{name}")
}
