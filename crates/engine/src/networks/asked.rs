//! From a create request to a [`Definition`]: every field is honoured, or refused by name.

mod driver;

use std::collections::BTreeMap;
use std::net::IpAddr;

use hull_network::{Definition, GatewayMode, Net, Subnet, ipam};
use hull_types::{Fault, Kind};
use hull_wire as wire;

use super::{BUILTIN, DEFAULT, random_id, shown};
pub(super) use driver::check_parent;

/// What an MTU is.
pub(super) const MTU_WORDS: &str = "an MTU from 68 to 65535";

fn mtu(value: &str) -> Option<u32> {
    value.parse().ok().filter(|mtu| fits(*mtu))
}

/// Whether a link of IPv4 can have this MTU.
pub(super) fn fits(mtu: u32) -> bool {
    (68..=65535).contains(&mtu)
}

/// What a request asks for; `taken` are the networks and routes that a subnet must not overlap, `pool` finds one.
///
/// # Errors
/// What is wrong, in docker's words where it has them.
pub(super) fn definition(
    request: &wire::NetworkCreateRequest,
    taken: &[Net],
    pool: impl Fn(bool) -> Result<Net, Fault>,
) -> Result<Definition, Fault> {
    check(request)?;
    check_families(request)?;
    let id = random_id()?;
    let mut network = Definition {
        internal: request.internal,
        attachable: request.attachable,
        labels: request.labels.clone(),
        options: request.options.clone(),
        ..Definition::bridge(&*id, &*request.name, link(&id))
    };
    if is_bridge(request) {
        request.options.iter().try_for_each(|(key, value)| option(&mut network, key, value))?;
        check_gateways(&network)?;
    } else {
        driver::apply(&mut network, request)?;
    }
    network.subnets = subnets(request, taken, pool)?;
    Ok(network)
}

/// Whether the network is to have a bridge of its own.
pub(super) fn is_bridge(request: &wire::NetworkCreateRequest) -> bool {
    !matches!(request.driver.as_str(), "macvlan" | "ipvlan")
}

/// The name of a network's link, unless another one is asked for.
pub(super) fn link(id: &str) -> String {
    format!("br-{}", &id[..12])
}

