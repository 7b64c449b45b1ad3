//! Beside other firewalls, and with many ports.

mod common;
use common::within;
use common::world::{HOST, OUTSIDE, World, at, ip, is_closed, network, reaches};

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hull_netlink::nft::{Batch, Family, Heard, Nft, Table, Watch};
use hull_network::Endpoint;
use hull_network::ports::{Protocol, Published};
use hull_network::rules::PortRule;

/// What firewalld does at a reload: its own table is made anew, in one batch.
const FIREWALLD: &str = "
table inet firewalld
delete table inet firewalld
table inet firewalld {
  chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept; }
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    iifname lo accept
    ct state invalid drop
    icmpv6 type { 135, 136 } accept
    reject with icmpx admin-prohibited; }
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    reject with icmpx admin-prohibited; }
}
";

#[test]
fn a_firewall_that_is_reloaded_cuts_nobody_off_and_opens_nothing() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let (web, peer) = (world.container(&lan, "web", &["10.1.0.3/24"]), world.container(&lan, "peer", &["10.1.0.4/24"]));
    web.serve(80);
    world.publish(&web, 80, "0.0.0.0", 8080);
    world.publish_as(Protocol::Tcp, &peer, 7, ("0.0.0.0", 7000));
    let echo = within(&peer.netns, || TcpListener::bind("0.0.0.0:7").unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = echo.accept().unwrap();
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    });
    let rules = std::env::temp_dir().join(format!("hull-firewalld-{}.nft", std::process::id()));
    std::fs::write(&rules, FIREWALLD).unwrap();
    let file = rules.to_str().unwrap();
    let mut long = within(&world.outside, || TcpStream::connect(at(HOST, 7000)).unwrap());
    long.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut goes_on = || {
        let mut byte = [0];
        long.write_all(b"x").and_then(|()| long.read_exact(&mut byte)).expect("the connection goes on");
    };
    let own = || world.tool("nft", &["list", "table", "inet", "hull-test"]);
    goes_on();
    let before = own();
    for reload in
        [&["nft", "-f", file][..], &["nft", "-f", file], &["iptables-nft", "-F"], &["iptables-nft", "-t", "nat", "-F"]]
    {
        world.tool(reload[0], &reload[1..]);
        goes_on();
        assert_eq!(own(), before, "{reload:?}");
        within(&world.host, || world.switch.mend().unwrap());
        assert_eq!(own(), before, "{reload:?}: there was nothing to mend");
        assert_eq!(reaches(&world.outside, at(HOST, 8080)), ip(OUTSIDE), "{reload:?}");
        reaches(&world.host, at("127.0.0.1", 8080));
        reaches(&peer.netns, at("10.1.0.3", 80));
    }
    is_closed(&world.outside, at("10.1.0.3", 80));
    std::fs::remove_file(rules).unwrap();
}

