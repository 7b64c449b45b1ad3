//! Admission: everything about a request that can be checked before any effect.
//!
//! [`create`] turns a docker create request into a typed [`Spec`], [`exec()`] and [`update()`] do it for
//! their requests. Each field of the API is honoured or refused by name; none is ignored
//! ([`refusals`] has the list). Nothing is made or changed here; the host is only looked at.

mod binds;
mod command;
mod confinement;
mod exec;
mod health;
mod host_config;
mod limits;
mod log;
mod mounts;
mod namespaces;
mod network;
mod refusals;
mod text;
mod tmpfs;
mod update;
mod userns;

use std::collections::BTreeMap;
use std::sync::Arc;

use hull_cgroup::Limits;
use hull_launch::spec::{Spec, Stop};
use hull_types::{ContainerId, Fault, Name, Platform, Signal};
use hull_wire as wire;

use crate::networks::plan::{self, Find, Plan};
use crate::prepare::HostFacts;

pub(crate) use command::clean;
pub use exec::exec;
pub(crate) use log::target as log_target;
pub use update::update;

/// What admission asks about other containers.
pub trait Lookup {
    /// Resolves a name, id or unique prefix to the container's id and its spec.
    ///
    /// # Errors
    /// No container, or several, answer to it.
    fn container(&self, who: &str) -> Result<(ContainerId, Arc<Spec>), Fault>;
}

/// What admission knows.
pub struct Context<'a> {
    /// The host.
    pub host: &'a HostFacts,
    /// The host's cgroups.
    pub cgroups: &'a hull_cgroup::Host,
    /// The other containers.
    pub containers: &'a dyn Lookup,
    /// The networks.
    pub networks: &'a dyn Find,
}

/// A create request, admitted.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The typed wish, to be stored and started from.
    pub spec: Spec,
    /// `Config` as inspect shows it: the request merged with the image.
    pub config: wire::ContainerConfig,
    /// `HostConfig` as inspect shows it: the request with its defaults.
    pub host_config: wire::HostConfig,
    /// The networks it joins and the ports it publishes.
    pub network: Plan,
    /// Volumes to make before the record is acknowledged.
    pub volumes: Vec<VolumeWish>,
    /// What docker returns as `Warnings`.
    pub warnings: Vec<String>,
}

/// A volume that a container needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeWish {
    /// Its name.
    pub name: String,
    /// It has no name of its own and goes with the container.
    pub anonymous: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its driver's options.
    pub options: BTreeMap<String, String>,
}

/// An update request, admitted.
#[derive(Clone, Debug)]
pub struct Updated {
    /// The container's limits as they shall be, whole.
    pub limits: Limits,
    /// The same with the devices that lose their limit: what is written to a group that exists.
    pub writes: Limits,
    /// The stored `HostConfig` as it shall be.
    pub host_config: wire::HostConfig,
    /// What docker returns as `Warnings`.
    pub warnings: Vec<String>,
}

/// Seconds that a container has to stop, unless it says otherwise.
pub const STOP_TIMEOUT: i64 = 10;

/// Checks a container's name as given by a client (with or without docker's leading slash).
///
/// # Errors
/// It is not docker's `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub fn name(text: &str) -> Result<Name, Fault> {
    Ok(text.strip_prefix('/').unwrap_or(text).parse::<Name>()?)
}

/// Admits a create request for the container `id` from an image's configuration.
///
/// # Errors
/// What is wrong, in a sentence. Nothing was done.
pub fn create(
    context: &Context<'_>,
    id: &ContainerId,
    image: &hull_image::ImageConfig,
    request: &wire::ContainerCreateRequest,
) -> Result<Admitted, Fault> {
    let asked = &request.host_config;
    text::check(request)?;
    refusals::check(request)?;
    host_config::check(asked)?;
    health::check(request.config.healthcheck.as_ref())?;
    let mut config = command::merge(&request.config, &image.config)?;
    let mut warnings = health::warnings(&config, asked)?;
    network::check(&config, asked)?;
    let (namespaces, shm) = namespaces::wishes(context, &config, asked)?;
    host_config::name_host(context, id, &mut config, &namespaces);
    let (mounts, volumes) = mounts::all(context, &config, asked, &namespaces)?;
    let network = plan::admit(context.networks, request, &config, &mut warnings)?;
    let limits = limits::checked(context, asked, &mut warnings)?;
    let options = confinement::security_options(context, asked)?;
    let process = confinement::process(context, &config, asked, &options)?;
    let sysctls = confinement::sysctls(asked, &namespaces)?;
    let (masked_paths, readonly_paths) = confinement::system_paths(context, asked, &options);
    let spec = Spec {
        process,
        hostname: config.hostname.clone(),
        domainname: Some(config.domainname.clone()).filter(|name| !name.is_empty()),
        namespaces,
        privileged: asked.privileged,
        writable_cgroups: options.writable_cgroups.unwrap_or(false),
        init: asked.init.unwrap_or(false),
        readonly_root: asked.readonly_rootfs,
        mounts,
        shm,
        devices: confinement::devices(asked)?,
        device_rules: confinement::device_rules(asked)?,
        masked_paths,
        readonly_paths,
        sysctls,
        limits,
        cgroup_parent: host_config::cgroup_parent(asked)?,
        resolver: network::resolver(asked)?,
        stop: stop(&config)?,
        log: log::wish(&asked.log_config)?,
    };
    let host_config = host_config::with_defaults(asked, &spec);
    Ok(Admitted { spec, config, host_config, network, volumes, warnings })
}

/// Whether an image is for the platform that a request names; what the request leaves open matches.
pub fn platform_matches(wanted: &Platform, image: &hull_image::ImageConfig) -> bool {
    let own = image.platform();
    let variant = wanted.variant.is_none() || wanted.variant == own.variant;
    wanted.os == own.os && wanted.architecture == own.architecture && variant
}

fn stop(config: &wire::ContainerConfig) -> Result<Stop, Fault> {
    let signal: Signal = match config.stop_signal.as_str() {
        "" => "TERM".parse()?,
        name => name.parse()?,
    };
    let timeout = config.stop_timeout.unwrap_or(STOP_TIMEOUT);
    if timeout < -1 {
        return Err(Fault::invalid(format!("the stop timeout {timeout} is negative")).hint("-1 waits for ever"));
    }
    Ok(Stop { signal: signal.number(), timeout })
}

#[cfg(test)]
mod tests;
