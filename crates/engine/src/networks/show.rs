//! Networks in docker's documents: lists, inspect, and what a container's own documents say of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use hull_network::ports::Published;
use hull_network::{Definition, Endpoint, GatewayMode, Subnet};
use hull_types::{ContainerId, Fault, Timestamp};
use hull_wire as wire;

use super::{BUILTIN, Networks, builtin_id, status};
use crate::container::View;
use crate::core::Core;

const FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/// `GET /networks`.
pub(crate) fn list(core: &Core, filters: &wire::Filters) -> Result<Vec<wire::NetworkResource>, Fault> {
    filters.check(&FILTERS)?;
    for value in filters.get("dangling") {
        if !matches!(value.as_str(), "1" | "0" | "true" | "false") {
            return Err(Fault::invalid(format!("invalid filter 'dangling={}'", super::shown(value))));
        }
    }
    let mut all: Vec<wire::NetworkResource> = core.networks.all().iter().map(|network| resource(network)).collect();
    all.extend(BUILTIN.iter().map(|name| builtin(name)));
    all.retain(|network| matches(core, filters, network));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn matches(core: &Core, filters: &wire::Filters, network: &wire::NetworkResource) -> bool {
    let any = |key: &str, test: &dyn Fn(&str) -> bool| {
        let values = filters.get(key);
        values.is_empty() || values.iter().any(|value| test(value))
    };
    let predefined = network.name == super::DEFAULT || BUILTIN.contains(&network.name.as_str());
    let dangling = !predefined && core.networks.users(&network.id).is_empty();
    any("id", &|id| network.id.starts_with(id))
        && any("name", &|name| network.name.contains(name))
        && any("driver", &|driver| network.driver == driver)
        && any("scope", &|scope| network.scope == scope)
        && any("type", &|kind| (kind == "builtin") == predefined)
        && any("dangling", &|value| matches!(value, "1" | "true") == dangling)
        && filters.matches_labels("label", &network.labels)
}

/// `GET /networks/{id}`.
pub(crate) fn inspect(core: &Core, who: &str) -> Result<wire::NetworkResource, Fault> {
    if let Some(name) = BUILTIN.iter().find(|name| **name == who || builtin_id(name) == who) {
        return Ok(builtin(name));
    }
    let network = core.networks.find(who)?;
    let mut shown = resource(&network);
    for (id, endpoint) in core.networks.users(&network.id) {
        let name = core.registry.get(&id).map_or_else(String::new, |c| c.view().definition.name.to_string());
        let address = |v4| {
            endpoint
                .addresses
                .iter()
                .find(|net| net.address.is_ipv4() == v4)
                .map_or_else(String::new, ToString::to_string)
        };
        let end = wire::NetworkContainer {
            name,
            endpoint_id: endpoint.id.clone(),
            mac_address: if network.driver.own_mac() { endpoint.mac.to_string() } else { String::new() },
            ipv4_address: address(true),
            ipv6_address: address(false),
        };
        shown.containers.insert(id.to_string(), end);
    }
    shown.status = Some(status::of(&network, &core.networks.users(&network.id)));
    Ok(shown)
}

fn resource(network: &Definition) -> wire::NetworkResource {
    let config = network.subnets.iter().map(|subnet| wire::IpamConfig {
        subnet: subnet.net.to_string(),
        ip_range: subnet.range.map_or_else(String::new, |range| range.to_string()),
        gateway: if has_gateway(network, subnet) { subnet.gateway.to_string() } else { String::new() },
        auxiliary_addresses: subnet.reserved.iter().map(|(name, at)| (name.clone(), at.to_string())).collect(),
    });
    wire::NetworkResource {
        name: network.name.clone(),
        id: network.id.clone(),
        created: network.created,
        scope: "local".into(),
        driver: network.driver.name().into(),
        enable_ipv4: network.subnet(true).is_some(),
        enable_ipv6: network.subnet(false).is_some(),
        ipam: wire::Ipam { driver: "default".into(), options: BTreeMap::new(), config: config.collect() },
        internal: network.internal,
        attachable: network.attachable,
        options: network.options.clone(),
        labels: network.labels.clone(),
        ..Default::default()
    }
}

/// Whether there is a router at the gateway's address.
fn has_gateway(network: &Definition, subnet: &Subnet) -> bool {
    network.gateways.mode(subnet.net.address.is_ipv4()) != GatewayMode::Isolated
}

fn builtin(name: &str) -> wire::NetworkResource {
    wire::NetworkResource {
        name: name.to_owned(),
        id: builtin_id(name),
        created: Timestamp::NEVER,
        scope: "local".into(),
        driver: if name == "none" { "null".into() } else { name.to_owned() },
        enable_ipv4: true,
        ipam: wire::Ipam { driver: "default".into(), ..Default::default() },
        ..Default::default()
    }
}

/// `NetworkSettings` of a container.
pub(crate) fn settings(networks: &Networks, view: &View) -> wire::NetworkSettings {
    let definition = &view.definition;
    let mode = definition.host_config.network_mode.as_str();
    if mode.starts_with("container:") {
        return wire::NetworkSettings::default();
    }
    let builtin = definition.config.network_disabled || BUILTIN.contains(&mode);
    if definition.network.endpoints.is_empty() && builtin {
        let name = if mode == "host" { "host" } else { "none" };
        let end = wire::EndpointSettings { network_id: builtin_id(name), ..Default::default() };
        return wire::NetworkSettings { networks: BTreeMap::from([(name.to_owned(), end)]), ..Default::default() };
    }
    let given = &view.state.given.endpoints;
    let mut settings = wire::NetworkSettings { ports: ports(view), ..Default::default() };
    for wish in &definition.network.endpoints {
        let end = given.iter().find(|end| end.network == wish.network);
        let network = networks.find(&wish.network).ok();
        let shown = endpoint(wish, end, network.as_deref());
        // COMPAT(docker 28): the default network's end is shown a second time at the top.
        if wish.name == super::DEFAULT {
            settings.endpoint_id.clone_from(&shown.endpoint_id);
            settings.gateway.clone_from(&shown.gateway);
            settings.ip_address.clone_from(&shown.ip_address);
            settings.ip_prefix_len = shown.ip_prefix_len;
            settings.mac_address.clone_from(&shown.mac_address);
            settings.global_ipv6_address.clone_from(&shown.global_ipv6_address);
            settings.global_ipv6_prefix_len = shown.global_ipv6_prefix_len;
            settings.ipv6_gateway.clone_from(&shown.ipv6_gateway);
        }
        settings.networks.insert(wish.name.clone(), shown);
    }
    settings
}

fn endpoint(
    wish: &super::EndpointWish,
    end: Option<&Endpoint>,
    network: Option<&Definition>,
) -> wire::EndpointSettings {
    let fixed = wire::EndpointIpamConfig {
        ipv4_address: wish.ipv4.map_or_else(String::new, |address| address.to_string()),
        ipv6_address: wish.ipv6.map_or_else(String::new, |address| address.to_string()),
        link_local_ips: wish.link_local.iter().map(ToString::to_string).collect(),
    };
    let mut shown = wire::EndpointSettings {
        ipam_config: Some(fixed).filter(|fixed| *fixed != wire::EndpointIpamConfig::default()),
        aliases: wish.aliases.clone(),
        driver_opts: wish.driver_opts.clone(),
        links: wish.links.iter().map(|(alias, target)| format!("{target}:{alias}")).collect(),
        gw_priority: wish.gateway_priority,
        network_id: wish.network.clone(),
        ..Default::default()
    };
    let (Some(end), Some(network)) = (end, network) else { return shown };
    shown.endpoint_id.clone_from(&end.id);
    shown.dns_names.clone_from(&end.names);
    shown.mac_address = if network.driver.own_mac() { end.mac.to_string() } else { String::new() };
    for net in &end.addresses {
        let gateway = network.subnet(net.address.is_ipv4()).map_or_else(String::new, |s| s.gateway.to_string());
        if net.address.is_ipv4() {
            shown.ip_address = net.address.to_string();
            shown.ip_prefix_len = net.prefix.into();
            shown.gateway = if network.internal { String::new() } else { gateway };
        } else {
            shown.global_ipv6_address = net.address.to_string();
            shown.global_ipv6_prefix_len = net.prefix.into();
            shown.ipv6_gateway = if network.internal { String::new() } else { gateway };
        }
    }
    shown
}

/// Published ports of a running container, and those it only exposes.
fn ports(view: &View) -> wire::PortMap {
    let mut map = wire::PortMap::new();
    if view.state.given.endpoints.is_empty() {
        return map;
    }
    for port in view.definition.config.exposed_ports.keys() {
        map.insert(port.clone(), None);
    }
    for one in &view.state.given.ports {
        let binding = wire::PortBinding { host_ip: one.address.to_string(), host_port: host_port(one) };
        let key = format!("{}/{}", one.port, one.protocol.name());
        map.entry(key).or_default().get_or_insert_default().push(binding);
    }
    map
}

/// COMPAT(docker 28): of a port that is reached at the container's own address it is empty.
fn host_port(one: &Published) -> String {
    if one.is_direct() { String::new() } else { one.host.to_string() }
}

/// `Ports` of a list's row.
pub(crate) fn summary_ports(view: &View) -> Vec<wire::PortSummary> {
    let given = &view.state.given;
    let mut rows: Vec<wire::PortSummary> = given
        .ports
        .iter()
        .map(|one| wire::PortSummary {
            ip: one.address.to_string(),
            private_port: one.port,
            public_port: one.host,
            kind: one.protocol.name().into(),
        })
        .collect();
    if given.endpoints.is_empty() {
        return rows;
    }
    for text in view.definition.config.exposed_ports.keys() {
        let (number, kind) = text.split_once('/').unwrap_or((text, "tcp"));
        let Ok(private_port) = number.parse::<u16>() else { continue };
        if !rows.iter().any(|row| row.private_port == private_port && row.kind == kind) {
            rows.push(wire::PortSummary { private_port, kind: kind.into(), ..Default::default() });
        }
    }
    rows
}

impl Networks {
    /// All bridge networks.
    pub fn all(&self) -> Vec<Arc<Definition>> {
        self.lock().known.values().cloned().collect()
    }

    /// The ends on a network.
    pub fn users(&self, network: &str) -> Vec<(ContainerId, Endpoint)> {
        let inner = self.lock();
        let mut users = Vec::new();
        for (id, ends) in &inner.ends {
            users.extend(ends.endpoints.iter().filter(|end| end.network == network).map(|end| (*id, end.clone())));
        }
        users
    }
}
