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

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hull_registry::{Client, Config, DOCKER_ETC, HULL_ETC};
use hull_types::{Digest, Fault, ImageRef};

use download::Downloads;

pub(crate) use ask::{distribution, login, manifest, search};
pub use pull::PullOptions;
pub(crate) use pull::pull;
pub use push::PushOptions;
pub(crate) use push::push;

/// The client and what is on its way.
pub(crate) struct Transfers {
    client: Result<Client, Fault>,
    downloads: Arc<Downloads>,
    making: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

impl Transfers {
    /// Reads the configuration. What is wrong with it is said when a registry is needed.
    pub fn new(content: hull_content::Store, version: &str) -> Self {
        let etc = std::env::var_os("HULL_ETC").unwrap_or_else(|| HULL_ETC.into());
        let config = Config::read(Path::new(&etc), Path::new(DOCKER_ETC)).map_err(Fault::from);
        let client = config.map(|config| Client::new(config, format!("hull/{version}")));
        if let Ok(client) = &client
            && let Some(default) = &client.config().default
        {
            hull_types::set_default_registry(default);
        }
        Self { client, downloads: Arc::new(Downloads::new(content)), making: Mutex::default() }
    }

    fn client(&self) -> Result<&Client, Fault> {
        self.client.as_ref().map_err(Clone::clone)
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

/// What a registry is asked for: the digest if there is one, else the tag.
fn wanted(reference: &ImageRef) -> String {
    match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    }
}
