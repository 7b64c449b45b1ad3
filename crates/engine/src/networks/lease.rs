//! Addresses and ports of a container that starts: chosen and kept here, made elsewhere.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hull_network::ports::{Protocol, Published, Reserved, Way, places, reserve};
use hull_network::{Definition, Driver, Endpoint, Net, Subnet, ipam};
use hull_types::Fault;

use super::names::{self, Service, Who};
use super::{EndpointWish, Ends, Given, Inner, Networks, Plan, plan, random_id};
use crate::core::blocking;

impl Networks {
    /// Chooses addresses and keeps ports for a container that starts. Nothing of the kernel's is made yet.
    ///
    /// # Errors
    /// A network is gone or full, an address or a port is taken.
    pub fn lease(&self, who: &Who<'_>, plan: &Plan) -> Result<Given, Fault> {
        let result = self.lease_all(who, plan);
        if result.is_err() {
            self.release(who.id);
        }
        result
    }

    fn lease_all(&self, who: &Who<'_>, plan: &Plan) -> Result<Given, Fault> {
        let gateway = self.gateway(plan);
        let mut endpoints = Vec::new();
        let mut names: Vec<String> = plan.endpoints.iter().filter_map(|w| w.link_name().map(str::to_owned)).collect();
        for (index, wish) in plan.endpoints.iter().enumerate() {
            let network = self.find(&wish.network)?;
            names.push(link_name(&network, wish, &names));
            let mut endpoint = self.endpoint(&network, wish, &names[names.len() - 1])?;
            if index == 0
                && who.has_the_engines_users()
                && let Some(link) = self.switch.reserve(&endpoint)
            {
                endpoint.link = link;
            }
            endpoint.gateway = index == gateway;
            endpoint.names = names::on(&network, who, wish);
            endpoint.pinned = self.is_pinned(who);
            // ORDER: known at once, so that nobody else is given the same.
            self.lock().ends.entry(who.id).or_default().endpoints.push(endpoint.clone());
            self.zone.add(&network, &endpoint);
            endpoints.push(endpoint);
        }
        let reserved = self.keep_ports(plan, &endpoints)?;
        let ports = reserved.iter().map(|one| one.published).collect();
        if let Some(ends) = self.lock().ends.get_mut(&who.id) {
            ends.reserved = reserved;
            ends.names = Service::asked_by(who);
        }
        Ok(Given { endpoints, ports, joining: None })
    }

    /// What a container would be given if it started now: for telling, nothing is kept for it. A port that may be any is that
    /// of the container.
    pub fn imagine(&self, who: &Who<'_>, plan: &Plan) -> Result<Given, Fault> {
        let gateway = self.gateway(plan);
        let mut endpoints = Vec::new();
        let mut links: Vec<String> = plan.endpoints.iter().filter_map(|w| w.link_name().map(str::to_owned)).collect();
        for (index, wish) in plan.endpoints.iter().enumerate() {
            let network = self.find(&wish.network)?;
            let link = link_name(&network, wish, &links);
            let addresses = self.lock().choose(&network, Some(wish))?;
            let (gateway, names, pinned) = (index == gateway, names::on(&network, who, wish), self.is_pinned(who));
            endpoints.push(Endpoint { gateway, names, pinned, ..made(&network, wish, &link, addresses)? });
            links.push(link);
        }
        let mut ports = Vec::new();
        if let Some((main, network)) = self.publishing(&endpoints)? {
            let settings = self.settings.as_ref().map_err(Clone::clone)?;
            let ways = ways(&network, main);
            for wish in &plan.ports {
                let any = if wish.host.0 == 0 { wish.port } else { wish.host.0 };
                let (protocol, port) = (wish.protocol, wish.port);
                let host = |address: &IpAddr| match ways[usize::from(address.is_ipv6())] {
                    Some(Way::Direct) => 0,
                    _ => any,
                };
                let named = wish.address.or(network.publish_on).or(settings.publish_on);
                let one = |address: IpAddr| Published { protocol, port, address, host: host(&address) };
                ports.extend(places(named, ways).into_iter().map(one));
            }
        }
        Ok(Given { endpoints, ports, joining: None })
    }

    /// Addresses of a network that nobody has now, one of each family.
    pub fn spare(&self, network: &Definition) -> Result<Vec<Net>, Fault> {
        self.lock().choose(network, None)
    }

    /// Whether a container's wires speak in its own name alone: nothing in its network can change its addresses.
    pub(super) fn is_pinned(&self, who: &Who<'_>) -> bool {
        who.speaks_for_itself() && !self.lock().outspoken.contains(&who.id)
    }

    /// A container that shares another one's network, and may change the addresses there, lets that one's wires speak in
    /// any name.
    pub fn share(&self, who: &Who<'_>) {
        let Some(other) = who.shares().filter(|_| !who.speaks_for_itself()) else { return };
        let endpoints = {
            let mut inner = self.lock();
            inner.outspoken.insert(other);
            let ends = inner.ends.get_mut(&other);
            ends.map_or_else(Vec::new, |ends| {
                ends.endpoints.iter_mut().for_each(|end| end.pinned = false);
                ends.endpoints.clone()
            })
        };
        for endpoint in endpoints {
            if let Err(error) = blocking(|| self.switch.let_speak(&endpoint.id)) {
                tracing::warn!(container = %other, %error, "a container that shares its network cannot use other addresses");
            }
        }
    }

    /// Which of the endpoints has the default route.
    pub(super) fn gateway(&self, plan: &Plan) -> usize {
        plan.gateway(|network| self.find(network))
    }

