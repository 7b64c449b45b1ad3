//! What holds of IPv4 holds of IPv6, and what holds of TCP holds of UDP: isolation, who is seen to call, and what the host is set to.

mod common;
use common::within;
use common::world::{Container, HOST, OUTSIDE, World, at, ip, is_closed, net, network, reaches};

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use hull_netlink::Route;
use hull_netlink::route::Path;
use hull_network::Definition;
use hull_network::ports::{Protocol, Published};
use hull_network::rules::PortRule;

const HOST6: &str = "fd00:113::1";
const OUTSIDE6: &str = "fd00:113::2";

/// Answers every datagram with the address that it came from.
fn echo(who: &Container, port: u16) {
    let socket = within(&who.netns, || UdpSocket::bind(at("::", port)).unwrap());
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(from.ip().to_canonical().to_string().as_bytes(), from);
        }
    });
}

/// As whom a server of datagrams sees the client. The answer comes from where it was asked.
fn asks(from: &OwnedFd, to: SocketAddr) -> IpAddr {
    within(from, || {
        let socket = UdpSocket::bind(at(if to.is_ipv4() { "0.0.0.0" } else { "::" }, 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut bytes = [0; 64];
        // A neighbour that is not known yet may cost the first one.
        let answer = (0..20).find_map(|_| socket.send(b"?").and_then(|_| socket.recv(&mut bytes)).ok());
        let length = answer.unwrap_or_else(|| panic!("{to} does not answer"));
        std::str::from_utf8(&bytes[..length]).unwrap().parse().unwrap()
    })
}

fn connects(from: &OwnedFd, to: SocketAddr) -> bool {
    within(from, || TcpStream::connect_timeout(&to, Duration::from_secs(20)).is_ok())
}

#[test]
fn networks_are_kept_apart_over_ipv6_and_an_internal_one_from_the_world() {
    let world = World::new();
    let one = network("one", &["10.1.0.0/24", "fd00:10:1::/64"]);
    let two = network("two", &["10.2.0.0/24", "fd00:10:2::/64"]);
    let inner = Definition { internal: true, ..network("inner", &["10.3.0.0/24", "fd00:10:3::/64"]) };
    let shy = Definition { icc: false, ..network("shy", &["10.4.0.0/24", "fd00:10:4::/64"]) };
    for network in [&one, &two, &inner, &shy] {
        world.raise(network);
    }
    let a = world.container(&one, "a", &["10.1.0.2/24", "fd00:10:1::2/64"]);
    let b = world.container(&two, "b", &["10.2.0.2/24", "fd00:10:2::2/64"]);
    let c = world.container(&inner, "c", &["10.3.0.2/24", "fd00:10:3::2/64"]);
    let d = world.container(&inner, "d", &["10.3.0.3/24", "fd00:10:3::3/64"]);
    let e = world.container(&shy, "e", &["10.4.0.2/24", "fd00:10:4::2/64"]);
    let f = world.container(&shy, "f", &["10.4.0.3/24", "fd00:10:4::3/64"]);
    for server in [&a, &b, &d, &f] {
        server.serve(80);
    }
    let listener = within(&world.outside, || TcpListener::bind(at(OUTSIDE6, 99)).unwrap());
    for who in [&a, &e] {
        assert!(connects(&who.netns, at(OUTSIDE6, 99)), "the way out, and its own addresses, are there");
    }
    assert_eq!(reaches(&c.netns, at("fd00:10:3::3", 80)), ip("fd00:10:3::2"));
    reaches(&world.host, at("fd00:10:4::3", 80));
    for (from, to) in [
        (&a.netns, "fd00:10:2::2"),
        (&b.netns, "fd00:10:1::2"),
        (&a.netns, "fd00:10:3::3"),
        (&e.netns, "fd00:10:4::3"),
        (&world.outside, "fd00:10:1::2"),
        (&world.outside, "fd00:10:3::3"),
    ] {
        is_closed(from, at(to, 80));
    }
    // Even with a route of its own making, an internal network's container gets nowhere.
    within(&c.netns, || {
        let mut route = Route::open().unwrap();
        let link = route.link("eth0").unwrap().unwrap().index;
        let path = Path { destination: net("::/0"), gateway: Some(ip("fd00:10:3::1")), link, metric: None };
        route.add_path(&path).unwrap();
    });
    is_closed(&c.netns, at(OUTSIDE6, 99));
    is_closed(&c.netns, at("fd00:10:1::2", 80));
    drop(listener);
}

#[test]
fn datagrams_to_a_published_port_show_who_sent_them() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24", "fd00:10:1::/64"]);
    let other = network("other", &["10.2.0.0/24", "fd00:10:2::/64"]);
    world.raise(&lan);
    world.raise(&other);
    let web = world.container(&lan, "web", &["10.1.0.2/24", "fd00:10:1::2/64"]);
    let far = world.container(&other, "far", &["10.2.0.2/24", "fd00:10:2::2/64"]);
    echo(&web, 53);
    let rules = ["0.0.0.0", "::"].map(|address| {
        let address = ip(address);
        let published = Published { protocol: Protocol::Udp, port: 53, address, host: 5353 };
        PortRule { published, to: web.endpoint.address(address.is_ipv4()).unwrap() }
    });
    within(&world.host, || world.switch.publish(&web.endpoint, rules.to_vec()).unwrap());
    assert_eq!(asks(&world.outside, at(HOST, 5353)), ip(OUTSIDE), "the client's own address");
    assert_eq!(asks(&world.outside, at(HOST6, 5353)), ip(OUTSIDE6), "the client's own address");
    for address in ["127.0.0.1", HOST, "10.1.0.1", "::1", HOST6, "fd00:10:1::1"] {
        asks(&world.host, at(address, 5353));
    }
    // From another network, and from the container itself.
    for address in [HOST, HOST6] {
        asks(&far.netns, at(address, 5353));
    }
    assert_eq!(asks(&web.netns, at(HOST, 5353)), ip("10.1.0.1"));
    assert_eq!(asks(&web.netns, at(HOST6, 5353)), ip("fd00:10:1::1"));
}

#[test]
fn without_masquerading_containers_leave_under_their_own_addresses() {
    let world = World::new();
    let lan = Definition { masquerade: false, ..network("lan", &["10.1.0.0/24", "fd00:10:1::/64"]) };
    world.raise(&lan);
    let a = world.container(&lan, "a", &["10.1.0.2/24", "fd00:10:1::2/64"]);
    let listener = within(&world.outside, || TcpListener::bind("[::]:99").unwrap());
    for (to, own) in [(OUTSIDE, "10.1.0.2"), (OUTSIDE6, "fd00:10:1::2")] {
        assert!(connects(&a.netns, at(to, 99)), "{to}");
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from.ip().to_canonical(), ip(own));
    }
}

