//! Bridges, addresses and published ports with real traffic: a host, another machine on its uplink, and
//! containers, all of them network namespaces of the test's own.

mod common;
use common::world::{HOST, OUTSIDE, World, at, ip, is_closed, net, network, reaches, wish};
use common::{new_netns, within};

use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use hull_netlink::Route;
use hull_netlink::route::Path;
use hull_network::ports::{Protocol, Published, Way, Wish, reserve};
use hull_network::{Definition, Endpoint, Error, Mac};

#[test]
fn containers_reach_each_other_and_the_world() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let (a, b) = (world.container(&lan, "a", &["10.1.0.2/24"]), world.container(&lan, "b", &["10.1.0.3/24"]));
    b.serve(80);
    assert_eq!(reaches(&a.netns, at("10.1.0.3", 80)), ip("10.1.0.2"));
    assert_eq!(reaches(&world.host, at("10.1.0.3", 80)), ip("10.1.0.1"), "the host reaches every port");
    let listener = within(&world.outside, || UdpSocket::bind(at(OUTSIDE, 99)).unwrap());
    listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    within(&a.netns, || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", at(OUTSIDE, 99)).unwrap());
    let (_, from) = listener.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(from.ip(), ip(HOST), "under the host's address");
    is_closed(&world.outside, at("10.1.0.3", 80));
}

#[test]
fn a_published_port_is_reached_from_everywhere_and_sees_who_calls() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let (a, b) = (world.container(&lan, "a", &["10.1.0.2/24"]), world.container(&lan, "b", &["10.1.0.3/24"]));
    b.serve(80);
    world.publish(&b, 80, "0.0.0.0", 8080);
    assert_eq!(reaches(&world.outside, at(HOST, 8080)), ip(OUTSIDE), "the client's own address");
    for address in ["127.0.0.1", HOST, "10.1.0.1"] {
        reaches(&world.host, at(address, 8080));
    }
    reaches(&a.netns, at(HOST, 8080));
    assert_eq!(reaches(&b.netns, at(HOST, 8080)), ip("10.1.0.1"), "a container to its own port");
    is_closed(&world.outside, at("10.1.0.3", 80));
    is_closed(&world.outside, at(HOST, 80));
    within(&world.host, || world.switch.detach("b").unwrap());
    is_closed(&world.outside, at(HOST, 8080));
    is_closed(&world.host, at("127.0.0.1", 8080));
}

#[test]
fn a_published_port_on_loopback_is_not_reachable_from_outside() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let (a, b) = (world.container(&lan, "a", &["10.1.0.2/24"]), world.container(&lan, "b", &["10.1.0.3/24"]));
    b.serve(80);
    world.publish(&b, 80, "127.0.0.1", 8080);
    reaches(&world.host, at("127.0.0.1", 8080));
    is_closed(&world.host, at(HOST, 8080));
    is_closed(&world.outside, at(HOST, 8080));
    is_closed(&world.outside, at("10.1.0.3", 80));
    // A neighbour that routes 127.0.0.1 to the host reaches neither the port nor the host's own services.
    let own = within(&world.host, || TcpListener::bind("127.0.0.1:5555").unwrap());
    for netns in [&a.netns, &world.outside] {
        within(netns, || {
            let mut route = Route::open().unwrap();
            let lo = route.link("lo").unwrap().unwrap().index;
            route.delete_address(lo, net("127.0.0.1/8")).unwrap();
            let (name, via) = if route.link("eth0").unwrap().is_some() { ("eth0", "10.1.0.1") } else { ("up1", HOST) };
            let link = route.link(name).unwrap().unwrap().index;
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"), "1").unwrap();
            let path = Path { destination: net("127.0.0.0/8"), gateway: Some(ip(via)), link, metric: None };
            route.add_path(&path).unwrap();
        });
        is_closed(netns, at("127.0.0.1", 8080));
        is_closed(netns, at("127.0.0.1", 5555));
    }
    drop(own);
}

