//! Who may speak in whose name on a bridge: a table of the bridge family, beside that of [`crate::rules`]. Pure.
//!
//! A container that cannot change its addresses has no reason to send under others. What it sends is looked at where it comes
//! in, before the bridge learns from it:
//!
//! ```text
//! claims   prerouting -300   a pinned wire under its hardware address: claimed; under another: drop
//! claimed                    IPv4: on; in ARP, another address of either kind: drop; of IPv6's neighbours,
//!                            another source, another target, a router's words: drop
//! ```
//!
//! ORDER: of most frames one key is looked up and two rules are passed.

use std::net::{IpAddr, Ipv6Addr};

use hull_netlink::nft::{Batch, Chain, Element, Expr, Family, Field, Hook, Register, Rule, Set, Table, Type, Verdict};
use hull_netlink::route::{Mac, octets};

use crate::definition::Endpoint;

/// `ETH_P_IP` and `ETH_P_ARP`.
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const ICMPV6: u8 = 58;
/// Types of ICMPv6: what routers say, and what neighbours do.
const ROUTERS: [u8; 2] = [134, 137];
const NEIGHBOURS: [u8; 3] = [133, 135, 136];
const ADVERTISEMENT: u8 = 136;

const R0: Register = Register(0);
/// Behind the sixteen bytes of a link's name.
const NEXT: Register = Register(4);

/// The table beside that of the rules.
pub fn table(rules: &Table) -> Table {
    Table { family: Family::Bridge, name: rules.name.clone() }
}

/// The whole table. What was in a table of that name is gone with the same batch.
pub fn all(table: &Table, pinned: &[&Endpoint]) -> Batch {
    let mut batch = Batch::new();
    batch.add_table(table).delete_table(table).add_table(table);
    for (name, key) in [
        ("wires", &[Type::IfName][..]),
        ("macs", &[Type::IfName, Type::EtherAddr]),
        ("own4", &[Type::IfName, Type::Ipv4]),
        ("own6", &[Type::IfName, Type::Ipv6]),
    ] {
        batch.add_set(table, &Set { name, key, data: None });
    }
    batch.add_chain(table, &Chain { name: "claimed", base: None });
    batch.add_chain(table, &Chain { name: "claims", base: Some((Hook::Prerouting, -300, "filter")) });
    let own = [
        Expr::Load(Field::IifName, R0),
        Expr::Load(Field::EtherSaddr, NEXT),
        Expr::Lookup(R0, "macs".into(), true),
        Expr::Verdict(Verdict::Goto("claimed".into())),
    ];
    batch.add_rule(table, &Rule { chain: "claims", comment: "from a container", exprs: &own });
    let other = [Expr::Load(Field::IifName, R0), Expr::Lookup(R0, "wires".into(), true), Expr::Verdict(Verdict::Drop)];
    batch.add_rule(table, &Rule { chain: "claims", comment: "under another hardware address", exprs: &other });
    for (comment, exprs) in claimed() {
        batch.add_rule(table, &Rule { chain: "claimed", comment, exprs: &exprs });
    }
    add(&mut batch, table, pinned);
    batch
}

/// How many rules each chain has, as [`all`] makes them.
pub fn counts() -> Vec<(&'static str, usize)> {
    vec![("claims", 2), ("claimed", claimed().len())]
}

fn claimed() -> Vec<(&'static str, Vec<Expr>)> {
    let drop = || Expr::Verdict(Verdict::Drop);
    // The rest of a rule: under what is not this wire's.
    let foreign = |field, set: &str| {
        [Expr::Load(Field::IifName, R0), Expr::Load(field, NEXT), Expr::Lookup(R0, set.into(), false), drop()]
    };
    let is = |field, value: &[u8]| [Expr::Load(field, R0), Expr::Cmp(R0, true, value.to_vec())];
    let is_not = |field, value: &[u8]| [Expr::Load(field, R0), Expr::Cmp(R0, false, value.to_vec())];
    let arp = is(Field::Protocol, &ARP);
    let icmp = |kind: u8| is(Field::Icmp6Type, &[kind]);
    let on = || Expr::Verdict(Verdict::Accept);
    let mut rules = vec![
        ("of IPv4", [&is(Field::Protocol, &IPV4)[..], &[on()]].concat()),
        ("another hardware address in ARP", [&arp[..], &foreign(Field::ArpSaddrEther, "macs")].concat()),
        // Who asks whether an address is free has none yet.
        (
            "another address in ARP",
            [&arp[..], &is_not(Field::ArpSaddr4, &[0; 4]), &foreign(Field::ArpSaddr4, "own4")].concat(),
        ),
    ];
    rules.push(("of something else", [&is_not(Field::L4Proto, &[ICMPV6])[..], &[on()]].concat()));
    rules.extend(ROUTERS.map(|kind| ("a router's words", [&icmp(kind)[..], &[drop()]].concat())));
    rules.extend(NEIGHBOURS.map(|kind| {
        let some = is_not(Field::Saddr6, &[0; 16]);
        ("another source among neighbours", [&icmp(kind)[..], &some, &foreign(Field::Saddr6, "own6")].concat())
    }));
    let target = [&icmp(ADVERTISEMENT)[..], &foreign(Field::Icmp6Target, "own6")].concat();
    rules.push(("another neighbour's address", target));
    rules
}

/// Pins wires.
pub fn add(batch: &mut Batch, table: &Table, pinned: &[&Endpoint]) {
    for (set, elements) in elements(pinned) {
        batch.add_elements(table, set, &elements);
    }
}

/// Lets them go.
pub fn delete(batch: &mut Batch, table: &Table, pinned: &[&Endpoint]) {
    for (set, elements) in elements(pinned) {
        batch.delete_elements(table, set, &elements);
    }
}

fn elements(pinned: &[&Endpoint]) -> Vec<(&'static str, Vec<Element>)> {
    let mut all: Vec<(&'static str, Vec<Element>)> =
        ["wires", "macs", "own4", "own6"].map(|set| (set, Vec::new())).into();
    let mut put = |set: usize, key: Vec<u8>| all[set].1.push(Element { key, data: None });
    for endpoint in pinned {
        let wire = Expr::ifname(&endpoint.link);
        put(0, wire.clone());
        put(1, [&wire[..], &endpoint.mac.0, &[0, 0]].concat());
        let addresses = endpoint.addresses.iter().chain(&endpoint.link_local).map(|net| net.address);
        for address in addresses.clone() {
            put(if address.is_ipv4() { 2 } else { 3 }, [wire.clone(), octets(address)].concat());
        }
        if addresses.clone().any(|address| address.is_ipv6()) {
            put(3, [wire.clone(), octets(link_local(endpoint.mac))].concat());
        }
    }
    all.retain(|(_, list)| !list.is_empty());
    all
}

/// The address that the kernel gives a link of its own accord (RFC 4291, appendix A).
fn link_local(mac: Mac) -> IpAddr {
    let Mac([a, b, c, d, e, f]) = mac;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_follows_from_the_hardware_address() {
        let address = link_local(Mac([0x02, 0x42, 0xac, 0x11, 0x00, 0x02]));
        assert_eq!(address, "fe80::42:acff:fe11:2".parse::<IpAddr>().unwrap());
    }
}
