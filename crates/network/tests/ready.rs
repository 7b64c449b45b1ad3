//! Wires made ahead of need.

mod common;
use common::within;
use common::world::{HOST, OUTSIDE, World, at, ip, is_closed, network, reaches};

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hull_netlink::Route;
use hull_network::{Definition, Endpoint, ipam};

fn endpoint(network: &Definition, name: &str, address: &str) -> Endpoint {
    let address: hull_network::Net = address.parse().unwrap();
    let std::net::IpAddr::V4(v4) = address.address else { unreachable!() };
    Endpoint {
        id: name.into(),
        network: network.id.clone(),
        name: "eth0".into(),
        link: format!("veth{name}"),
        mac: ipam::mac(v4),
        addresses: vec![address],
        gateway: true,
        names: Vec::new(),
        sysctls: Vec::new(),
        link_local: Vec::new(),
        pinned: true,
    }
}

/// The wires on the host.
fn wires(world: &World) -> Vec<String> {
    let links = within(&world.host, || Route::open().unwrap().links().unwrap());
    let mut names: Vec<String> = links.into_iter().map(|link| link.name).filter(|n| n.starts_with("veth")).collect();
    names.sort();
    names
}

/// The kernel takes a wire away some time after its namespace.
fn eventually_wires(world: &World, expected: &[&str]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while wires(world) != expected {
        assert!(Instant::now() < deadline, "{:?} instead of {expected:?}", wires(world));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Takes one and uses it.
fn take(world: &World, lan: &Definition, name: &str, address: &str) -> (Endpoint, OwnedFd) {
    let mut end = endpoint(lan, name, address);
    end.link = world.switch.reserve(&end).expect("one is ready");
    let netns = world.switch.ready(&end.link).expect("it is reserved");
    within(&world.host, || world.switch.attach(lan, &end, netns.as_fd()).unwrap());
    (end, netns)
}

#[test]
fn a_wire_that_was_made_ahead_is_as_any_other() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let near = world.container(&lan, "near", &["10.1.0.9/24"]);
    near.serve(80);
    assert!(world.switch.reserve(&endpoint(&lan, "a", "10.1.0.2/24")).is_none(), "none was asked for");
    world.switch.keep_ready(&lan);
    within(&world.host, || world.switch.refill(2).unwrap());
    assert_eq!(wires(&world).len(), 3);
    let (end, netns) = take(&world, &lan, "a", "10.1.0.2/24");
    assert_eq!(wires(&world).len(), 3, "nothing more was made");
    assert_eq!(reaches(&netns, at("10.1.0.9", 80)), ip("10.1.0.2"));
    reaches(&world.host, at("10.1.0.9", 80));
    let link = within(&netns, || Route::open().unwrap().link("eth0").unwrap().unwrap());
    assert_eq!((link.mac, link.up), (Some(end.mac), true));
    let listener = within(&world.outside, || std::net::TcpListener::bind(at(OUTSIDE, 91)).unwrap());
    let server = std::thread::spawn(move || listener.accept().unwrap().1.ip());
    within(&netns, || drop(std::net::TcpStream::connect(at(OUTSIDE, 91)).unwrap()));
    assert_eq!(server.join().unwrap(), ip(HOST), "out by the default route");
    assert!(!within(&world.host, || world.switch.mend().unwrap()), "pinned, as it was asked");
    // Reserved and not used; then the rest goes with the network.
    let other = world.switch.reserve(&endpoint(&lan, "b", "10.1.0.3/24")).unwrap();
    assert!(world.switch.reserve(&endpoint(&lan, "c", "10.1.0.4/24")).is_none(), "each is given once");
    world.switch.unready(&other);
    assert!(world.switch.ready(&other).is_none());
    let mut left = [end.link.clone(), near.endpoint.link.clone()];
    left.sort();
    eventually_wires(&world, &left.each_ref().map(|name| &**name));
    within(&world.host, || world.switch.refill(1).unwrap());
    assert_eq!(wires(&world).len(), 3);
    within(&world.host, || world.switch.clear(&[]).unwrap());
    assert!(wires(&world).is_empty());
    within(&world.host, || world.switch.refill(1).unwrap());
    assert!(wires(&world).is_empty(), "a network that is gone has none made");
}

#[test]
fn a_wire_that_somebody_took_off_its_bridge_is_made_again() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let near = world.container(&lan, "near", &["10.1.0.9/24"]);
    near.serve(80);
    world.switch.keep_ready(&lan);
    within(&world.host, || world.switch.refill(2).unwrap());
    let ready: Vec<String> = wires(&world).into_iter().filter(|name| *name != near.endpoint.link).collect();
    world.tool("ip", &["link", "set", &ready[0], "nomaster"]);
    world.tool("ip", &["link", "del", &ready[1]]);
    for (name, address) in [("a", "10.1.0.2/24"), ("b", "10.1.0.3/24")] {
        let (_end, netns) = take(&world, &lan, name, address);
        reaches(&netns, at("10.1.0.9", 80));
        is_closed(&world.outside, at(address.trim_end_matches("/24"), 80));
    }
}

#[test]
fn a_wire_whose_namespace_was_not_handed_out_gives_way_to_another() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    world.switch.keep_ready(&lan);
    within(&world.host, || world.switch.refill(1).unwrap());
    let mut end = endpoint(&lan, "a", "10.1.0.2/24");
    end.link = world.switch.reserve(&end).unwrap();
    let netns = common::new_netns();
    within(&world.host, || world.switch.attach(&lan, &end, netns.as_fd()).unwrap());
    assert_eq!(wires(&world), [end.link.as_str()]);
    within(&netns, || std::net::TcpStream::connect(at("10.1.0.1", 9)).unwrap_err());
    let links = within(&netns, || Route::open().unwrap().link("eth0").unwrap());
    assert_eq!(links.and_then(|link| link.mac), Some(end.mac));
}

#[test]
fn wires_are_kept_for_the_networks_that_were_used_last() {
    let world = World::new();
    let lans: Vec<Definition> = (0..6).map(|n| network(&format!("lan{n}"), &[&format!("10.1.{n}.0/24")])).collect();
    lans.iter().for_each(|lan| world.raise(lan));
    world.switch.keep_ready(&lans[0]);
    let refill = || within(&world.host, || world.switch.refill(1).unwrap());
    let start = |n: usize| world.switch.reserve(&endpoint(&lans[n], "a", &format!("10.1.{n}.2/24")));
    for n in 1..5 {
        assert_eq!(start(n), None, "the first start on a network finds none");
        refill();
    }
    // Of the default one, and of the last three.
    assert_eq!([0, 2, 3, 4, 1, 5].map(|n| start(n).is_some()), [true, true, true, true, false, false]);
    for n in [2, 3, 4] {
        start(n);
    }
    refill();
    within(&world.host, || lans.iter().for_each(|lan| world.switch.lower(lan).unwrap()));
    refill();
    assert!((0..6).all(|n| start(n).is_none()), "they go with their networks");
}