#[test]
fn five_thousand_ports_are_published_and_closed_again() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/16"]);
    world.raise(&lan);
    let (web, last) = (world.container(&lan, "web", &["10.1.0.3/16"]), world.container(&lan, "last", &["10.1.0.4/16"]));
    web.serve(80);
    last.serve(80);
    let rule = |to: &str, host: u16| {
        let published = Published { protocol: Protocol::Tcp, port: 80, address: ip("0.0.0.0"), host };
        PortRule { published, to: ip(to) }
    };
    // Of twenty-five containers two hundred each, and of a hundred more one each; two of them are there.
    let many = (0..25u16).map(|part| {
        let to = if part == 24 { "10.1.0.3".to_owned() } else { format!("10.1.1.{part}") };
        (format!("many{part}"), (0..200).map(|port| rule(&to, 10_000 + part * 200 + port)).collect())
    });
    let single = (0..100u16).map(|port| {
        let to = if port == 99 { "10.1.0.4".to_owned() } else { format!("10.1.2.{port}") };
        (format!("single{port}"), vec![rule(&to, 20_000 + port)])
    });
    let batches: Vec<(String, Vec<PortRule>)> = many.chain(single).collect();
    within(&world.host, || {
        for (endpoint, ports) in &batches {
            let endpoint = Endpoint { id: endpoint.clone(), ..web.endpoint.clone() };
            world.switch.publish(&endpoint, ports.clone()).unwrap();
        }
    });
    for port in [14_800, 14_999, 20_099] {
        assert_eq!(reaches(&world.outside, at(HOST, port)), ip(OUTSIDE), "{port}");
    }
    is_closed(&world.outside, at(HOST, 15_000));
    assert!(!within(&world.host, || world.switch.mend().unwrap()), "all of them are there");
    world.tool("nft", &["flush", "ruleset"]);
    assert!(within(&world.host, || world.switch.mend().unwrap()), "made again, all at once");
    reaches(&world.outside, at(HOST, 14_999));
    within(&world.host, || {
        for (endpoint, _) in &batches {
            world.switch.detach(endpoint).unwrap();
        }
    });
    is_closed(&world.outside, at(HOST, 14_999));
    let left = world.tool("nft", &["list", "map", "inet", "hull-test", "any4"]);
    assert!(!left.contains("elements"), "{left}");
}

#[test]
fn a_flush_is_told_from_what_others_do_to_their_own_tables() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let watch = within(&world.host, || Watch::open().unwrap());
    let heard = || watch.hear("hull-test", None);
    let table = Table { family: Family::Inet, name: "hull-test".into() };
    world.tool("nft", &["add", "table", "inet", "other"]);
    world.tool("nft", &["delete", "table", "inet", "other"]);
    assert_eq!(heard(), Heard { anything: true, loss: false }, "another's table");
    let web = world.container(&lan, "web", &["10.1.0.3/24"]);
    world.publish(&web, 80, "0.0.0.0", 8080);
    within(&world.host, || world.switch.detach("web").unwrap());
    assert_eq!(heard(), Heard { anything: true, loss: false }, "ports that open and close");
    world.tool("nft", &["flush", "chain", "inet", "hull-test", "into"]);
    assert_eq!(heard(), Heard { anything: true, loss: true }, "a chain");
    world.tool("nft", &["flush", "ruleset"]);
    assert_eq!(heard(), Heard { anything: true, loss: true }, "everything");
    assert_eq!(heard(), Heard::default(), "told once");
    assert!(within(&world.host, || world.switch.mend().unwrap()));
    // What one does oneself is known.
    let mut own = within(&world.host, || Nft::open().unwrap());
    let mut batch = Batch::new();
    batch.add_table(&table).delete_table(&table);
    heard();
    own.commit(batch).unwrap();
    assert_eq!(watch.hear("hull-test", own.port()), Heard::default(), "nobody else has done anything");
    drop(watch);
    assert!(within(&world.host, || world.switch.mend().unwrap()));
    within(&world.host, || hull_network::Switch::watch(&world.switch).unwrap());
    world.tool("nft", &["flush", "ruleset"]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !world.tool("nft", &["list", "tables"]).contains("table inet hull-test") {
        assert!(Instant::now() < deadline, "the rules do not come back");
    }
}

/// What docker 28.5's daemon makes of the table `filter`, with three networks of its users and a published port: `iptables -S` in
/// `cargo xtask oracle`'s namespace, where `ip_forward` was off before.
const DOCKER: &str = include_str!("golden/docker-28.5-filter.txt");

