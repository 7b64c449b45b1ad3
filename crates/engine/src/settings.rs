//! [`Settings`]: what a host's owner wants of the engine and of every new container: the effective part of dockerd's
//! flags and of daemon.json.
//!
//! What docker shows in `inspect` is filled into the request before it is admitted ([`Settings::fill`]); the rest goes
//! into the admitted wish ([`Settings::finish`]). Read by reference-counted snapshot; a reload replaces the snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use hull_types::Fault;
use hull_wire as wire;

use crate::admit::Admitted;

/// What is wanted of one engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Whether the engine says more in its log.
    pub debug: bool,
    /// What the API calls an experimental engine; it changes nothing else.
    pub experimental: bool,
    /// `key=value` for `info`.
    pub labels: Vec<String>,
    /// The log driver of containers that name none; empty is `json-file`.
    pub log_driver: String,
    /// Options of the log driver, for containers that use it and do not set them.
    pub log_opts: BTreeMap<String, String>,
    /// Limits of containers that do not set the same ones.
    pub ulimits: Vec<wire::Ulimit>,
    /// Name servers of containers that name none.
    pub dns: Vec<String>,
    /// Options of the resolver, of containers that name none.
    pub dns_options: Vec<String>,
    /// Search domains of containers that name none.
    pub dns_search: Vec<String>,
    /// What `host-gateway` means in `--add-host`.
    pub host_gateway: Vec<String>,
    /// Size of `/dev/shm`, where none is asked for.
    pub shm_size: Option<i64>,
    /// `private` or `shareable`, where none is asked for.
    pub ipc_mode: String,
    /// `private` or `host`, where none is asked for.
    pub cgroupns_mode: String,
    /// `--init`, where it is not asked for.
    pub init: bool,
    /// `no-new-privileges`, where it is not asked for.
    pub no_new_privileges: bool,
    /// The cgroup parent, where none is asked for.
    pub cgroup_parent: String,
    /// A seccomp profile as JSON, or `unconfined`; empty is the built-in one.
    pub seccomp: String,
    /// Containers are stopped when the engine is told to end, and have this many seconds, or as many as they ask for; `None`: they go on.
    pub stop_containers: Option<i64>,
    /// Mirrors of docker.io and insecure registries, in place of those of docker's daemon.json.
    pub registries: Option<Registries>,
    /// Settings of networks, over those of networks.json.
    pub networks: serde_json::Map<String, serde_json::Value>,
}

/// What is wanted of registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// Asked before docker.io.
    pub mirrors: Vec<String>,
    /// Hosts and networks that may be spoken to without TLS.
    pub insecure: Vec<String>,
    /// Blobs that come at once; `None`: as many as there are.
    pub downloads: Option<usize>,
    /// Layers that are sent at once; `None`: five for each push.
    pub uploads: Option<usize>,
    /// How often in a row a download may fail; `None`: five times.
    pub attempts: Option<u32>,
}