#[test]
fn this_host_forwards_only_what_a_network_needs_and_bridged_frames_are_left_alone() {
    let world = World::new();
    let four = "/proc/sys/net/ipv4/ip_forward";
    let six = "/proc/sys/net/ipv6/conf/all/forwarding";
    let bridged = ["iptables", "ip6tables", "arptables"].map(|of| format!("/proc/sys/net/bridge/bridge-nf-call-{of}"));
    let forwards =
        || within(&world.host, || [four, six].map(|path| std::fs::read_to_string(path).unwrap().trim() == "1"));
    let passes = || within(&world.host, || bridged.clone().map(|path| std::fs::read_to_string(path).ok()));
    within(&world.host, || [four, six].map(|path| std::fs::write(path, "0").unwrap()));
    let before = passes();
    world.raise(&Definition { internal: true, ..network("inner", &["10.3.0.0/24", "fd00:10:3::/64"]) });
    assert_eq!(forwards(), [false, false], "nothing leads out");
    world.raise(&network("lan", &["10.1.0.0/24"]));
    assert_eq!(forwards(), [true, false]);
    world.raise(&network("six", &["10.2.0.0/24", "fd00:10:2::/64"]));
    assert_eq!(forwards(), [true, true]);
    assert_eq!(passes(), before);
}
