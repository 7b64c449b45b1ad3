//! The network: each interface with what it hangs on outside, the routes, the names, the ports.

use std::fs;
use std::net::Ipv4Addr;

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
    Ok(wire::ExplainedNetwork {
        mode: of.view.definition.host_config.network_mode.clone(),
        interfaces: interfaces.collect(),
        routes: routes(&fs::read_to_string(format!("/proc/{}/net/route", of.pid)).unwrap_or_default()),
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
}