#[test]
fn networks_are_kept_apart_and_an_internal_one_from_the_world() {
    let world = World::new();
    let (one, two) = (network("one", &["10.1.0.0/24"]), network("two", &["10.2.0.0/24"]));
    let inner = Definition { internal: true, ..network("inner", &["10.3.0.0/24"]) };
    for network in [&one, &two, &inner] {
        world.raise(network);
    }
    let a = world.container(&one, "a", &["10.1.0.2/24"]);
    let b = world.container(&two, "b", &["10.2.0.2/24"]);
    let (c, d) = (world.container(&inner, "c", &["10.3.0.2/24"]), world.container(&inner, "d", &["10.3.0.3/24"]));
    for server in [&a, &b, &d] {
        server.serve(80);
    }
    is_closed(&a.netns, at("10.2.0.2", 80));
    is_closed(&b.netns, at("10.1.0.2", 80));
    reaches(&c.netns, at("10.3.0.3", 80));
    is_closed(&a.netns, at("10.3.0.3", 80));
    // Even with a route of its own making, an internal network's container gets nowhere.
    within(&c.netns, || {
        let mut route = Route::open().unwrap();
        let link = route.link("eth0").unwrap().unwrap().index;
        let path = Path { destination: net("0.0.0.0/0"), gateway: Some(ip("10.3.0.1")), link, metric: None };
        route.add_path(&path).unwrap();
    });
    let listener = within(&world.outside, || TcpListener::bind(at(OUTSIDE, 99)).unwrap());
    is_closed(&c.netns, at(OUTSIDE, 99));
    is_closed(&c.netns, at("10.1.0.2", 80));
    drop(listener);
    world.publish(&b, 80, "0.0.0.0", 8080);
    reaches(&a.netns, at(HOST, 8080));
}

#[test]
fn without_icc_neighbours_do_not_reach_each_other() {
    let world = World::new();
    let lan = Definition { icc: false, ..network("lan", &["10.1.0.0/24"]) };
    world.raise(&lan);
    let (a, b) = (world.container(&lan, "a", &["10.1.0.2/24"]), world.container(&lan, "b", &["10.1.0.3/24"]));
    b.serve(80);
    is_closed(&a.netns, at("10.1.0.3", 80));
    reaches(&world.host, at("10.1.0.3", 80));
}

#[test]
fn ipv6_works_as_ipv4_does() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24", "fd00:10:1::/64"]);
    world.raise(&lan);
    let a = world.container(&lan, "a", &["10.1.0.2/24", "fd00:10:1::2/64"]);
    let b = world.container(&lan, "b", &["10.1.0.3/24", "fd00:10:1::3/64"]);
    b.serve(80);
    assert_eq!(reaches(&a.netns, at("fd00:10:1::3", 80)), ip("fd00:10:1::2"));
    world.publish(&b, 80, "::", 8080);
    assert_eq!(reaches(&world.outside, at("fd00:113::1", 8080)), ip("fd00:113::2"));
    reaches(&world.host, at("fd00:113::1", 8080));
    reaches(&world.host, at("::1", 8080));
    reaches(&b.netns, at("fd00:113::1", 8080));
    is_closed(&world.outside, at("fd00:10:1::3", 80));
    let heard = within(&a.netns, || std::fs::read_to_string("/proc/sys/net/ipv6/conf/eth0/accept_ra").unwrap());
    assert_eq!(heard.trim(), "0", "a neighbour is no router");
    let four = network("four", &["10.4.0.0/24"]);
    world.raise(&four);
    let c = world.container(&four, "c", &["10.4.0.2/24"]);
    let shown = within(&c.netns, || std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
    assert!(!shown.contains("eth0"), "IPv6 off means off: {shown}");
}

