//! [`Plan`]: the networks that a container shall join and the ports it shall publish, as admitted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hull_network::ports::{Protocol, Wish};
use hull_network::{Definition, Driver, Mac};
use hull_types::Fault;
use hull_wire as wire;
use serde::{Deserialize, Serialize};

use super::{DEFAULT, shown};

/// What a container asks of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The networks it joins, in the order of its links `eth0`, `eth1`…
    pub endpoints: Vec<EndpointWish>,
    /// The ports it publishes.
    pub ports: Vec<Wish>,
}

/// What it asks of one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointWish {
    /// The network's id.
    pub network: String,
    /// The network's name, as inspect shows it.
    pub name: String,
    /// A fixed address.
    pub ipv4: Option<Ipv4Addr>,
    /// A fixed address.
    pub ipv6: Option<Ipv6Addr>,
    /// Further addresses of its link, good for this network alone.
    #[serde(default)]
    pub link_local: Vec<IpAddr>,
    /// A fixed hardware address.
    pub mac: Option<Mac>,
    /// Further names on this network.
    pub aliases: Vec<String>,
    /// The network with the highest has the default route.
    pub gateway_priority: i64,
    /// Options as they were asked for.
    #[serde(default)]
    pub driver_opts: BTreeMap<String, String>,
    /// Names of its own for other containers of this network: the name, and whom it means.
    #[serde(default)]
    pub links: Vec<(String, String)>,
}

impl EndpointWish {
    /// The name that its link shall have inside.
    pub fn link_name(&self) -> Option<&str> {
        self.driver_opts.get(LINK_NAME).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Its further addresses, each with the prefix of its kind.
    pub fn link_local(&self) -> Vec<hull_network::Net> {
        let net =
            |address: &IpAddr| hull_network::Net { address: *address, prefix: if address.is_ipv4() { 16 } else { 64 } };
        self.link_local.iter().map(net).collect()
    }
}

impl Plan {
    /// That no two of its links shall have the same name.
    ///
    /// # Errors
    /// Two shall.
    pub fn check_names(&self) -> Result<(), Fault> {
        let mut names: Vec<&str> = self.endpoints.iter().filter_map(EndpointWish::link_name).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Fault::invalid(format!("two links of one container cannot be called {}", pair[0]))),
            None => Ok(()),
        }
    }

    /// Which of the endpoints has the default route.
    /// COMPAT(docker 28): of those that lead out one with IPv6, of equal ones the one with the highest priority, then the first by
    /// the network's name.
    pub fn gateway(&self, find: impl Fn(&str) -> Result<Arc<Definition>, Fault>) -> usize {
        let rank = |wish: &EndpointWish| {
            let network = find(&wish.network).ok();
            let leads_out = network.as_ref().is_some_and(|network| !network.internal);
            let has_v6 = network.is_some_and(|network| network.subnet(false).is_some());
            (leads_out, has_v6, wish.gateway_priority, Reverse(wish.name.clone()))
        };
        self.endpoints.iter().enumerate().max_by_key(|(_, wish)| rank(wish)).map_or(0, |(index, _)| index)
    }
}

/// The option that names an endpoint's link.
const LINK_NAME: &str = "com.docker.network.endpoint.ifname";

/// How a network is found by its name or id.
pub trait Find {
    /// The network.
    ///
    /// # Errors
    /// There is none.
    fn network(&self, who: &str) -> Result<Arc<Definition>, Fault>;

    /// Whether this host hears what a container answers to `::1`.
    fn hears_loopback6(&self) -> bool;
}

