//! [`Client`]: the configuration, and one HTTP client for each host that has certificates of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hull_types::ImageRef;
use tokio::sync::Semaphore;

use crate::fetch::ALL_IN_FLIGHT;
use crate::place::{Place, host_of, is_loopback};
use crate::resolve::Resolver;
use crate::{Config, Credentials, Error, Repository, Result};

const CONNECT: Duration = Duration::from_secs(15);
/// Connections that are kept for the next request.
const IDLE: usize = 8;

/// Speaks to registries. Clones share connections.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub config: Config,
    agent: String,
    clients: Mutex<HashMap<String, reqwest::Client>>,
    /// Parts of blobs that may be in memory.
    pub parts: Semaphore,
}

impl Client {
    /// A client with this configuration, which calls itself `agent`.
    pub fn new(config: Config, agent: impl Into<String>) -> Self {
        let parts = Semaphore::new(ALL_IN_FLIGHT);
        Self { inner: Arc::new(Inner { config, agent: agent.into(), clients: Mutex::default(), parts }) }
    }

    /// What is configured.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Where a repository can be read, in the order to try: mirrors, which see no credentials, then the
    /// registry itself.
    pub fn sources(&self, name: &ImageRef, credentials: &Credentials) -> Vec<Repository> {
        let places = Place::all(&self.inner.config, name.domain()).into_iter();
        let repository = |place: Place| {
            let credentials = if place.mirrored.is_some() { Credentials::Anonymous } else { credentials.clone() };
            Repository::new(self.clone(), place, name, credentials, false)
        };
        places.map(repository).collect()
    }

    /// The registry itself, for writing; `push` also asks for the right to write.
    pub fn origin(&self, name: &ImageRef, credentials: &Credentials, push: bool) -> Repository {
        Repository::new(self.clone(), Place::origin(name.domain()), name, credentials.clone(), push)
    }
}

impl Inner {
    /// The HTTP client for `host[:port]`.
    pub fn http(&self, authority: &str) -> Result<reqwest::Client> {
        if let Some(found) = self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(authority) {
            return Ok(found.clone());
        }
        let insecure = self.config.is_insecure(authority);
        let tls = crate::certificates::tls(&self.config.certificates, authority, insecure)?;
        let builder = reqwest::Client::builder()
            .user_agent(&self.agent)
            // Redirects are followed by hand: credentials must not come along.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT.min(self.config.patience))
            .read_timeout(self.config.patience)
            .pool_max_idle_per_host(IDLE)
            .dns_resolver(Resolver::default())
            .tls_backend_preconfigured(tls);
        // COMPAT(docker 28): who names a proxy does not mean this machine.
        let builder = if is_loopback(host_of(authority)) { builder.no_proxy() } else { builder };
        let client = builder
            .build()
            .map_err(|error| Error::Connect { registry: authority.to_owned(), why: crate::error::chain(&error) })?;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(authority.to_owned(), client.clone());
        Ok(client)
    }
}
