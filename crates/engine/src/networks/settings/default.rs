//! The default network, from what `networks.json` says of it and what it was before.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use hull_network::{Definition, Net, Subnet};
use hull_types::Fault;

use super::File;
use crate::networks::{DEFAULT, asked, random_id};

/// What is wanted of the default network; what is absent is as it was, or docker's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::networks) struct Wish {
    /// The bridge's own address with its subnet.
    own: [Option<Net>; 2],
    /// Where containers' addresses are taken from.
    range: [Option<Net>; 2],
    ipv6: bool,
    mtu: Option<u32>,
    isolated: bool,
    unmasked: bool,
    publish_on: Option<IpAddr>,
}

impl Wish {
    /// Checks what is said of it.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn read(file: &File) -> Result<Self, String> {
        let own = [own("bip", file.bip, true)?, own("bip6", file.bip6, false)?];
        let range = [range("fixed-cidr", file.fixed_cidr, true)?, range("fixed-cidr-v6", file.fixed_cidr_v6, false)?];
        for (own, range) in own.iter().zip(range) {
            if let (Some(own), Some(range)) = (own, range)
                && (!own.contains(range.address) || range.prefix < own.prefix)
            {
                return Err(format!("the range {range} is no part of {}", own.network()));
            }
        }
        if file.mtu.is_some_and(|mtu| !asked::fits(mtu)) {
            return Err(format!("`mtu` is not {}", asked::MTU_WORDS));
        }
        if file.ip.is_some_and(|address| !address.is_ipv4()) {
            return Err("`ip` is no address of IPv4".to_owned());
        }
        Ok(Self {
            ipv6: file.ipv6.unwrap_or(own[1].or(range[1]).is_some()),
            own,
            range,
            mtu: file.mtu,
            isolated: file.icc == Some(false),
            unmasked: file.ip_masq == Some(false),
            publish_on: file.ip.filter(|address| !address.is_unspecified()),
        })
    }
}

/// A bridge's address in its network.
fn own(key: &str, value: Option<Net>, v4: bool) -> Result<Option<Net>, String> {
    let Some(own) = value else { return Ok(None) };
    let fits = own.address.is_ipv4() == v4
        && own.prefix <= if v4 { 30 } else { 126 }
        && own.address != own.network().address
        && !(v4 && own.address == own.last());
    if fits { Ok(value) } else { Err(format!("`{key}` is {own}, which is no address of a bridge with its subnet")) }
}

fn range(key: &str, value: Option<Net>, v4: bool) -> Result<Option<Net>, String> {
    match value {
        Some(range) if range.address.is_ipv4() != v4 || range.network() != range => {
            Err(format!("`{key}` is {range}, which is no range of addresses"))
        }
        _ => Ok(value),
    }
}

/// The default network as it is wanted. `stored`: as it was; `pool` finds a subnet for one that never was.
///
/// # Errors
/// No subnet is free, or one that is asked for is another network's.
pub(in crate::networks) fn definition(
    wish: &Wish,
    stored: Option<&Definition>,
    others: &[Arc<Definition>],
    link: String,
    pool: impl Fn(bool) -> Result<Net, Fault>,
) -> Result<Definition, Fault> {
    let before = |v4| stored.and_then(|stored| stored.subnet(v4));
    let mut subnets = vec![subnet(wish.own[0], wish.range[0], before(true), || pool(true))?];
    if wish.ipv6 {
        subnets.push(subnet(wish.own[1], wish.range[1], before(false), || pool(false))?);
    }
    for subnet in &subnets {
        let overlaps = |other: &&Arc<Definition>| other.subnets.iter().any(|theirs| theirs.net.overlaps(subnet.net));
        if let Some(other) = others.iter().find(overlaps) {
            return Err(Fault::invalid(format!("the default network cannot have the subnet {}", subnet.net))
                .cause(format!("it overlaps that of the network {}", other.name)));
        }
    }
    let mut network = match stored {
        Some(stored) => stored.clone(),
        None => Definition::bridge(random_id()?, DEFAULT, link),
    };
    network.subnets = subnets;
    network.icc = !wish.isolated;
    network.masquerade = !wish.unmasked;
    network.mtu = wish.mtu;
    network.publish_on = wish.publish_on;
    network.options = options(&network);
    Ok(network)
}