impl Settings {
    /// What docker shows as if it had been asked for.
    pub(crate) fn fill(&self, request: &mut wire::ContainerCreateRequest) {
        let host = &mut request.host_config;
        let log = &mut host.log_config;
        if log.kind.is_empty() {
            log.kind.clone_from(&self.log_driver);
        }
        let own = if self.log_driver.is_empty() { "json-file" } else { &self.log_driver };
        if log.kind.is_empty() || log.kind == own {
            for (key, value) in &self.log_opts {
                log.config.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        let ulimits = &mut host.resources.ulimits;
        for limit in &self.ulimits {
            if !ulimits.iter().any(|own| own.name == limit.name) {
                ulimits.push(limit.clone());
            }
        }
        if host.shm_size == 0 {
            host.shm_size = self.shm_size.unwrap_or(0);
        }
        if host.ipc_mode.is_empty() {
            host.ipc_mode.clone_from(&self.ipc_mode);
        }
        // COMPAT(docker 28): a privileged container sees the host's on cgroup v1 only; hull keeps its own default there.
        if host.cgroupns_mode.is_empty() {
            host.cgroupns_mode.clone_from(&self.cgroupns_mode);
        }
    }

    /// The security options that a request did not name; they are not shown in `inspect`.
    pub(crate) fn security(&self, host: &wire::HostConfig) -> Vec<String> {
        let named = |name: &str| host.security_opt.iter().any(|option| option.starts_with(name));
        let mut more = Vec::new();
        if self.no_new_privileges && !named("no-new-privileges") {
            more.push("no-new-privileges".to_owned());
        }
        if !self.seccomp.is_empty() && !host.privileged && !named("seccomp") {
            more.push(format!("seccomp={}", self.seccomp));
        }
        more
    }

    /// What is not shown in `inspect`.
    pub(crate) fn finish(&self, admitted: &mut Admitted) {
        let spec = &mut admitted.spec;
        spec.init |= self.init && admitted.host_config.init.is_none();
        if spec.cgroup_parent.is_none() {
            spec.cgroup_parent = Some(self.cgroup_parent.clone()).filter(|parent| !parent.is_empty());
        }
        let resolver = &mut spec.resolver;
        for (own, ours) in [
            (&mut resolver.servers, &self.dns),
            (&mut resolver.options, &self.dns_options),
            (&mut resolver.search, &self.dns_search),
        ] {
            if own.is_empty() {
                own.clone_from(ours);
            }
        }
        if self.host_gateway.is_empty() {
            return;
        }
        let hosts = std::mem::take(&mut resolver.hosts);
        for (name, address) in hosts {
            if address == "host-gateway" {
                resolver.hosts.extend(self.host_gateway.iter().map(|gateway| (name.clone(), gateway.clone())));
            } else {
                resolver.hosts.push((name, address));
            }
        }
    }
}

/// The settings that hold now.
pub(crate) struct Current {
    now: RwLock<Arc<Settings>>,
    /// The file could not be used when the engine started.
    wrong: RwLock<Option<Fault>>,
}

impl Current {
    /// What was read, or why it could not be: then nothing is created until it can.
    pub fn new(read: Result<Settings, Fault>) -> Self {
        let (now, wrong) = match read {
            Ok(settings) => (settings, None),
            Err(fault) => {
                tracing::error!(%fault, "no container can be created");
                (Settings::default(), Some(fault))
            }
        };
        Self { now: RwLock::new(Arc::new(now)), wrong: RwLock::new(wrong) }
    }

    /// Those that hold now.
    pub fn now(&self) -> Arc<Settings> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Those that a new container gets.
    pub fn for_creation(&self) -> Result<Arc<Settings>, Fault> {
        match &*self.wrong.read().unwrap_or_else(PoisonError::into_inner) {
            Some(fault) => Err(fault.clone()),
            None => Ok(self.now()),
        }
    }

    /// Puts others in their place.
    pub fn replace(&self, settings: Settings) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        *self.wrong.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &str, soft: i64) -> wire::Ulimit {
        wire::Ulimit { name: name.to_owned(), hard: soft, soft }
    }

    #[test]
    fn what_a_request_says_goes_before_what_the_host_wants() {
        let settings = Settings {
            log_driver: "local".into(),
            log_opts: BTreeMap::from([("max-size".into(), "1m".into()), ("max-file".into(), "2".into())]),
            ulimits: vec![limit("nofile", 100), limit("nproc", 50)],
            shm_size: Some(1 << 20),
            ipc_mode: "shareable".into(),
            no_new_privileges: true,
            seccomp: "unconfined".into(),
            ..Settings::default()
        };
        let mut request = wire::ContainerCreateRequest::default();
        request.host_config.resources.ulimits = vec![limit("nofile", 7)];
        request.host_config.log_config.config.insert("max-size".into(), "9k".into());
        settings.fill(&mut request);
        let host = &request.host_config;
        assert_eq!(host.resources.ulimits, [limit("nofile", 7), limit("nproc", 50)]);
        assert_eq!((host.log_config.kind.as_str(), host.log_config.config["max-size"].as_str()), ("local", "9k"));
        assert_eq!((host.log_config.config["max-file"].as_str(), host.shm_size), ("2", 1 << 20));
        assert_eq!(host.ipc_mode, "shareable");
        assert_eq!(settings.security(host), ["no-new-privileges", "seccomp=unconfined"]);
        let named = wire::HostConfig {
            security_opt: vec!["no-new-privileges:false".into(), "seccomp={}".into()],
            ..wire::HostConfig::default()
        };
        assert!(settings.security(&named).is_empty());
        // Another driver does not get this one's options.
        let mut other = wire::ContainerCreateRequest::default();
        other.host_config.log_config.kind = "none".into();
        settings.fill(&mut other);
        assert!(other.host_config.log_config.config.is_empty());
    }
}