/// Admits what a create request says of networks; `config` is the request's merged with the image's. What is
/// ignored is told in `warnings`.
///
/// # Errors
/// What is wrong, in docker's words where it has them.
pub fn admit(
    find: &dyn Find,
    request: &wire::ContainerCreateRequest,
    config: &wire::ContainerConfig,
    warnings: &mut Vec<String>,
) -> Result<Plan, Fault> {
    let host = &request.host_config;
    let asked = &request.networking_config.endpoints_config;
    let mode = match host.network_mode.as_str() {
        _ if request.config.network_disabled => "none",
        "" | "default" => DEFAULT,
        mode => mode,
    };
    if !host.links.is_empty() && (matches!(mode, "none" | "host") || mode.starts_with("container:")) {
        // COMPAT(docker 28): the sentence.
        let kind = mode.split(':').next().unwrap_or_default();
        return Err(Fault::invalid(format!(
            "conflicting options: {kind} type networking can't be used with links. This would result in undefined behavior"
        )));
    }
    let publishes = !host.port_bindings.is_empty() || host.publish_all_ports;
    if mode.starts_with("container:") {
        if publishes {
            return Err(Fault::invalid("conflicting options: port publishing and the container type network mode"));
        }
        return none(asked, mode);
    }
    if matches!(mode, "none" | "host") {
        if publishes {
            warnings.push(format!("Published ports are discarded when using {mode} network mode"));
        }
        return none(asked, mode);
    }
    let main = settings(asked, mode, &host.network_mode);
    let mut first = endpoint(find, mode, main, &request.config.mac_address)?;
    // COMPAT(docker 28): its client says the links of the main network here.
    for link in host.links.iter().map(|text| link(text)).collect::<Result<Vec<_>, _>>()? {
        if !first.links.contains(&link) {
            first.links.push(link);
        }
    }
    let mut endpoints = vec![first];
    for (name, settings) in asked {
        let network = if name == "default" { DEFAULT } else { name };
        let network = find.network(network)?;
        if endpoints.iter().all(|wish| wish.network != network.id) {
            endpoints.push(endpoint(find, &network.id, settings.as_ref(), "")?);
        }
    }
    let plan = Plan { endpoints, ports: ports(find, host, config)? };
    plan.check_names()?;
    let main = &plan.endpoints[plan.gateway(|network| find.network(network))];
    if !plan.ports.is_empty() && find.network(&main.network)?.internal {
        return Err(Fault::invalid(format!(
            "ports cannot be published on the internal network {}: nothing outside reaches it",
            main.name
        )));
    }
    let network = find.network(&main.network)?;
    plan.ports.iter().try_for_each(|wish| check_family(wish, &network))?;
    let driver = network.driver;
    if !plan.ports.is_empty() && driver != Driver::Bridge {
        warnings.push(format!(
            "Published ports are discarded on {} networks: their containers have addresses of their own outside",
            driver.name()
        ));
    }
    Ok(plan)
}

/// That a network has the family of the address that a port shall be published on.
///
/// # Errors
/// It has not.
pub(super) fn check_family(wish: &Wish, network: &Definition) -> Result<(), Fault> {
    let lacks = |address: &IpAddr| network.driver == Driver::Bridge && network.subnet(address.is_ipv4()).is_none();
    let Some(address) = wish.address.filter(lacks) else { return Ok(()) };
    let (lacks, has) = if address.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
    Err(Fault::invalid(format!("a port cannot be published on {address}: the network {} has no {lacks}", network.name))
        .hint(format!("make the network with {lacks}, or publish the port on an {has} address")))
}

/// Without a network of its own there is nothing to ask of one.
fn none(asked: &BTreeMap<String, Option<wire::EndpointSettings>>, mode: &str) -> Result<Plan, Fault> {
    let fixed = |settings: &wire::EndpointSettings| {
        settings.ipam_config.as_ref().is_some_and(|ipam| !ipam.ipv4_address.is_empty() || !ipam.ipv6_address.is_empty())
    };
    if asked.values().flatten().any(fixed) {
        return Err(Fault::invalid(format!(
            "invalid config for network {mode}: user specified IP address is supported on user defined networks only"
        )));
    }
    match asked.keys().find(|name| *name != mode && *name != "default") {
        Some(name) => Err(Fault::invalid(format!(
            "a container in the network mode {} cannot join the network {}",
            shown(mode),
            shown(name)
        ))),
        None => Ok(Plan::default()),
    }
}

/// Clients name the main network as the mode did, or by its proper name.
fn settings<'a>(
    asked: &'a BTreeMap<String, Option<wire::EndpointSettings>>,
    mode: &str,
    said: &str,
) -> Option<&'a wire::EndpointSettings> {
    [mode, said, "default"].iter().find_map(|name| asked.get(*name)).and_then(Option::as_ref)
}

