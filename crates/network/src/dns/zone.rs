//! [`Zone`]: who is called what on which network.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use crate::definition::{Definition, Endpoint};

/// The names on all networks. What one container sees of it is said with each question.
#[derive(Debug, Default)]
pub struct Zone {
    networks: RwLock<HashMap<String, Network>>,
}

#[derive(Debug, Default)]
struct Network {
    name: String,
    /// Name in lower case → the endpoints that bear it, in the order of their coming.
    names: HashMap<String, Vec<Bearer>>,
    /// Address → the first name of the endpoint that has it.
    addresses: HashMap<IpAddr, String>,
}

#[derive(Debug)]
struct Bearer {
    endpoint: String,
    addresses: Vec<IpAddr>,
}

impl Zone {
    /// An endpoint's names hold from now on.
    pub fn add(&self, network: &Definition, endpoint: &Endpoint) {
        let Some(first) = endpoint.names.first() else { return };
        let mut networks = self.networks.write().unwrap_or_else(PoisonError::into_inner);
        let known = networks.entry(network.id.clone()).or_default();
        known.name = network.name.to_ascii_lowercase();
        let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|net| net.address).collect();
        known.addresses.extend(addresses.iter().map(|address| (*address, first.clone())));
        let names: BTreeSet<String> = endpoint.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        for name in names {
            let bearers = known.names.entry(name).or_default();
            bearers.push(Bearer { endpoint: endpoint.id.clone(), addresses: addresses.clone() });
        }
    }

    /// Nobody is called so any more.
    pub fn remove(&self, endpoint: &Endpoint) {
        let mut networks = self.networks.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = networks.get_mut(&endpoint.network) else { return };
        for name in endpoint.names.iter().map(|name| name.to_ascii_lowercase()) {
            if let Some(bearers) = known.names.get_mut(&name) {
                bearers.retain(|bearer| bearer.endpoint != endpoint.id);
                if bearers.is_empty() {
                    known.names.remove(&name);
                }
            }
        }
        for net in &endpoint.addresses {
            known.addresses.remove(&net.address);
        }
        if known.names.is_empty() {
            networks.remove(&endpoint.network);
        }
    }

    /// The addresses of this family behind a name, of the first of these networks that knows it: as `web`, or
    /// as `web.network`. `None`: there is no such name here. Empty: it has none of the family.
    pub fn addresses(&self, networks: &[String], name: &str, v4: bool) -> Option<Vec<IpAddr>> {
        let known = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        let ours = || networks.iter().filter_map(|id| known.get(id));
        let qualified = || {
            let (host, network) = name.rsplit_once('.')?;
            ours().filter(|known| known.name == network).find_map(|known| known.names.get(host))
        };
        let bearers = ours().find_map(|known| known.names.get(name)).or_else(qualified)?;
        let addresses = bearers.iter().flat_map(|bearer| &bearer.addresses);
        Some(addresses.filter(|address| address.is_ipv4() == v4).copied().collect())
    }

    /// Whose address this is on one of these networks: `web.network`.
    pub fn name(&self, networks: &[String], address: IpAddr) -> Option<String> {
        let known = self.networks.read().unwrap_or_else(PoisonError::into_inner);
        let mut ours = networks.iter().filter_map(|id| known.get(id));
        ours.find_map(|network| Some(format!("{}.{}", network.addresses.get(&address)?, network.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mac, Net};

    fn network(name: &str) -> Definition {
        Definition::bridge(format!("id-{name}"), name, format!("br-{name}"))
    }

    fn endpoint(network: &Definition, names: &[&str], addresses: &[&str]) -> Endpoint {
        Endpoint {
            id: format!("{}{}", names[0], network.name),
            network: network.id.clone(),
            name: "eth0".into(),
            link: "veth".into(),
            mac: Mac([2; 6]),
            addresses: addresses.iter().map(|text| text.parse::<Net>().unwrap()).collect(),
            gateway: true,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            sysctls: Vec::new(),
            link_local: Vec::new(),
            pinned: false,
        }
    }

    #[test]
    fn names_hold_on_their_network_and_as_long_as_their_bearer() {
        let (lan, far) = (network("Lan"), network("far"));
        let one = endpoint(&lan, &["Web", "www", "Web"], &["10.0.0.2/24", "fd00::2/64"]);
        let two = endpoint(&lan, &["web2", "www"], &["10.0.0.3/24"]);
        let zone = Zone::default();
        zone.add(&lan, &one);
        zone.add(&lan, &two);
        zone.add(&far, &endpoint(&far, &["web"], &["10.9.0.2/24"]));
        let ask = |networks: &[&Definition], name: &str, v4| {
            let ids: Vec<String> = networks.iter().map(|network| network.id.clone()).collect();
            zone.addresses(&ids, name, v4)
                .map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(ask(&[&lan], "web", true).unwrap(), "10.0.0.2");
        assert_eq!(ask(&[&lan], "web", false).unwrap(), "fd00::2");
        assert_eq!(ask(&[&lan], "www", true).unwrap(), "10.0.0.2 10.0.0.3");
        assert_eq!(ask(&[&lan], "web2", false).unwrap(), "", "known, without such an address");
        assert_eq!(ask(&[&lan], "web.lan", true).unwrap(), "10.0.0.2");
        assert_eq!(ask(&[&lan], "web.far", true), None, "not its network");
        assert_eq!(ask(&[&far, &lan], "web", true).unwrap(), "10.9.0.2", "the first of its networks");
        assert_eq!(ask(&[&far, &lan], "web.lan", true).unwrap(), "10.0.0.2");
        assert_eq!(ask(&[], "web", true), None);
        assert_eq!(zone.name(std::slice::from_ref(&lan.id), [10, 0, 0, 2].into()).unwrap(), "Web.lan");
        assert_eq!(zone.name(std::slice::from_ref(&far.id), [10, 0, 0, 2].into()), None);
        zone.remove(&one);
        assert_eq!(ask(&[&lan], "web", true), None);
        assert_eq!(ask(&[&lan], "www", true).unwrap(), "10.0.0.3");
        zone.remove(&two);
        assert!(!zone.networks.read().unwrap().contains_key(&lan.id));
    }
}
