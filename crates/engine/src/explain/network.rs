//! The network: each interface with what it hangs on outside, the routes, the names, the ports.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};

use hull_types::Fault;
use hull_wire as wire;

use super::{Subject, fact};
use crate::networks::trace;

pub(super) fn explain(of: &Subject<'_>) -> Result<wire::ExplainedNetwork, Fault> {
    // Without a network of its own it may have the host's ports, which are not its.
    let own = !of.view.state.given.endpoints.is_empty();
    let whole = own.then(|| trace::look(of.core, of.view, of.pid)).transpose()?;
    let places = whole.iter().flat_map(|whole| &whole.places);
    let interfaces = places.map(|trace::Place { network, endpoint, seen }| {
        let inside = seen.inside.as_ref();
        wire::ExplainedInterface {
            name: endpoint.name.clone(),
            up: inside.is_some_and(|link| link.up),
            mac: inside.and_then(|link| link.mac).map(|mac| mac.to_string()).unwrap_or_default(),
            addresses: inside.map_or_else(Vec::new, |link| link.addresses.iter().map(ToString::to_string).collect()),
            peer: seen.wire.as_ref().map(|link| link.name.clone()).unwrap_or_default(),
            bridge: seen.network.as_ref().map(|link| link.name.clone()).unwrap_or_default(),
            by: format!("--network {}", network.name),
            network: network.name.to_string(),
        }
    });
    let table = |name: &str| fs::read_to_string(format!("/proc/{}/net/{name}", of.pid)).unwrap_or_default();
    Ok(wire::ExplainedNetwork {
        mode: of.view.definition.host_config.network_mode.clone(),
        interfaces: interfaces.collect(),
        routes: [routes(&table("route")), routes6(&table("ipv6_route"))].concat(),
        names: names(of),
        ports: whole.map(|whole| whole.ports(of.view, None)).unwrap_or_default(),
    })
}

/// The resolver's settings as the file has them that is mounted there.
fn names(of: &Subject<'_>) -> Vec<wire::ExplainedFact> {
    let file = of.core.container_dir(&of.view.definition.id).join("resolv.conf");
    let text = fs::read_to_string(file).unwrap_or_default();
    let wish = &of.view.definition.spec.resolver;
    let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(word, _)| !word.starts_with('#'));
    let told = lines.map(|(word, rest)| {
        let (asked, by) = match word {
            "nameserver" => (&wish.servers, "--dns"),
            "search" => (&wish.search, "--dns-search"),
            _ => (&wish.options, "--dns-option"),
        };
        fact(word, rest.trim(), asked.join(" "), if asked.is_empty() { "" } else { by })
    });
    told.collect()
}

/// IPv4's routes. Source: the header of `/proc/net/route`; addresses are hexadecimal, in the machine's byte order.
fn routes(table: &str) -> Vec<wire::ExplainedFact> {
    let address = |text: &str| u32::from_str_radix(text, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (to, via, mask) = (address(fields.get(1)?)?, address(fields.get(2)?)?, address(fields.get(7)?)?);
        let length = u32::from(mask).leading_ones();
        let name = if length == 0 { "default".to_owned() } else { format!("{to}/{length}") };
        let way = if via.is_unspecified() { String::new() } else { format!("via {via} ") };
        Some(fact(&name, format!("{way}dev {}", fields.first()?), "", ""))
    };
    table.lines().skip(1).filter_map(row).collect()
}

/// IPv6's, as `ip -6 route` shows them: not the kernel's own for its addresses, and none for groups. Source: the kernel's
/// `Documentation/networking/proc_net_ipv6_route`, all in hexadecimal digits: destination, length, source, length, next hop,
/// metric, two counters, flags, link.
fn routes6(table: &str) -> Vec<wire::ExplainedFact> {
    // RTF_LOCAL, RTF_ANYCAST, RTF_REJECT
    const OWN: u32 = 0x8000_0000 | 0x0010_0000 | 0x0200;
    let address = |text: &str| u128::from_str_radix(text, 16).ok().map(Ipv6Addr::from_bits);
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (to, via) = (address(fields.first()?)?, address(fields.get(4)?)?);
        let length = u8::from_str_radix(fields.get(1)?, 16).ok()?;
        let (flags, link) = (u32::from_str_radix(fields.get(8)?, 16).ok()?, fields.get(9)?);
        if flags & OWN != 0 || to.is_multicast() || *link == "lo" {
            return None;
        }
        let name = if length == 0 { "default".to_owned() } else { format!("{to}/{length}") };
        let way = if via.is_unspecified() { String::new() } else { format!("via {via} ") };
        Some(fact(&name, format!("{way}dev {link}"), "", ""))
    };
    table.lines().filter_map(row).collect()
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn routes_read_as_ip_prints_them() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let routes = routes(table);
        assert_eq!((routes[0].name.as_str(), routes[0].now.as_str()), ("default", "via 172.17.0.1 dev eth0"));
        assert_eq!((routes[1].name.as_str(), routes[1].now.as_str()), ("172.17.0.0/16", "dev eth0"));
    }

    #[test]
    fn routes_of_ipv6_are_told_without_the_kernels_own() {
        let zero = "0".repeat(32);
        let to = |head: &str| format!("{head:0<32}");
        let line = |to: &str, length: &str, via: &str, flags: &str, link: &str| {
            format!("{to} {length} {zero} 00 {via} 00000400 00000001 00000000 {flags} {link}\n")
        };
        let table = [
            line(&to("fd00"), "40", &zero, "00000001", "eth0"),
            line(&zero, "00", "fd000000000000000000000000000001", "00000003", "eth0"),
            line("fd000000000000000000000000000002", "80", &zero, "80200001", "eth0"),
            line(&to("ff00"), "08", &zero, "00000001", "eth0"),
            line(&zero, "00", &zero, "00200200", "lo"),
        ];
        let routes = routes6(&table.concat());
        let words: Vec<(&str, &str)> = routes.iter().map(|one| (one.name.as_str(), one.now.as_str())).collect();
        assert_eq!(words, [("fd00::/64", "dev eth0"), ("default", "via fd00::1 dev eth0")]);
    }
}