fn endpoint(
    find: &dyn Find,
    name: &str,
    settings: Option<&wire::EndpointSettings>,
    mac: &str,
) -> Result<EndpointWish, Fault> {
    let network = find.network(name)?;
    let plain = wire::EndpointSettings::default();
    let asked = settings.unwrap_or(&plain);
    let mac = if asked.mac_address.is_empty() { mac } else { &asked.mac_address };
    wish(&network, asked, mac)
}

/// What one endpoint asks, checked against its network.
///
/// # Errors
/// What is wrong, in docker's words where it has them.
pub fn wish(network: &Definition, asked: &wire::EndpointSettings, mac: &str) -> Result<EndpointWish, Fault> {
    let ipam = asked.ipam_config.clone().unwrap_or_default();
    sysctls(&asked.driver_opts, "eth0")?;
    let ipv4: Option<Ipv4Addr> = address(&ipam.ipv4_address)?;
    let ipv6: Option<Ipv6Addr> = address(&ipam.ipv6_address)?;
    if network.name == DEFAULT {
        if ipv4.is_some() || ipv6.is_some() {
            return Err(Fault::invalid("user specified IP address is supported on user defined networks only"));
        }
        if !asked.aliases.is_empty() {
            return Err(Fault::invalid(
                "network-scoped alias is supported only for containers in user defined networks",
            ));
        }
    }
    for fixed in [ipv4.map(IpAddr::V4), ipv6.map(IpAddr::V6)].into_iter().flatten() {
        let subnet = network.subnet(fixed.is_ipv4());
        let none = || Fault::invalid(format!("no configured subnet contains IP address {fixed}"));
        hull_network::ipam::check_address(subnet.ok_or_else(none)?, &Default::default(), fixed)?;
    }
    let mac = if mac.is_empty() { None } else { Some(mac.parse::<Mac>().map_err(|e| Fault::invalid(e.to_string()))?) };
    if mac.is_some_and(|mac| mac.0[0] & 1 == 1) {
        return Err(Fault::invalid("a multicast MAC address cannot be a container's"));
    }
    if mac.is_some() && !network.driver.own_mac() {
        return Err(Fault::invalid(format!(
            "containers on the network {} have the MAC address of its parent",
            network.name
        )));
    }
    Ok(EndpointWish {
        network: network.id.clone(),
        name: network.name.clone(),
        ipv4,
        ipv6,
        link_local: link_local(network, &ipam.link_local_ips)?,
        mac,
        aliases: asked.aliases.clone(),
        gateway_priority: asked.gw_priority,
        driver_opts: asked.driver_opts.clone(),
        links: asked.links.iter().map(|text| link(text)).collect::<Result<_, _>>()?,
    })
}

/// Addresses that are good for one network alone.
fn link_local(network: &Definition, asked: &[String]) -> Result<Vec<IpAddr>, Fault> {
    let read = |text: &String| {
        // COMPAT(docker 28): both sentences.
        let bad = |words| Fault::invalid(format!("invalid {words} IP address: {}", shown(text)));
        let address: IpAddr = text.parse().map_err(|_| bad("link-local"))?;
        let is = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        match (is, address.is_ipv6() && network.subnet(false).is_none()) {
            (false, _) => Err(bad("link local")),
            (true, true) => Err(Fault::invalid(format!(
                "a link cannot have the address {address}: the network {} has no IPv6",
                network.name
            ))),
            (true, false) => Ok(address),
        }
    };
    asked.iter().map(read).collect()
}

/// `container:alias`, or `container`, which is its own alias.
fn link(text: &str) -> Result<(String, String), Fault> {
    let (target, alias) = text.split_once(':').unwrap_or((text, text));
    let plain = |name: &str| !name.is_empty() && name.len() <= 255 && name.chars().all(|c| c.is_ascii_graphic());
    if !plain(target) || !plain(alias) {
        return Err(Fault::invalid(format!("bad format for links: {}", shown(text))));
    }
    Ok((alias.to_ascii_lowercase(), target.trim_start_matches('/').to_owned()))
}

/// A name that the kernel takes, and that nobody inside has already.
fn link_name(name: &str) -> Result<(), Fault> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    match name.len() > 15 || !name.chars().all(fits) || matches!(name, "." | ".." | "lo") {
        true => {
            Err(Fault::invalid(format!("the endpoint option {LINK_NAME}={} is not the name of a link", shown(name)))
                .hint("at most 15 characters without `/`, `:`, `%` and blanks, and not `lo`"))
        }
        false => Ok(()),
    }
}