#[test]
fn rules_that_somebody_flushes_come_back_and_nothing_is_left_at_the_end() {
    let world = World::new();
    let names = || -> Vec<String> {
        let links = world.tool("ip", &["-br", "link"]);
        links.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
    };
    let before = names();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let b = world.container(&lan, "b", &["10.1.0.3/24"]);
    b.serve(80);
    world.publish(&b, 80, "0.0.0.0", 8080);
    let mend = || within(&world.host, || world.switch.mend().unwrap());
    assert!(!mend(), "nobody has changed it");
    let whole = world.tool("nft", &["list", "ruleset"]);
    for flush in [
        &["flush", "ruleset"][..],
        &["flush", "chain", "inet", "hull-test", "into"],
        &["flush", "map", "inet", "hull-test", "any4"],
        &["flush", "set", "inet", "hull-test", "open4"],
    ] {
        world.tool("nft", flush);
        assert!(mend(), "{flush:?}");
        assert_eq!(world.tool("nft", &["list", "ruleset"]), whole, "{flush:?}");
    }
    assert_eq!(reaches(&world.outside, at(HOST, 8080)), ip(OUTSIDE));
    // Somebody flushes, and the next container publishes.
    world.tool("nft", &["flush", "ruleset"]);
    let c = world.container(&lan, "c", &["10.1.0.4/24"]);
    c.serve(80);
    world.publish(&c, 80, "0.0.0.0", 8081);
    reaches(&world.outside, at(HOST, 8081));
    reaches(&world.outside, at(HOST, 8080));
    // A wire that no container owns is swept.
    within(&world.host, || world.switch.sweep(&[], &|link| link == "vethb").unwrap());
    let links = world.tool("ip", &["-o", "link"]);
    assert!(links.contains("vethb@") && !links.contains("vethc@"), "{links}");
    drop((b, c));
    within(&world.host, || world.switch.clear(&[]).unwrap());
    assert_eq!(world.tool("nft", &["list", "ruleset"]), "");
    // The kernel takes a wire down some time after its namespace.
    for _ in 0..1200 {
        if names() == before {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{:?}, before: {before:?}", names());
}

#[test]
fn what_the_kernel_has_is_seen_as_it_is() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let b = world.container(&lan, "b", &["10.1.0.3/24"]);
    world.publish(&b, 80, "0.0.0.0", 8080);
    let published = Published { protocol: Protocol::Tcp, port: 80, address: ip("0.0.0.0"), host: 8080 };
    let look = || within(&world.host, || world.switch.look(&lan, &b.endpoint, &[published], b.netns.as_fd()).unwrap());
    let seen = look();
    assert_eq!(seen.rules[0].to, Some(at("10.1.0.3", 80)));
    assert!(seen.whole && seen.rules[0].open && seen.neighbours && seen.forwards && !seen.internal, "{seen:?}");
    assert_eq!(seen.wire.as_ref().and_then(|wire| wire.master.clone()), Some("br-lan".to_owned()));
    world.tool("nft", &["delete", "element", "inet", "hull-test", "any4", "{ tcp . 8080 }"]);
    let seen = look();
    assert!(!seen.whole && seen.rules[0].to.is_none() && seen.rules[0].open, "{seen:?}");
    world.tool("nft", &["add", "element", "inet", "hull-test", "any4", "{ tcp . 8080 : 10.1.0.9 . 80 }"]);
    assert_eq!(look().rules[0].to, Some(at("10.1.0.9", 80)));
    world.tool("nft", &["flush", "set", "inet", "hull-test", "open4"]);
    world.tool("nft", &["flush", "set", "inet", "hull-test", "neighbours"]);
    let seen = look();
    assert!(!seen.rules[0].open && !seen.neighbours, "{seen:?}");
    within(&world.host, || {
        let mut route = Route::open().unwrap();
        let wire = route.link("vethb").unwrap().unwrap().index;
        route.set_port(wire, true, false).unwrap();
    });
    assert!(look().wire.is_some_and(|wire| wire.isolated));
    world.tool("nft", &["flush", "ruleset"]);
    let seen = look();
    assert!(!seen.whole && seen.rules[0].to.is_none(), "{seen:?}");
}

#[test]
fn a_failed_attach_leaves_nothing() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let before = world.tool("ip", &["-o", "link"]);
    let netns = new_netns();
    let endpoint = Endpoint {
        id: "x".into(),
        network: lan.id.clone(),
        name: "eth0".into(),
        link: "vethx".into(),
        mac: Mac([2, 0, 0, 0, 0, 1]),
        addresses: vec![net("10.1.0.9/24"), net("10.1.0.9/24")],
        gateway: true,
        names: Vec::new(),
        sysctls: Vec::new(),
        link_local: Vec::new(),
        pinned: false,
    };
    let error = within(&world.host, || world.switch.attach(&lan, &endpoint, netns.as_fd()).unwrap_err());
    assert!(matches!(error, Error::Kernel { .. }), "{error:?}");
    assert_eq!(world.tool("ip", &["-br", "link"]).lines().count(), before.lines().count());
}

#[test]
fn a_reserved_port_is_the_hosts() {
    let world = World::new();
    within(&world.host, || {
        let reserved =
            reserve(&Wish { protocol: Protocol::Udp, ..wish(5300) }, None, [Some(Way::Translated); 2]).unwrap();
        assert_eq!(reserved.len(), 2);
        assert!(UdpSocket::bind("0.0.0.0:5300").is_err() && UdpSocket::bind("[::]:5300").is_err());
    });
}

#[test]
fn the_default_route_does_not_go_with_a_wire_that_is_swept_later() {
    let world = World::new();
    let (one, two) = (network("one", &["10.1.0.0/24"]), network("two", &["10.2.0.0/24"]));
    world.raise(&one);
    world.raise(&two);
    let container = world.container(&one, "a", &["10.1.0.2/24"]);
    let second = Endpoint {
        network: two.id.clone(),
        id: "second".into(),
        name: "eth1".into(),
        link: "second".into(),
        addresses: vec![net("10.2.0.2/24")],
        gateway: false,
        ..container.endpoint.clone()
    };
    within(&world.host, || {
        world.switch.attach(&two, &second, container.netns.as_fd()).unwrap();
        // Killed before it was unplugged: the first wire is still there, and nobody knows it.
        world.switch.lead(container.netns.as_fd(), None, Some((&two, &second))).unwrap();
        world.switch.unplug(&one, &container.endpoint, container.netns.as_fd()).unwrap();
    });
    let defaults = within(&container.netns, || Route::open().unwrap().paths().unwrap());
    let gateways: Vec<_> = defaults.iter().filter(|path| path.is_default()).map(|path| path.gateway).collect();
    assert_eq!(gateways, [Some(ip("10.2.0.1"))]);
}
