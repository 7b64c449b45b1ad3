//! docker's gateway modes: from where a container is reached at its own addresses, and as whom it calls. What is expected was asked of
//! docker's engine 28.5, cell by cell.

mod common;
use common::within;
use common::world::{Container, HOST, OUTSIDE, World, at, ip, is_closed, network, reaches};

use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::Command;

use hull_network::{Definition, GatewayMode, Gateways};

const HOST6: &str = "fd00:113::1";
const OUTSIDE6: &str = "fd00:113::2";

fn of(mode: GatewayMode, name: &str, number: u8) -> Definition {
    let subnets = [format!("10.{number}.0.0/24"), format!("fd00:10:{number}::/64")];
    let gateways = Gateways { v4: mode, v6: mode, ..Gateways::default() };
    Definition { gateways, ..network(name, &subnets.each_ref().map(String::as_str)) }
}

/// A container that serves on two ports, the first of which is published: at this port of the host, or at its own (0).
fn serving(world: &World, network: &Definition, number: u8, host: u16) -> Container {
    world.raise(network);
    let addresses = [format!("10.{number}.0.2/24"), format!("fd00:10:{number}::2/64")];
    let container = world.container(network, &network.name, &addresses.each_ref().map(String::as_str));
    [80, 81].iter().for_each(|port| container.serve(*port));
    // Both families come with one endpoint: the second call would replace the first.
    let rules = ["0.0.0.0", "::"].map(|address| {
        let address: IpAddr = ip(address);
        let published =
            hull_network::ports::Published { protocol: hull_network::ports::Protocol::Tcp, port: 80, address, host };
        hull_network::rules::PortRule { published, to: container.endpoint.address(address.is_ipv4()).unwrap() }
    });
    within(&world.host, || world.switch.publish(&container.endpoint, rules.into()).unwrap());
    container
}

/// As whom a container calls a server outside.
fn seen_outside(world: &World, who: &Container, server: &str) -> IpAddr {
    let listener = within(&world.outside, || TcpListener::bind(at(server, 99)).unwrap());
    let client = within(&who.netns, || TcpStream::connect(at(server, 99)).unwrap());
    let seen = listener.accept().unwrap().1.ip();
    drop(client);
    seen
}

fn answers_echo(world: &World, address: IpAddr) -> bool {
    let ping = || Command::new("busybox").args(["ping", "-c", "1", "-W", "2", &address.to_string()]).output().unwrap();
    within(&world.outside, || ping().status.success())
}

#[test]
fn each_mode_opens_what_it_opens_in_docker() {
    let world = World::new();
    let (plain, routed, open) = (
        of(GatewayMode::Nat, "plain", 1),
        of(GatewayMode::Routed, "routed", 2),
        of(GatewayMode::NatUnprotected, "open", 3),
    );
    let other = of(GatewayMode::Nat, "other", 4);
    world.raise(&other);
    let neighbour = world.container(&other, "other", &["10.4.0.2/24", "fd00:10:4::2/64"]);
    let a = serving(&world, &plain, 1, 8081);
    let b = serving(&world, &routed, 2, 0);
    let c = serving(&world, &open, 3, 8083);
    let check = || {
        // From outside to both ports of its own address, from another network, and ICMP.
        for (who, outside, beside, echo) in [
            (&a, [false, false], [false, false], false),
            (&b, [true, false], [true, false], true),
            (&c, [true, true], [false, false], true),
        ] {
            for address in [true, false].map(|v4| who.endpoint.address(v4).unwrap()) {
                for (from, expected) in [(&world.outside, outside), (&neighbour.netns, beside)] {
                    for (port, is_open) in [80, 81].into_iter().zip(expected) {
                        match is_open {
                            true => drop(reaches(from, at(address, port))),
                            false => is_closed(from, at(address, port)),
                        }
                    }
                }
                reaches(&world.host, at(address, 81));
                assert_eq!(answers_echo(&world, address), echo, "{address}");
            }
        }
    };
    check();
    for host in [HOST, HOST6] {
        for port in [8081, 8083] {
            reaches(&world.outside, at(host, port));
        }
    }
    for (server, own, host) in [(OUTSIDE, "10.2.0.2", HOST), (OUTSIDE6, "fd00:10:2::2", HOST6)] {
        assert_eq!(seen_outside(&world, &a, server), ip(host));
        assert_eq!(seen_outside(&world, &b, server), ip(own), "nothing is translated");
        assert_eq!(seen_outside(&world, &c, server), ip(host));
    }
    // Somebody takes the rules away: they are the same again, and are known to be whole.
    world.tool("nft", &["flush", "ruleset"]);
    assert!(within(&world.host, || world.switch.mend().unwrap()));
    assert!(!within(&world.host, || world.switch.mend().unwrap()), "nothing is missing");
    check();
    within(&world.host, || world.switch.close(&b.endpoint.id).unwrap());
    is_closed(&world.outside, at("10.2.0.2", 80));
    within(&world.host, || world.switch.lower(&open).unwrap());
    is_closed(&world.outside, at("10.3.0.2", 80));
}