/// The settings that an endpoint's options ask for, for the link `name`: docker's
/// `com.docker.network.endpoint.sysctls`, such as `net.ipv4.conf.IFNAME.log_martians=1,…`.
///
/// # Errors
/// Another option, or a setting that is not one of the link.
pub(super) fn sysctls(options: &BTreeMap<String, String>, name: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut all = Vec::new();
    for (key, value) in options {
        if key == LINK_NAME {
            link_name(value)?;
            continue;
        }
        if key != "com.docker.network.endpoint.sysctls" {
            return Err(Fault::unsupported(format!("the endpoint option {} is not supported", shown(key)))
                .hint("com.docker.network.endpoint.sysctls and com.docker.network.endpoint.ifname are"));
        }
        for setting in value.split(',') {
            let bad = || {
                Fault::invalid(format!("invalid endpoint sysctl setting {}", shown(setting)))
                    .hint("write it as net.ipv4.conf.IFNAME.name=value")
            };
            let (key, value) = setting.split_once('=').ok_or_else(bad)?;
            let parts: Vec<&str> = key.split('.').collect();
            let word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let of_link = matches!(parts[..], ["net", "ipv4" | "ipv6" | "mpls", "conf" | "neigh", "IFNAME", _]);
            if !of_link || !parts.iter().all(word) || value.is_empty() || value.contains(char::is_control) {
                return Err(bad());
            }
            all.push((key.replace('.', "/").replace("IFNAME", name), value.to_owned()));
        }
    }
    Ok(all)
}

fn address<T: std::str::FromStr>(text: &str) -> Result<Option<T>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Fault::invalid(format!("invalid IP address: {}", shown(text))))
}

/// `PortBindings`, and with `PublishAllPorts` every exposed port that has none.
fn ports(find: &dyn Find, host: &wire::HostConfig, config: &wire::ContainerConfig) -> Result<Vec<Wish>, Fault> {
    let mut wishes = Vec::new();
    for (text, bindings) in &host.port_bindings {
        let (port, protocol) = container_port(text)?;
        let any = [wire::PortBinding::default()];
        let bindings = bindings.as_deref().unwrap_or_default();
        for binding in if bindings.is_empty() { &any } else { bindings } {
            let address = address::<IpAddr>(&binding.host_ip)?;
            let on_loopback6 = address.is_some_and(|address| address.is_ipv6() && address.is_loopback());
            if on_loopback6 && !find.hears_loopback6() {
                let lacks = "a port cannot be published on ::1: bridged frames pass the ruleset, and this kernel has no rules for wires";
                return Err(Fault::unsupported(lacks)
                    .hint("set net.bridge.bridge-nf-call-ip6tables to 0, or publish it on 127.0.0.1"));
            }
            wishes.push(Wish { protocol, port, address, host: host_ports(&binding.host_port)? });
        }
    }
    if host.publish_all_ports {
        for text in config.exposed_ports.keys() {
            for (port, protocol) in exposed(text)? {
                if wishes.iter().all(|wish| (wish.port, wish.protocol) != (port, protocol)) {
                    wishes.push(Wish { protocol, port, address: None, host: (0, 0) });
                }
            }
        }
    }
    Ok(wishes)
}

fn container_port(text: &str) -> Result<(u16, Protocol), Fault> {
    let all = exposed(text)?;
    match all[..] {
        [one] => Ok(one),
        _ => Err(Fault::invalid(format!("invalid port specification: {}", shown(text)))),
    }
}

/// `80/tcp` or `8000-8010/udp`, port by port.
fn exposed(text: &str) -> Result<Vec<(u16, Protocol)>, Fault> {
    let bad = || Fault::invalid(format!("invalid port specification: {}", shown(text)));
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = Protocol::parse(protocol).ok_or_else(bad)?;
    let (first, last) = span(numbers).filter(|(first, _)| *first > 0).ok_or_else(bad)?;
    Ok((first..=last).map(|port| (port, protocol)).collect())
}

/// Empty is any port, as 0 is.
fn host_ports(text: &str) -> Result<(u16, u16), Fault> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    span(text).ok_or_else(|| Fault::invalid(format!("invalid port specification: {}", shown(text))))
}

fn span(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}
