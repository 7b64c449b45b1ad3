//! The name service with real questions: a host with resolvers of its own, and a container, both of them network
//! namespaces of the test's own.

mod common;
use common::asking::{A, AAAA, Answer, PTR, TXT, World, endpoint, network, question, reply};
use common::within;

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hull_network::dns::Scope;

fn scope(networks: &[&str], outward: bool) -> Scope {
    Scope { networks: networks.iter().map(|name| (*name).to_owned()).collect(), outward, ..Scope::default() }
}

#[test]
fn names_and_addresses_of_a_network_are_answered() {
    let world = World::new();
    world.zone.add(&network("lan"), &endpoint("lan", &["web", "www"], &["10.0.0.2/24", "fd00::2/64"]));
    world.zone.add(&network("lan"), &endpoint("lan", &["web2", "www"], &["10.0.0.3/24"]));
    world.zone.add(&network("far"), &endpoint("far", &["hidden"], &["10.9.0.2/24"]));
    // A name server of the container's own is not in the way.
    let own = within(&world.container, || UdpSocket::bind("0.0.0.0:53").unwrap());
    let _server = world.serve(world.open(), scope(&["lan"], false));
    assert_eq!(world.ask("WEB", A), Answer::with(&["10.0.0.2"]));
    assert_eq!(world.ask("web", AAAA), Answer::with(&["fd00::2"]));
    assert_eq!(world.ask("web.lan", A), Answer::with(&["10.0.0.2"]));
    assert_eq!(world.ask("web2", AAAA), Answer::with(&[]), "known, without such an address");
    assert_eq!(world.ask("web", TXT), Answer::with(&[]));
    let mut all = world.ask("www", A).data;
    all.sort();
    assert_eq!(all, ["10.0.0.2", "10.0.0.3"]);
    assert_eq!(world.ask("2.0.0.10.in-addr.arpa", PTR).data, [".web.lan."]);
    for elsewhere in ["hidden", "hidden.far", "2.0.9.10.in-addr.arpa", "example.org"] {
        assert_eq!(world.ask(elsewhere, A), Answer::failure(), "{elsewhere}");
    }
    drop(own);
}

#[test]
fn an_answer_that_is_too_large_is_whole_over_tcp_and_with_edns() {
    let world = World::new();
    for n in 2..102 {
        world.zone.add(&network("lan"), &endpoint("lan", &["many"], &[&format!("10.0.0.{n}/24")]));
    }
    let _server = world.serve(world.open(), scope(&["lan"], false));
    let short = world.ask("many", A);
    assert!(short.truncated && short.data.len() < 40, "{short:?}");
    let answers = world.ask_by_stream(&[question("many", A, None), question("many", A, Some(4096))]);
    assert!(answers.iter().all(|answer| !answer.truncated && answer.data.len() == 100), "{answers:?}");
}

#[test]
fn other_names_are_asked_of_the_hosts_resolvers_as_they_are_now() {
    let world = World::new();
    let refuses = world.resolver("127.0.0.1", 5, 1);
    let knows = world.resolver("127.0.0.2", 0, 2);
    let other = world.resolver("127.0.0.3", 0, 3);
    world.write_resolv_conf("nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
    let server = world.serve(world.open(), scope(&["lan"], true));
    assert_eq!(world.ask("example.org", A), Answer::with(&["192.0.2.2"]));
    assert_eq!(refuses.load(Ordering::SeqCst), 1, "it was asked first");
    let answers = world.ask_by_stream(&[question("example.org", A, None), question("example.net", A, None)]);
    assert!(answers.iter().all(|answer| answer.data == ["192.0.2.2"]), "{answers:?}");
    // A VPN comes up.
    world.write_resolv_conf("nameserver 127.0.0.3\n# it is another file now\n");
    assert_eq!(world.ask("example.org", A), Answer::with(&["192.0.2.3"]));
    let before = [&refuses, &knows, &other].map(|count| count.load(Ordering::SeqCst));
    server.set_scope(scope(&["lan"], false));
    assert_eq!(world.ask("example.org", A), Answer::failure(), "nobody is asked");
    assert_eq!([&refuses, &knows, &other].map(|count| count.load(Ordering::SeqCst)), before);
}

#[test]
fn servers_that_a_container_asked_for_are_asked_from_its_namespace() {
    let world = World::new();
    // The same address of the host's has nothing to do with it.
    let hosts = world.resolver("127.0.0.1", 0, 1);
    let own = within(&world.container, || UdpSocket::bind("127.0.0.1:53").unwrap());
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        let (length, from) = own.recv_from(&mut bytes).unwrap();
        own.send_to(&reply(&bytes[..length], 3, 7), from).unwrap();
    });
    let netns = Some(Arc::new(world.container.as_fd().try_clone_to_owned().unwrap()));
    let servers = vec!["127.0.0.1".parse().unwrap()];
    let _server = world.serve(world.open(), Scope { servers, netns, ..scope(&[], true) });
    let answer = world.ask("example.org", A);
    assert_eq!((answer.code, answer.data), (3, vec!["192.0.2.7".to_owned()]), "as it came: no such name");
    assert_eq!(hosts.load(Ordering::SeqCst), 0);
}

#[test]
fn questions_wait_in_the_sockets_while_nobody_serves() {
    let world = World::new();
    world.zone.add(&network("lan"), &endpoint("lan", &["web"], &["10.0.0.2/24"]));
    let sockets = world.open();
    let kept = sockets.try_clone().unwrap();
    let server = world.serve(sockets, scope(&["lan"], false));
    assert_eq!(world.ask("web", A), Answer::with(&["10.0.0.2"]));
    drop(server);
    std::thread::scope(|threads| {
        let asked = [
            threads.spawn(|| world.ask("web", A)),
            threads.spawn(|| world.ask_by_stream(&[question("web", A, None)]).remove(0)),
        ];
        for socket in [&kept.udp, &kept.tcp] {
            use rustix::event::{PollFd, PollFlags, poll};
            assert_eq!(poll(&mut [PollFd::new(socket, PollFlags::IN)], None), Ok(1), "a question waits");
        }
        let _next = world.serve(kept, scope(&["lan"], false));
        for answer in asked {
            assert_eq!(answer.join().unwrap(), Answer::with(&["10.0.0.2"]));
        }
    });
}