fn subnet(
    own: Option<Net>,
    range: Option<Net>,
    before: Option<&Subnet>,
    pool: impl FnOnce() -> Result<Net, Fault>,
) -> Result<Subnet, Fault> {
    if let Some(own) = own {
        return Ok(Subnet { gateway: own.address, range, ..asked::whole(own.network()) });
    }
    let inside = |subnet: &&Subnet| {
        range.is_none_or(|range| subnet.net.contains(range.address) && range.prefix >= subnet.net.prefix)
    };
    match (before.filter(inside), range) {
        (Some(before), _) => Ok(Subnet { range, ..before.clone() }),
        // COMPAT(docker 28): a range without a subnet around it is the subnet.
        (None, Some(range)) => Ok(asked::whole(range)),
        (None, None) => Ok(asked::whole(pool()?)),
    }
}

/// As docker shows them.
fn options(network: &Definition) -> BTreeMap<String, String> {
    let on = network.publish_on.map_or_else(|| "0.0.0.0".to_owned(), |address| address.to_string());
    let bridge = [
        ("bridge.default_bridge", "true".to_owned()),
        ("bridge.enable_icc", network.icc.to_string()),
        ("bridge.enable_ip_masquerade", network.masquerade.to_string()),
        ("bridge.host_binding_ipv4", on),
        ("bridge.name", network.link.clone()),
    ];
    // Without a wish it is the uplink's, which is no option.
    let mtu = network.mtu.map(|mtu| ("driver.mtu", mtu.to_string()));
    bridge.into_iter().chain(mtu).map(|(key, value)| (format!("com.docker.network.{key}"), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(json: &str, stored: Option<&Definition>) -> Definition {
        let wish = Wish::read(&serde_json::from_str(json).unwrap()).unwrap();
        definition(&wish, stored, &[], "hull0".into(), |v4| {
            if v4 { Ok("172.17.0.0/16".parse().unwrap()) } else { asked::local_v6() }
        })
        .unwrap()
    }

    fn told(network: &Definition) -> Vec<String> {
        let shown = |subnet: &Subnet| match subnet.range {
            Some(range) => format!("{} {} {range}", subnet.net, subnet.gateway),
            None => format!("{} {}", subnet.net, subnet.gateway),
        };
        network.subnets.iter().map(shown).collect()
    }

    #[test]
    fn the_default_network_is_what_the_settings_say() {
        let plain = made("{}", None);
        assert_eq!(told(&plain), ["172.17.0.0/16 172.17.0.1"]);
        assert!(plain.icc && plain.masquerade && plain.mtu.is_none() && plain.publish_on.is_none());
        assert_eq!(made("{}", Some(&plain)), plain, "the same again");
        for (json, expected) in [
            (r#"{ "bip": "10.5.0.9/16" }"#, &["10.5.0.0/16 10.5.0.9"][..]),
            (r#"{ "bip": "10.5.0.1/16", "fixed-cidr": "10.5.1.0/24" }"#, &["10.5.0.0/16 10.5.0.1 10.5.1.0/24"]),
            (r#"{ "fixed-cidr": "10.5.1.0/24" }"#, &["10.5.1.0/24 10.5.1.1"]),
            (r#"{ "fixed-cidr": "172.17.5.0/24" }"#, &["172.17.0.0/16 172.17.0.1 172.17.5.0/24"]),
            (r#"{ "fixed-cidr-v6": "fd09::/64" }"#, &["172.17.0.0/16 172.17.0.1", "fd09::/64 fd09::1"]),
            (r#"{ "bip6": "fd09::5/64" }"#, &["172.17.0.0/16 172.17.0.1", "fd09::/64 fd09::5"]),
            (r#"{ "ipv6": false, "fixed-cidr-v6": "fd09::/64" }"#, &["172.17.0.0/16 172.17.0.1"]),
        ] {
            assert_eq!(told(&made(json, Some(&plain))), expected, "{json}");
        }
        let six = made(r#"{ "ipv6": true }"#, Some(&plain));
        assert!(told(&six)[1].starts_with("fd"), "{six:?}");
        assert_eq!(made(r#"{ "ipv6": true }"#, Some(&six)), six, "a random subnet stays");
        let all = made(r#"{ "mtu": 1450, "icc": false, "ip-masq": false, "ip": "127.0.0.1" }"#, Some(&plain));
        assert_eq!((all.icc, all.masquerade, all.mtu), (false, false, Some(1450)));
        assert_eq!(all.publish_on, Some([127, 0, 0, 1].into()));
        assert_eq!(made("{}", Some(&all)), plain, "and back");
    }

    #[test]
    fn another_networks_subnet_is_refused() {
        let plain = made("{}", None);
        let wish = Wish::read(&serde_json::from_str(r#"{ "bip": "172.17.9.1/24" }"#).unwrap()).unwrap();
        let refused = definition(&wish, None, &[Arc::new(plain)], "hull1".into(), |_| asked::local_v6()).unwrap_err();
        assert!(refused.to_string().contains("cannot have the subnet 172.17.9.0/24"), "{refused}");
    }
}
