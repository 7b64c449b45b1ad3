//! The part of the ruleset that networks with gateways of their own kind need: which containers are reached at their own addresses.
//! Without such a network there is none of it.

use hull_netlink::nft::{Batch, Element, Expr, Field, Register, Set, Table, Type, Verdict};

use super::{R0, V4, V6};
use crate::definition::Definition;
use crate::gateway::GatewayMode;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Its sets: ports that are reached directly; bridges by family, and those beside the links that they trust.
pub(super) fn sets(batch: &mut Batch, table: &Table) {
    use Type::{IfName, Ipv4, Ipv6, Proto, Service};
    for (name, key) in [
        ("direct4", &[Ipv4, Proto, Service][..]),
        ("direct6", &[Ipv6, Proto, Service]),
        ("routed4", &[IfName]),
        ("routed6", &[IfName]),
        ("unprotected4", &[IfName]),
        ("unprotected6", &[IfName]),
        ("trusted", &[IfName, IfName]),
    ] {
        batch.add_set(table, &Set { name, key, data: None });
    }
}

/// Their elements that come with networks.
pub(super) fn links(batch: &mut Batch, table: &Table, networks: &[&Definition]) {
    for (v4, routed, unprotected) in [(true, "routed4", "unprotected4"), (false, "routed6", "unprotected6")] {
        for (set, mode) in [(routed, GatewayMode::Routed), (unprotected, GatewayMode::NatUnprotected)] {
            let these = networks.iter().filter(|network| is(network, v4, mode));
            let elements = these.map(|network| Element { key: Expr::ifname(&network.link), data: None });
            batch.add_elements(table, set, &elements.collect::<Vec<_>>());
        }
    }
    let pairs = networks.iter().flat_map(|network| {
        let pair = |link: &String| [Expr::ifname(link), Expr::ifname(&network.link)].concat();
        network.gateways.trusted.iter().map(pair)
    });
    batch.add_elements(table, "trusted", &pairs.map(|key| Element { key, data: None }).collect::<Vec<_>>());
}

/// Rules of `into`, before the one that drops the rest.
pub(super) fn rules(networks: &[&Definition]) -> Vec<(&'static str, Vec<Expr>)> {
    let mut rules = Vec::new();
    let accept = || Expr::Verdict(Verdict::Accept);
    let any = |v4, mode| networks.iter().any(|network| is(network, v4, mode));
    let trusted = [
        Expr::Load(Field::IifName, R0),
        Expr::Load(Field::OifName, Register(4)),
        Expr::Lookup(R0, "trusted".into(), true),
    ];
    for (v4, family, icmp) in [(true, V4, ICMP), (false, V6, ICMPV6)] {
        let name = |set: &str| format!("{set}{}", if v4 { 4 } else { 6 });
        let of_family = [Expr::Load(Field::Nfproto, R0), Expr::Cmp(R0, true, vec![family])];
        let (daddr, words) = if v4 { (Field::Daddr4, 1) } else { (Field::Daddr6, 4) };
        let port_in = |set: &str| {
            let key = [
                Expr::Load(daddr, R0),
                Expr::Load(Field::L4Proto, Register(words)),
                Expr::Load(Field::Dport, Register(words + 1)),
                Expr::Lookup(R0, name(set), true),
            ];
            [&of_family[..], &key].concat()
        };
        let to = |set: &str| [Expr::Load(Field::OifName, R0), Expr::Lookup(R0, name(set), true)];
        if networks.iter().any(|network| !network.gateways.trusted.is_empty()) {
            rules.push(("published ports, by a trusted link", [&trusted[..], &port_in("open"), &[accept()]].concat()));
        }
        if any(v4, GatewayMode::Routed) {
            rules.push(("ports of routed networks", [&port_in("direct")[..], &[accept()]].concat()));
            let echo = [Expr::Load(Field::L4Proto, R0), Expr::Cmp(R0, true, vec![icmp])];
            rules.push(("ICMP to routed networks", [&of_family[..], &echo, &to("routed"), &[accept()]].concat()));
        }
        if any(v4, GatewayMode::NatUnprotected) {
            // COMPAT(docker 28): other networks of this host stay apart.
            let outside = [Expr::Load(Field::IifName, R0), Expr::Lookup(R0, "bridges".into(), false)];
            let exprs = [&of_family[..], &outside, &to("unprotected"), &[accept()]].concat();
            rules.push(("any port of unprotected networks, from other machines", exprs));
        }
    }
    rules
}

fn is(network: &Definition, v4: bool, mode: GatewayMode) -> bool {
    !network.internal && network.subnet(v4).is_some() && network.gateways.mode(v4) == mode
}