#[test]
fn a_forward_policy_that_drops_does_not_cut_containers_off() {
    for before in [true, false] {
        let world = World::new();
        let lan = network("lan", &["10.1.0.0/24", "fd00:10:1::/64"]);
        let iptables = |words: &str| world.tool("iptables-nft", &words.split(' ').collect::<Vec<_>>());
        let docker = || DOCKER.lines().for_each(|words| drop(iptables(words)));
        let mend = || within(&world.host, || world.switch.mend().unwrap());
        if before {
            docker();
        }
        world.raise(&lan);
        if !before {
            docker();
            assert!(mend(), "the policy is seen");
        }
        let (a, b) = (
            world.container(&lan, "a", &["10.1.0.2/24", "fd00:10:1::2/64"]),
            world.container(&lan, "b", &["10.1.0.3/24", "fd00:10:1::3/64"]),
        );
        b.serve(80);
        world.publish(&b, 80, "0.0.0.0", 8080);
        let server = within(&world.outside, || TcpListener::bind(at(OUTSIDE, 90)).unwrap());
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let mut stream = stream.unwrap();
                let peer = stream.peer_addr().unwrap().ip();
                let _ = write!(stream, "{peer}");
            }
        });
        let goes_on = || {
            assert_eq!(reaches(&world.outside, at(HOST, 8080)), ip(OUTSIDE));
            assert_eq!(reaches(&a.netns, at(OUTSIDE, 90)), ip(HOST), "out, and the answer back");
            reaches(&a.netns, at("10.1.0.3", 80));
            is_closed(&world.outside, at("10.1.0.3", 80));
        };
        goes_on();
        assert!(!mend(), "nothing to do");
        let listed = iptables("-S FORWARD");
        for expected in ["-i br-lan", "-o br-lan"] {
            assert!(listed.contains(expected), "iptables shows them: {listed}");
        }
        // Flushed, and set again.
        iptables("-F FORWARD");
        assert!(mend());
        goes_on();
        // What a rule of the host's owner drops stays dropped.
        iptables("-I FORWARD -p tcp --dport 90 -j DROP");
        assert!(!mend());
        is_closed(&a.netns, at(OUTSIDE, 90));
        reaches(&world.outside, at(HOST, 8080));
        iptables("-D FORWARD 1");
        // IPv6 has a table and a policy of its own.
        world.tool("ip6tables-nft", &["-P", "FORWARD", "DROP"]);
        assert!(mend());
        world.publish(&b, 80, "::", 8080);
        reaches(&world.outside, at("fd00:113::1", 8080));
        iptables("-P FORWARD ACCEPT");
        assert!(mend(), "not needed any more");
        assert!(!iptables("-S FORWARD").contains("br-lan"));
        iptables("-P FORWARD DROP");
        assert!(mend());
        within(&world.host, || world.switch.lower(&lan).unwrap());
        for tool in ["iptables-nft", "ip6tables-nft"] {
            assert!(!world.tool(tool, &["-S"]).contains("br-lan"), "they go with the network");
        }
    }
}

/// From the first connection that should not have been to the last, or to the end of the program that flushed.
#[test]
fn what_a_flush_opens_is_closed_within_a_second() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let web = world.container(&lan, "web", &["10.1.0.3/24"]);
    web.serve(80);
    within(&world.host, || hull_network::Switch::watch(&world.switch).unwrap());
    let open = |patience| within(&world.outside, || TcpStream::connect_timeout(&at("10.1.0.3", 80), patience).is_ok());
    assert!(!open(Duration::from_millis(700)), "it is not published");
    // A busy machine may be late once.
    let times = (0..3).map(|_| {
        let flushed = AtomicBool::new(false);
        let (mut opened, mut last) = (None, Instant::now());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                world.tool("nft", &["flush", "ruleset"]);
                flushed.store(true, Ordering::SeqCst);
            });
            let mut done = false;
            while !done || last.elapsed() < Duration::from_millis(500) {
                if open(Duration::from_millis(2)) {
                    last = Instant::now();
                    opened = opened.or(Some(last));
                }
                if !done && flushed.load(Ordering::SeqCst) {
                    (done, last) = (true, Instant::now());
                }
            }
        });
        let time = opened.map_or(Duration::ZERO, |opened| last - opened);
        eprintln!("open for at most {time:?}");
        time
    });
    let shortest = times.min().unwrap();
    assert!(shortest < Duration::from_secs(1), "{shortest:?}");
    assert!(!open(Duration::from_millis(700)), "closed again");
}
