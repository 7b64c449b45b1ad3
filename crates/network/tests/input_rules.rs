//! Published ports that obey the host's input rules: of nftables, and of iptables as it is today.

mod common;
use common::within;
use common::world::{Container, HOST, OUTSIDE, World, at, call, ip, is_closed, network, reaches};

use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use hull_network::ports::Protocol;
use hull_network::{Definition, Switch};

/// A host whose published ports obey, and two containers; the first one's ports are published.
fn world(subnets: &[&str]) -> (World, Definition) {
    let world = World::with(Switch::new("hull-test").obeying());
    within(&world.host, || Switch::pass_on(&world.switch).unwrap());
    let lan = network("lan", subnets);
    world.raise(&lan);
    (world, lan)
}

fn served(world: &World, lan: &Definition) -> Container {
    let web = world.container(lan, "web", &["10.1.0.3/24"]);
    web.serve(80);
    world.publish(&web, 80, "0.0.0.0", 8080);
    web
}

#[test]
fn published_ports_obey_the_input_rules_of_nftables() {
    let (world, lan) = world(&["10.1.0.0/24", "fd00:10:1::/64"]);
    let web = world.container(&lan, "web", &["10.1.0.3/24", "fd00:10:1::3/64"]);
    let peer = world.container(&lan, "peer", &["10.1.0.4/24", "fd00:10:1::4/64"]);
    web.serve(80);
    world.publish(&web, 80, "0.0.0.0", 8080);
    assert_eq!(reaches(&world.outside, at(HOST, 8080)), ip(OUTSIDE), "without rules, and under the client's address");
    world.tool(
        "nft",
        &["add table inet fw; add chain inet fw input { type filter hook input priority 0; policy drop; }"],
    );
    world.tool("nft", &["add rule inet fw input ct state established,related accept"]);
    world.tool("nft", &["add rule inet fw input tcp dport 22 accept"]);
    world.tool("nft", &["add rule inet fw input meta l4proto ipv6-icmp accept; add rule inet fw input iif lo accept"]);
    is_closed(&world.outside, at(HOST, 8080));
    is_closed(&peer.netns, at(HOST, 8080));
    let own = within(&world.host, || TcpListener::bind(at(HOST, 22)).unwrap());
    within(&world.outside, || TcpStream::connect(at(HOST, 22)).unwrap());
    drop(own);
    for address in ["127.0.0.1", HOST] {
        reaches(&world.host, at(address, 8080));
    }
    reaches(&peer.netns, at("10.1.0.3", 80));
    world.tool(
        "nft",
        &["add rule inet fw input iifname up0 ip saddr 203.0.113.0/24 ct state new tcp dport 8080 accept"],
    );
    for _ in 0..20 {
        assert_eq!(reaches(&world.outside, at(HOST, 8080)), ip(OUTSIDE), "let through by its own port and link");
    }
    is_closed(&peer.netns, at(HOST, 8080));
    // IPv6 as well.
    world.publish(&peer, 80, "::", 8081);
    peer.serve(80);
    is_closed(&world.outside, at("fd00:113::1", 8081));
    world.tool("nft", &["add rule inet fw input tcp dport 8081 accept"]);
    assert_eq!(reaches(&world.outside, at("fd00:113::1", 8081)), ip("fd00:113::2"));
    reaches(&web.netns, at("fd00:113::1", 8081));
    // A connection that was let through goes on when the rule has gone; the next is refused.
    world.tool("nft", &["flush chain inet fw input"]);
    is_closed(&world.outside, at(HOST, 8080));
    // Somebody else's flush is mended as ever, to the same rules.
    world.tool("nft", &["delete table inet fw"]);
    world.tool("nft", &["flush chain inet hull-test asked"]);
    assert!(within(&world.host, || world.switch.mend().unwrap()));
    reaches(&world.outside, at(HOST, 8080));
    is_closed(&world.outside, at("10.1.0.3", 80));
}

#[test]
fn published_ports_obey_the_input_rules_of_iptables() {
    let (world, lan) = world(&["10.1.0.0/24"]);
    let _web = served(&world, &lan);
    for rule in [
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -p tcp --dport 8080 -j REJECT --reject-with tcp-reset",
        "-P INPUT DROP",
    ] {
        world.tool("iptables-nft", &rule.split(' ').collect::<Vec<_>>());
    }
    let answer = call(&world.outside, at(HOST, 8080), Duration::from_secs(20));
    assert_eq!(answer, Err(ErrorKind::ConnectionRefused), "refused in the firewall's own way");
    world.tool("iptables-nft", &["-R", "INPUT", "2", "-p", "tcp", "--dport", "8080", "-j", "ACCEPT"]);
    assert_eq!(reaches(&world.outside, at(HOST, 8080)), ip(OUTSIDE));
    world.tool("iptables-nft", &["-D", "INPUT", "2"]);
    is_closed(&world.outside, at(HOST, 8080));
    reaches(&world.host, at("10.1.0.3", 80));
}

#[test]
fn datagrams_obey_the_input_rules_too() {
    let (world, lan) = world(&["10.1.0.0/24"]);
    let web = world.container(&lan, "web", &["10.1.0.3/24"]);
    world.publish_as(Protocol::Udp, &web, 53, ("0.0.0.0", 5300));
    let served = within(&web.netns, || UdpSocket::bind("0.0.0.0:53").unwrap());
    served.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let client = within(&world.outside, || UdpSocket::bind(at(OUTSIDE, 0)).unwrap());
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    world.tool(
        "nft",
        &["add table inet fw; add chain inet fw input { type filter hook input priority 0; policy drop; }"],
    );
    client.send_to(b"dropped", at(HOST, 5300)).unwrap();
    world.tool("nft", &["add rule inet fw input udp dport 5300 accept"]);
    let mut buffer = [0; 16];
    for said in [&b"one"[..], b"two", b"three"] {
        client.send_to(said, at(HOST, 5300)).unwrap();
        let (length, from) = served.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.ip()), (said, OUTSIDE.parse::<IpAddr>().unwrap()));
        served.send_to(said, from).unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (said, at(HOST, 5300)));
    }
}