#[test]
fn published_ports_are_reached_directly_by_a_trusted_link_and_no_others() {
    let world = World::new();
    let gateways = Gateways { trusted: vec!["nosuch".into(), "up0".into()], ..Gateways::default() };
    let trusting = Definition { gateways, ..of(GatewayMode::Nat, "trusting", 1) };
    let other = of(GatewayMode::Nat, "other", 4);
    world.raise(&other);
    let neighbour = world.container(&other, "other", &["10.4.0.2/24", "fd00:10:4::2/64"]);
    serving(&world, &trusting, 1, 8081);
    for address in ["10.1.0.2", "fd00:10:1::2"] {
        reaches(&world.outside, at(address, 80));
        is_closed(&world.outside, at(address, 81));
        is_closed(&neighbour.netns, at(address, 80));
    }
    assert_eq!(reaches(&world.outside, at(HOST, 8081)), ip(OUTSIDE));
}

#[test]
fn a_bridge_has_no_address_where_none_is_wanted() {
    let world = World::new();
    let isolated = Definition { internal: true, ..of(GatewayMode::Isolated, "isolated", 1) };
    let half = Gateways { v4: GatewayMode::Isolated, ..Gateways::default() };
    let half = Definition { internal: true, gateways: half, ..of(GatewayMode::Nat, "half", 2) };
    let inhibited = Gateways { inhibit_v4: true, ..Gateways::default() };
    let inhibited = Definition { gateways: inhibited, ..of(GatewayMode::Nat, "inhibited", 3) };
    for network in [&isolated, &half, &inhibited] {
        world.raise(network);
    }
    let addresses = |link: &str| world.tool("ip", &["-o", "addr", "show", "dev", link]);
    assert_eq!(addresses("br-isolated"), "");
    for link in ["br-half", "br-inhibited"] {
        let told = addresses(link);
        assert!(!told.contains("inet ") && told.contains("inet6 fd00:10:"), "{told}");
    }
    // Neighbours meet; the host does not meet them.
    let one = world.container(&isolated, "one", &["10.1.0.2/24", "fd00:10:1::2/64"]);
    let two = world.container(&isolated, "two", &["10.1.0.3/24", "fd00:10:1::3/64"]);
    two.serve(80);
    for address in ["10.1.0.3", "fd00:10:1::3"] {
        reaches(&one.netns, at(address, 80));
        is_closed(&world.host, at(address, 80));
    }
    // The router is somebody on the bridge.
    let three = world.container(&inhibited, "three", &["10.3.0.2/24", "fd00:10:3::2/64"]);
    let routes = within(&three.netns, || Command::new("ip").args(["route"]).output().unwrap().stdout);
    assert!(String::from_utf8_lossy(&routes).contains("default via 10.3.0.1"), "{routes:?}");
}
