//! The settings: what holds now, and what shall hold from now on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Engine;
use crate::Settings;

impl Engine {
    /// What holds now.
    pub fn settings(&self) -> Arc<Settings> {
        self.core.settings.now()
    }

    /// SIGHUP: what shall hold from now on, of what may change while an engine runs. New containers get it; those
    /// that are there keep theirs.
    pub fn reload(&self, settings: Settings) {
        let core = &self.core;
        let former = core.settings.now();
        core.transfers.reload(settings.registries.as_ref());
        // What is read once, at the start, stays.
        let networks = former.networks.clone();
        let settings = Settings { networks, experimental: former.experimental, ..settings };
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let list = |items: &[String]| serde_json::to_string(items).unwrap_or_default();
        let registries = settings.registries.clone().unwrap_or_default();
        let attributes = BTreeMap::from([
            ("name".to_owned(), name),
            ("debug".to_owned(), settings.debug.to_string()),
            ("labels".to_owned(), list(&settings.labels)),
            ("registry-mirrors".to_owned(), list(&registries.mirrors)),
            ("insecure-registries".to_owned(), list(&registries.insecure)),
            ("live-restore".to_owned(), settings.stop_containers.is_none().to_string()),
            ("default-runtime".to_owned(), "hull".to_owned()),
        ]);
        core.settings.replace(settings);
        core.events.daemon("reload", &core.facts.instance, attributes);
    }
}