fn check(request: &wire::NetworkCreateRequest) -> Result<(), Fault> {
    let name = &request.name;
    if name.is_empty() {
        return Err(Fault::invalid("network name cannot be empty"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(fits) || name.len() > 128 {
        return Err(Fault::invalid(format!("invalid network name {}", shown(name)))
            .hint("letters, digits, `_`, `.` and `-`, beginning with a letter or digit, at most 128"));
    }
    if name == "default" || name == DEFAULT || BUILTIN.contains(&name.as_str()) {
        return Err(Fault::new(Kind::Forbidden, format!("operation is not permitted on predefined {name} network")));
    }
    match request.driver.as_str() {
        "" | "bridge" | "default" | "macvlan" | "ipvlan" => {}
        one @ ("host" | "null" | "none") => {
            let one = if one == "host" { "host" } else { "null" };
            return Err(Fault::new(Kind::Forbidden, format!("only one instance of \"{one}\" network is allowed")));
        }
        other => {
            return Err(Fault::unsupported(format!("the network driver {} is not supported", shown(other)))
                .hint("`bridge`, `macvlan` and `ipvlan` are"));
        }
    }
    for (set, field) in [
        (request.ingress, "Ingress"),
        (request.config_only, "ConfigOnly"),
        (request.config_from.as_ref().is_some_and(|from| !from.network.is_empty()), "ConfigFrom"),
        (!matches!(request.scope.as_str(), "" | "local"), "Scope"),
    ] {
        if set {
            return Err(Fault::unsupported(format!("networks with `{field}` are not supported")));
        }
    }
    Ok(())
}

/// Whether IPv4 and IPv6 are wished for.
fn families(request: &wire::NetworkCreateRequest) -> (bool, bool) {
    (request.enable_ipv4 != Some(false), request.enable_ipv6 == Some(true))
}

fn check_families(request: &wire::NetworkCreateRequest) -> Result<(), Fault> {
    match families(request) {
        (false, false) => Err(Fault::invalid("IPv4 or IPv6 must be enabled")),
        (false, true) if !is_bridge(request) => {
            Err(Fault::unsupported(format!("{} networks without IPv4 are not supported", request.driver)))
        }
        _ => Ok(()),
    }
}

/// COMPAT(docker 28): the sentence.
fn check_gateways(network: &Definition) -> Result<(), Fault> {
    let isolated = [true, false].iter().any(|v4| network.gateways.mode(*v4) == GatewayMode::Isolated);
    match isolated && !network.internal {
        true => Err(Fault::invalid("gateway mode 'isolated' can only be used for an internal network")),
        false => Ok(()),
    }
}

fn gateway_mode(key: &str, value: &str) -> Result<GatewayMode, Fault> {
    // COMPAT(docker 28): the sentence.
    let unknown =
        || Fault::invalid(format!("failed to parse {key} value: {0} (unknown gateway mode {0})", shown(value)));
    GatewayMode::parse(value).ok_or_else(unknown).map_err(|fault| {
        fault.hint("`nat`, `nat-unprotected`, `routed` and, for internal networks, `isolated` are known")
    })
}

/// Names of links, with colons between.
fn links(value: &str) -> Option<Vec<String>> {
    let names: Vec<String> = value.split(':').filter(|_| !value.is_empty()).map(str::to_owned).collect();
    names.iter().all(|name| is_link(name)).then_some(names)
}

/// Whether a link can be called so.
fn is_link(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    !name.is_empty() && name.len() <= 15 && name.chars().all(fits) && !matches!(name, "." | "..")
}

fn option(network: &mut Definition, key: &str, value: &str) -> Result<(), Fault> {
    let bad = |what: &str| Fault::invalid(format!("network option {key}={} is not {what}", shown(value)));
    let flag = || value.parse::<bool>().map_err(|_| bad("true or false"));
    match key.strip_prefix("com.docker.network.").unwrap_or(key) {
        "bridge.name" => {
            if !is_link(value) {
                return Err(bad("the name of a link, at most 15 characters"));
            }
            value.clone_into(&mut network.link);
        }
        "bridge.enable_icc" => network.icc = flag()?,
        "bridge.enable_ip_masquerade" => network.masquerade = flag()?,
        "bridge.host_binding_ipv4" => {
            network.publish_on = Some(value.parse::<std::net::Ipv4Addr>().map_err(|_| bad("an IPv4 address"))?.into());
        }
        "bridge.gateway_mode_ipv4" => network.gateways.v4 = gateway_mode(key, value)?,
        "bridge.gateway_mode_ipv6" => network.gateways.v6 = gateway_mode(key, value)?,
        "bridge.inhibit_ipv4" => network.gateways.inhibit_v4 = flag()?,
        "bridge.trusted_host_interfaces" => {
            network.gateways.trusted = links(value).ok_or_else(|| bad("names of links with colons between"))?;
        }
        "container_iface_prefix" => {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            if value.is_empty()
                || value.len() > 10
                || !value.starts_with(|c: char| c.is_ascii_alphabetic())
                || !value.chars().all(fits)
            {
                return Err(bad("a prefix of a link's name, at most 10 characters"));
            }
        }
        "driver.mtu" => network.mtu = Some(mtu(value).ok_or_else(|| bad(MTU_WORDS))?),
        "hull.big-tcp" => network.large_segments = Some(flag()?),
        _ => {
            return Err(Fault::unsupported(format!("the network option {} is not supported", shown(key)))
                .hint("bridge.name, bridge.enable_icc, bridge.enable_ip_masquerade, bridge.gateway_mode_ipv4, bridge.gateway_mode_ipv6, bridge.host_binding_ipv4, bridge.inhibit_ipv4, bridge.trusted_host_interfaces, driver.mtu and container_iface_prefix are, after com.docker.network.; and hull.big-tcp"));
        }
    }
    Ok(())
}

fn subnets(
    request: &wire::NetworkCreateRequest,
    taken: &[Net],
    pool: impl Fn(bool) -> Result<Net, Fault>,
) -> Result<Vec<Subnet>, Fault> {
    let plain = wire::Ipam::default();
    let ipam = request.ipam.as_ref().unwrap_or(&plain);
    if !matches!(ipam.driver.as_str(), "" | "default") {
        return Err(Fault::unsupported(format!("the IPAM driver {} is not supported", shown(&ipam.driver))));
    }
    if !ipam.options.is_empty() {
        return Err(Fault::unsupported("options of the IPAM driver are not supported"));
    }
    let mut subnets = Vec::new();
    for config in ipam.config.iter().filter(|config| **config != wire::IpamConfig::default()) {
        let subnet = subnet(config)?;
        let v4 = subnet.net.address.is_ipv4();
        if subnets.iter().any(|other: &Subnet| other.net.address.is_ipv4() == v4) {
            return Err(Fault::unsupported("a network has at most one subnet of IPv4 and one of IPv6"));
        }
        if taken.iter().any(|net| net.prefix > 0 && net.overlaps(subnet.net)) {
            return Err(Fault::new(
                Kind::Forbidden,
                "invalid pool request: Pool overlaps with other one on this address space",
            )
            .cause(format!("{} is used by another network or by a route of this host", subnet.net)));
        }
        subnets.push(subnet);
    }
    if subnets.iter().any(|subnet| subnet.net.address.is_ipv6()) && request.enable_ipv6 != Some(true) {
        return Err(Fault::invalid("an IPv6 subnet needs IPv6: `--ipv6`"));
    }
    let (v4, v6) = families(request);
    if subnets.iter().any(|subnet| subnet.net.address.is_ipv4()) && !v4 {
        return Err(Fault::invalid("an IPv4 subnet needs IPv4: not `--ipv4=false`"));
    }
    for wanted in [true, false].into_iter().filter(|is_v4| if *is_v4 { v4 } else { v6 }) {
        if !subnets.iter().any(|subnet| subnet.net.address.is_ipv4() == wanted) {
            subnets.push(whole(pool(wanted)?));
        }
    }
    subnets.sort_by_key(|subnet| subnet.net.address.is_ipv6());
    Ok(subnets)
}

/// A random network of unique local addresses.
pub(super) fn local_v6() -> Result<Net, Fault> {
    let mut random = [0; 5];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| Fault::internal("no random bytes for an IPv6 network").cause(errno))?;
    Ok(ipam::local_v6(random))
}

/// All of it, with its first address for the bridge.
pub(super) fn whole(net: Net) -> Subnet {
    Subnet { net, gateway: ipam::first(net), range: None, reserved: BTreeMap::new() }
}

fn subnet(config: &wire::IpamConfig) -> Result<Subnet, Fault> {
    let net = net(&config.subnet, "subnet")?;
    if net.network() != net {
        return Err(Fault::invalid(format!("invalid subnet {net}: it should be {}", net.network())));
    }
    let largest = if net.address.is_ipv4() { 30 } else { 126 };
    if net.prefix > largest {
        return Err(Fault::invalid(format!("invalid subnet {net}: it has no room for a gateway and a container")));
    }
    let inside = |text: &str, what: &str| -> Result<IpAddr, Fault> {
        let bad = || Fault::invalid(format!("invalid {what} address: {}", shown(text)));
        text.parse().ok().filter(|address| net.contains(*address)).ok_or_else(bad)
    };
    let gateway = if config.gateway.is_empty() { ipam::first(net) } else { inside(&config.gateway, "gateway")? };
    let range = if config.ip_range.is_empty() { None } else { Some(self::net(&config.ip_range, "range")?) };
    if let Some(range) = range.filter(|range| !net.contains(range.address) || range.prefix < net.prefix) {
        return Err(Fault::invalid(format!("invalid range {range}: it is no part of {net}")));
    }
    let mut reserved = BTreeMap::new();
    for (name, address) in &config.auxiliary_addresses {
        reserved.insert(name.clone(), inside(address, "auxiliary")?);
    }
    Ok(Subnet { net, gateway, range, reserved })
}

fn net(text: &str, what: &str) -> Result<Net, Fault> {
    text.parse().map_err(|_| Fault::invalid(format!("invalid {what} {}: invalid CIDR address", shown(text))))
}
