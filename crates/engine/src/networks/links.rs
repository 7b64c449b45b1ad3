//! Links on the default network, where there is no name service: lines in `/etc/hosts` and variables that tell of the other
//! container, as docker has had them from its beginning.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

use hull_launch::spec::Spec;
use hull_network::Endpoint;
use hull_types::{Fault, Kind};

use super::{DEFAULT, Plan};
use crate::container::record::Definition;
use crate::container::{Container, View};
use crate::core::Core;
use crate::prepare;

/// Has each link of a plan to the default network mean a container that is there, whatever it is called later.
///
/// # Errors
/// There is none.
pub(crate) fn resolve(core: &Core, plan: &mut Plan) -> Result<(), Fault> {
    for wish in plan.endpoints.iter_mut().filter(|wish| wish.name == DEFAULT) {
        for (_, target) in &mut wish.links {
            let found = core.resolve(target);
            let found =
                found.map_err(|error| Fault::invalid(format!("could not get container for {target}: {error}")))?;
            *target = found.id.to_string();
        }
    }
    Ok(())
}

/// The links of a container on the default network: alias, and the other one's id.
fn links(definition: &Definition) -> impl Iterator<Item = &(String, String)> {
    let own = definition.network.endpoints.iter().find(|wish| wish.name == DEFAULT);
    own.into_iter().flat_map(|wish| &wish.links)
}

/// The wish of a container with what its links add: names, and variables, which its own come before.
///
/// # Errors
/// Another one does not run, or is not on the default network.
pub(crate) fn apply(core: &Core, definition: &Definition) -> Result<Option<Spec>, Fault> {
    if links(definition).next().is_none() {
        return Ok(None);
    }
    let mut spec = (*definition.spec).clone();
    let mut variables = Vec::new();
    for (alias, target) in links(definition) {
        let other = core.resolve(target)?;
        let view = other.view();
        let (own, theirs) = (&definition.name, &view.definition.name);
        if other.live().is_none() {
            return Err(Fault::new(
                Kind::Conflict,
                format!("Cannot link to a non running container: /{theirs} AS /{own}/{alias}"),
            ));
        }
        let address = address(&view).ok_or_else(|| {
            Fault::new(
                Kind::Conflict,
                format!("Cannot link to /{theirs}, as it does not belong to the default network"),
            )
        })?;
        let names = names(alias, &view.definition);
        spec.resolver.hosts.extend(names.into_iter().map(|name| (name, address.to_string())));
        variables.extend(environment(own.as_str(), alias, address, &view.definition));
    }
    variables.retain(|new| {
        let name = |pair: &str| pair.split('=').next().map(str::to_owned);
        !spec.process.env.iter().any(|old| name(old) == name(new))
    });
    spec.process.env.extend(variables);
    Ok(Some(spec))
}

/// Its address on the default network.
fn address(view: &View) -> Option<IpAddr> {
    address_of(&view.definition, &view.state.given.endpoints)
}

fn address_of(definition: &Definition, endpoints: &[Endpoint]) -> Option<IpAddr> {
    let wish = definition.network.endpoints.iter().find(|wish| wish.name == DEFAULT)?;
    endpoints.iter().find(|end| end.network == wish.network)?.address(true)
}

/// How the other one is called: by the alias, its host name and its own name.
fn names(alias: &str, other: &Definition) -> Vec<String> {
    let mut names = vec![alias.to_owned()];
    for name in [other.spec.hostname.as_str(), other.name.as_str()] {
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// COMPAT(docker 28): `DB_PORT`, `DB_PORT_5432_TCP…` of each exposed port, `DB_NAME`, and its environment as `DB_ENV_…`.
fn environment(own: &str, alias: &str, address: IpAddr, other: &Definition) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let mut ports: Vec<(u16, &str)> = other.config.exposed_ports.keys().filter_map(|text| port(text)).collect();
    // The lowest first, and tcp before udp.
    ports.sort_by_key(|(number, protocol)| (*protocol != "tcp", *number));
    let mut all = Vec::new();
    if let Some((number, protocol)) = ports.first() {
        all.push(format!("{prefix}_PORT={protocol}://{address}:{number}"));
    }
    for (number, protocol) in ports {
        let port = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        all.push(format!("{port}={protocol}://{address}:{number}"));
        all.push(format!("{port}_ADDR={address}"));
        all.push(format!("{port}_PORT={number}"));
        all.push(format!("{port}_PROTO={protocol}"));
    }
    all.push(format!("{prefix}_NAME=/{own}/{alias}"));
    let told = other.config.env.iter().filter_map(|pair| pair.split_once('='));
    let told = told.filter(|(name, _)| !matches!(*name, "HOME" | "PATH"));
    all.extend(told.map(|(name, value)| format!("{prefix}_ENV_{name}={value}")));
    all
}

fn port(text: &str) -> Option<(u16, &str)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((number.parse().ok()?, protocol))
}

/// A container has been started: those who link to it find it at its new address.
pub(crate) fn follow(core: &Core, started: &Definition, endpoints: &[Endpoint]) {
    let id = started.id.to_string();
    let Some(address) = address_of(started, endpoints) else { return };
    let running = |container: &&Arc<Container>| container.id != started.id && container.live().is_some();
    for container in core.registry.all().iter().filter(running) {
        let view = container.view();
        let aliases: Vec<&str> =
            links(&view.definition).filter(|(_, target)| *target == id).map(|(alias, _)| &**alias).collect();
        if aliases.is_empty() {
            continue;
        }
        let names: Vec<String> = aliases.iter().flat_map(|alias| names(alias, started)).collect();
        if let Err(error) = rewrite(core, &view, &names, address) {
            tracing::warn!(container = %view.definition.name, %error, "its /etc/hosts does not follow a link");
        }
    }
}

fn rewrite(core: &Core, view: &View, names: &[String], address: IpAddr) -> std::io::Result<()> {
    let path = prepare::hosts_file(&core.parts.root, &view.definition.id);
    let text = fs::read_to_string(&path)?;
    let lines = text.lines().map(|line| match line.split_once('\t') {
        Some((_, name)) if names.iter().any(|known| known == name) => format!("{address}\t{name}\n"),
        _ => format!("{line}\n"),
    });
    let new: String = lines.collect();
    // In place, since it is bound inside.
    if new == text { Ok(()) } else { fs::write(&path, new) }
}
