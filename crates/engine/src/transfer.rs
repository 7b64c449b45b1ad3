//! What goes between here and registries: pull, push, login, search. The registry client is used here only.
//!
//! ```text
//! pull:  manifest ─▶ configuration ─▶ receive ─┬─ layer ◀─ Following ◀─ Download ◀─ registry
//!                                              └─ layer ◀─ Following ◀─ Download      (shared by all pulls)
//! ```
//! A pull whose client goes away ends: nothing of it is visible, and what was downloaded is resumed by the next.

mod ask;
mod download;
mod follow;
mod messages;
mod pull;
mod push;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use hull_registry::{Client, Config, DOCKER_ETC, HULL_ETC};
use hull_types::{Digest, Fault, ImageRef};
use hull_wire as wire;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::settings::Registries;
use download::Downloads;

pub(crate) use ask::{distribution, login, manifest, search};
pub use pull::PullOptions;
pub(crate) use pull::pull;
pub use push::PushOptions;
pub(crate) use push::push;

/// The client and what is on its way.
pub(crate) struct Transfers {
    client: RwLock<Result<Arc<Client>, Fault>>,
    /// How the client calls itself.
    agent: String,
    downloads: Arc<Downloads>,
    /// What may be sent at once; without a bound each push has its own.
    uploads: RwLock<Option<Arc<Semaphore>>>,
    making: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Transfers {
    /// Reads the configuration. What is wrong with it is said when a registry is needed.
    pub fn new(content: hull_content::Store, version: &str, wanted: Option<&Registries>) -> Self {
        let agent = format!("hull/{version}");
        let client = client(&agent, wanted);
        if let Ok(client) = &client
            && let Some(default) = &client.config().default
        {
            hull_types::set_default_registry(default);
        }
        let downloads = Arc::new(Downloads::new(content, wanted.and_then(|wanted| wanted.downloads)));
        let uploads = RwLock::new(bound(wanted.and_then(|wanted| wanted.uploads)));
        Self { client: RwLock::new(client), agent, downloads, uploads, making: Mutex::default() }
    }

    /// Reads the configuration again. What is on its way goes on as it was.
    pub fn reload(&self, wanted: Option<&Registries>) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client(&self.agent, wanted);
        self.downloads.bound(wanted.and_then(|wanted| wanted.downloads));
        let uploads = bound(wanted.and_then(|wanted| wanted.uploads));
        *self.uploads.write().unwrap_or_else(PoisonError::into_inner) = uploads;
    }

    /// As `info` shows it.
    pub fn shown(&self) -> wire::RegistryConfig {
        let client = self.client();
        let config = client.as_ref().ok().map(|client| client.config());
        let mirrors = config.map(Config::docker_mirrors).unwrap_or_default().to_vec();
        let secure = |name: &str, secure: bool, mirrors: &[String]| {
            (
                name.to_owned(),
                serde_json::json!({"Name": name, "Mirrors": mirrors, "Secure": secure, "Official": secure}),
            )
        };
        let insecure = config.map(Config::insecure).unwrap_or_default();
        let (nets, hosts): (Vec<&String>, Vec<&String>) = insecure.iter().partition(|entry| entry.contains('/'));
        let mut index_configs = BTreeMap::from([secure("docker.io", true, &mirrors)]);
        index_configs.extend(hosts.into_iter().map(|host| secure(host, false, &[])));
        let loopback = ["::1/128", "127.0.0.0/8"].map(str::to_owned);
        let insecure_registry_cidrs = nets.into_iter().cloned().chain(loopback).collect();
        wire::RegistryConfig { insecure_registry_cidrs, index_configs, mirrors }
    }

    /// A place among what is sent at once, if that is bounded.
    async fn place_to_send(&self) -> Option<OwnedSemaphorePermit> {
        let uploads = self.uploads.read().unwrap_or_else(PoisonError::into_inner).clone();
        uploads?.acquire_owned().await.ok()
    }

    /// Whether there is such a bound, for all pushes together.
    fn bounds_uploads(&self) -> bool {
        self.uploads.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn client(&self) -> Result<Arc<Client>, Fault> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whoever makes the image `id` holds this: others wait, and then find it made.
    fn making(&self, id: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = making.get(&id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        making.insert(id, Arc::downgrade(&lock));
        lock
    }
}

/// COMPAT(docker 28): 0 is no bound.
fn bound(most: Option<usize>) -> Option<Arc<Semaphore>> {
    most.filter(|most| *most > 0).map(|most| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))))
}

/// docker's daemon.json counts where the settings do not say what is wanted instead.
fn client(agent: &str, wanted: Option<&Registries>) -> Result<Arc<Client>, Fault> {
    let etc = std::env::var_os("HULL_ETC").unwrap_or_else(|| HULL_ETC.into());
    let etc = Path::new(&etc);
    let mut config = match wanted {
        None => Config::read(etc, Path::new(DOCKER_ETC))?,
        Some(wanted) => Config::read_with(etc, Path::new(DOCKER_ETC), &wanted.mirrors, &wanted.insecure)?,
    };
    config.attempts = wanted.and_then(|wanted| wanted.attempts).unwrap_or(config.attempts);
    Ok(Arc::new(Client::new(config, agent.to_owned())))
}

/// What a registry is asked for: the digest if there is one, else the tag.
fn wanted(reference: &ImageRef) -> String {
    match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    }
}