    pub(super) fn endpoint(&self, network: &Definition, wish: &EndpointWish, name: &str) -> Result<Endpoint, Fault> {
        let mut inner = self.lock();
        let addresses = inner.choose(network, Some(wish))?;
        for Net { address, .. } in &addresses {
            let v4 = address.is_ipv4();
            if !(if v4 { wish.ipv4.is_some() } else { wish.ipv6.is_some() }) {
                inner.last.insert((network.id.clone(), v4), *address);
            }
        }
        drop(inner);
        made(network, wish, name, addresses)
    }

    pub(super) fn keep_ports(&self, plan: &Plan, endpoints: &[Endpoint]) -> Result<Vec<Reserved>, Fault> {
        let Some((first, network)) = self.publishing(endpoints)? else { return Ok(Vec::new()) };
        let mut kept = Vec::new();
        if plan.ports.is_empty() {
            return Ok(kept);
        }
        let settings = self.settings.as_ref().map_err(Clone::clone)?;
        let publish_on = network.publish_on.or(settings.publish_on);
        for wish in &plan.ports {
            if settings.obeys && wish.protocol == Protocol::Sctp {
                let refusal = "ports of sctp cannot be published while published ports obey the host's input rules";
                return Err(Fault::unsupported(refusal));
            }
            plan::check_family(wish, &network)?;
            let reserved = reserve(wish, publish_on, ways(&network, first)).map_err(|error| self.name_holder(error))?;
            kept.extend(reserved);
        }
        Ok(kept)
    }

    /// The endpoint that ports are published through: that with the default route, if it is on a bridge.
    pub(super) fn publishing<'a>(
        &self,
        endpoints: &'a [Endpoint],
    ) -> Result<Option<(&'a Endpoint, Arc<Definition>)>, Fault> {
        let Some(main) = endpoints.iter().find(|endpoint| endpoint.gateway) else { return Ok(None) };
        let network = self.find(&main.network)?;
        Ok((network.driver == Driver::Bridge).then_some((main, network)))
    }

    /// A port that is kept for a container of this engine: which one.
    fn name_holder(&self, error: hull_network::Error) -> Fault {
        let hull_network::Error::PortInUse { address, port, protocol, .. } = &error else { return error.into() };
        let inner = self.lock();
        let same = |one: &Published| {
            one.host == *port
                && one.protocol.name() == *protocol
                && (one.address == *address || one.address.is_unspecified() || address.is_unspecified())
        };
        let holds = |ends: &Ends| ends.reserved.iter().any(|one| same(&one.published));
        let owner = inner.ends.iter().find(|(_, ends)| holds(ends)).map(|(id, _)| id.short().to_owned());
        drop(inner);
        match owner {
            Some(owner) => Fault::new(error.kind(), error.to_string())
                .cause(format!("container {owner} publishes {port}/{protocol}"))
                .hint("stop that one or choose another port"),
            None => error.into(),
        }
    }
}

/// How the ports of a network are published, in the families that an end of it has.
fn ways(network: &Definition, end: &Endpoint) -> [Option<Way>; 2] {
    [true, false].map(|v4| {
        let way = if network.gateways.mode(v4).translates() { Way::Translated } else { Way::Direct };
        end.address(v4).map(|_| way)
    })
}

/// How an endpoint's link is called inside: as it wishes, or with a number behind the highest that was given.
pub(super) fn link_name(network: &Definition, wish: &EndpointWish, given: &[String]) -> String {
    if let Some(name) = wish.link_name() {
        return name.to_owned();
    }
    let asked = ["com.docker.network.container_iface_prefix", "container_iface_prefix"];
    let prefix = asked.iter().find_map(|key| network.options.get(*key)).map_or("eth", String::as_str);
    let number = |name: &String| name.strip_prefix(prefix).and_then(|number| number.parse::<u32>().ok());
    let next = given.iter().filter_map(number).max().map_or(0, |highest| highest.saturating_add(1));
    format!("{prefix}{next}")
}

impl Inner {
    /// An address of each family: that which is wished for, else one that nobody has.
    fn choose(&self, network: &Definition, wish: Option<&EndpointWish>) -> Result<Vec<Net>, Fault> {
        let in_use: BTreeSet<IpAddr> = self.addresses(&network.id).collect();
        let one = |subnet: &Subnet| {
            let v4 = subnet.net.address.is_ipv4();
            let wished = |wish: &EndpointWish| if v4 { wish.ipv4.map(IpAddr::V4) } else { wish.ipv6.map(IpAddr::V6) };
            let address = match wish.and_then(wished) {
                Some(address) => ipam::check_address(subnet, &in_use, address).map(|()| address)?,
                None => ipam::free_address(subnet, &in_use, self.last.get(&(network.id.clone(), v4)).copied())?,
            };
            Ok(Net { address, prefix: subnet.net.prefix })
        };
        network.subnets.iter().map(one).collect()
    }
}

/// An end of a container of this name, with these addresses.
fn made(network: &Definition, wish: &EndpointWish, name: &str, addresses: Vec<Net>) -> Result<Endpoint, Fault> {
    let id = random_id()?;
    let first = match addresses.first().map(|net| net.address) {
        Some(IpAddr::V4(first)) => first,
        // Its last four bytes, which are its own as well.
        Some(IpAddr::V6(first)) => Ipv4Addr::from_bits(first.to_bits() as u32),
        None => return Err(Fault::internal(format!("network `{}` has no subnet", network.name))),
    };
    Ok(Endpoint {
        network: network.id.clone(),
        name: name.to_owned(),
        link: format!("veth{}", &id[..8]),
        mac: wish.mac.unwrap_or_else(|| ipam::mac(first)),
        addresses,
        gateway: false,
        names: Vec::new(),
        sysctls: plan::sysctls(&wish.driver_opts, name)?,
        link_local: wish.link_local(),
        pinned: false,
        id,
    })
}
