//! Links, addresses, routes and rulesets made for real, in a network namespace of the test's own, and
//! read back with ip(8) and nft(8), which know nothing of this crate.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;

use hull_netlink::nft::{
    Batch, Chain, Data, Direction, Element, Expr, Family, Field, Hook, Nft, Register, Rule, Set, Table, Type, Verdict,
    Watch,
};
use hull_netlink::route::{Bridge, IpvlanFlag, IpvlanMode, Mac, MacvlanMode, Net, NewLink, Path, Peer, Upper, Veth};
use hull_netlink::{Error, Route, Tolerate};
use rustix::io::Errno;

/// Runs `work` in a new network namespace with `lo` up.
fn in_new_network<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    assert!(rustix::process::geteuid().is_root(), "needs root");
    hull_sys::namespace::on_own_thread(|| {
        hull_sys::process::unshare(rustix::thread::UnshareFlags::NEWNET.bits())?;
        hull_sys::net::loopback_up()?;
        Ok(work())
    })
    .unwrap()
}

fn said(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn net(text: &str) -> Net {
    text.parse().unwrap()
}

#[test]
fn a_veth_on_a_bridge_with_its_peer_in_another_namespace() {
    in_new_network(|| {
        let mut route = Route::open().unwrap();
        let mac = Mac([2, 0x42, 0, 0, 0, 1]);
        let bridge = NewLink { name: "br0", mac: Some(mac), mtu: Some(1400), up: true, ..NewLink::default() };
        route.add_bridge(&Bridge { link: bridge, multicast_snooping: false }).unwrap();
        let bridge = route.link("br0").unwrap().unwrap();
        assert_eq!(
            (bridge.kind.as_deref(), bridge.mac, bridge.mtu, bridge.up),
            (Some("bridge"), Some(mac), 1400, true)
        );

        let inside = hull_sys::namespace::new_network().unwrap();
        let near = NewLink { name: "near0", master: Some(bridge.index), up: true, ..NewLink::default() };
        let far = Mac([2, 0x42, 0, 0, 0, 2]);
        let peer = Peer { name: "eth0", mac: Some(far), mtu: None, netns: Some(inside.as_fd()) };
        route.add_veth(&Veth { link: near, peer, segment_ipv4: None }).unwrap();
        let near = route.link("near0").unwrap().unwrap();
        assert_eq!(near.master, Some(bridge.index));
        assert!(route.link("eth0").unwrap().is_none(), "the peer is not here");
        assert!(said("ip", &["-d", "link", "show", "br0"]).contains("mcast_snooping 0"));

        route.add_address(bridge.index, net("10.9.0.1/24")).unwrap();
        route.add_address(bridge.index, net("fd00:9::1/64")).unwrap();
        let shown = said("ip", &["addr", "show", "br0"]);
        for expected in ["inet 10.9.0.1/24 brd 10.9.0.255", "inet6 fd00:9::1/64", "nodad"] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        assert!(route.addresses().unwrap().contains(&(bridge.index, net("10.9.0.1/24"))));

        let _listener = std::net::TcpListener::bind("10.9.0.1:77").unwrap();
        in_network(&inside, || {
            let mut route = Route::open().unwrap();
            let eth0 = route.link("eth0").unwrap().unwrap();
            assert_eq!((eth0.mac, eth0.kind.as_deref(), eth0.up), (Some(far), Some("veth"), false));
            route.set_up(eth0.index, true).unwrap();
            route.add_address(eth0.index, net("10.9.0.2/24")).unwrap();
            let gateway: IpAddr = "10.9.0.1".parse().unwrap();
            let path = Path { destination: net("0.0.0.0/0"), gateway: Some(gateway), link: eth0.index, metric: None };
            route.add_path(&path).unwrap();
            assert!(route.paths().unwrap().iter().any(|p| p.is_default() && p.gateway == Some(gateway)));
            std::net::TcpStream::connect("10.9.0.1:77").unwrap();
            route.delete_path(&path).unwrap();
            assert!(!route.paths().unwrap().iter().any(Path::is_default));
        });

        route.delete_address(bridge.index, net("10.9.0.1/24")).unwrap();
        route.delete_address(bridge.index, net("10.9.0.1/24")).unwrap();
        route.set_port(near.index, true, true).unwrap();
        let port = said("bridge", &["-d", "link", "show", "dev", "near0"]);
        assert!(port.contains("hairpin on") && port.contains("isolated on"), "{port}");
        route.set_master(near.index, None).unwrap();
        route.set_up(near.index, false).unwrap();
        route.rename(near.index, "other0").unwrap();
        route.set_mac(near.index, Mac([2, 0, 0, 0, 0, 9])).unwrap();
        let other = route.link("other0").unwrap().unwrap();
        assert_eq!((other.master, other.up, other.mac.unwrap().to_string()), (None, false, "02:00:00:00:00:09".into()));
        route.move_to(other.index, inside.as_fd(), Some("eth1")).unwrap();
        in_network(&inside, || assert!(Route::open().unwrap().link("eth1").unwrap().is_some()));
        route.delete(bridge.index).unwrap();
        route.delete(bridge.index).unwrap();
        assert!(route.link("br0").unwrap().is_none());
    });
}

/// Runs `work` on a thread in the namespace.
fn in_network(netns: impl AsFd + Sync, work: impl FnOnce() + Send) {
    hull_sys::namespace::on_own_thread(|| {
        rustix::thread::move_into_link_name_space(netns.as_fd(), Some(rustix::thread::LinkNameSpaceType::Network))
            .unwrap();
        work();
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_kernel_is_asked_which_links_it_knows() {
    let up = |name| NewLink { name, up: true, ..NewLink::default() };
    in_new_network(|| {
        let mut route = Route::open().unwrap();
        route.add_bridge(&Bridge { link: up("br0"), multicast_snooping: false }).unwrap();
        let parent = route.link("br0").unwrap().unwrap().index;
        for upper in
            [Upper::Macvlan(MacvlanMode::Bridge), Upper::Ipvlan(IpvlanMode::L3, IpvlanFlag::Private), Upper::Vlan(50)]
        {
            let known = route.knows(upper).unwrap();
            let made = route.add_upper(&up("on0"), parent, upper);
            assert_eq!(known, made.is_ok(), "{upper:?}: {made:?}");
            if known {
                let link = route.link("on0").unwrap().unwrap();
                assert_eq!((link.kind.as_deref(), link.peer), (Some(upper.kind()), Some(parent)));
                route.set_alias(link.index, "mine").unwrap();
                assert_eq!(route.link("on0").unwrap().unwrap().alias.as_deref(), Some("mine"));
                route.delete(link.index).unwrap();
            }
        }
        assert_eq!(route.links().unwrap().iter().filter(|link| link.name.contains("lan")).count(), 0, "nothing made");
    });
}

#[test]
fn a_macvlan_sits_on_its_parent() {
    in_new_network(|| {
        let mut route = Route::open().unwrap();
        let up = |name| NewLink { name, up: true, ..NewLink::default() };
        let peer = Peer { name: "up1", mac: None, mtu: None, netns: None };
        route.add_veth(&Veth { link: up("up0"), peer, segment_ipv4: None }).unwrap();
        let parent = route.link("up0").unwrap().unwrap().index;
        route.add_upper(&up("mv0"), parent, Upper::Macvlan(MacvlanMode::Bridge)).unwrap();
        let made = route.link("mv0").unwrap().unwrap();
        assert_eq!((made.kind.as_deref(), made.peer), (Some("macvlan"), Some(parent)));
        assert!(said("ip", &["-d", "link", "show", "mv0"]).contains("macvlan mode bridge"));
    });
}

#[test]
fn a_refusal_names_the_request_and_the_kernels_words() {
    in_new_network(|| {
        let mut route = Route::open().unwrap();
        let lo = Bridge { link: NewLink { name: "lo", ..NewLink::default() }, multicast_snooping: true };
        let error = route.add_bridge(&lo).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EXIST));
        assert!(error.to_string().starts_with("new bridge lo: file exists"), "{error}");
        assert_eq!(route.add_bridge(&lo).tolerate(&[Errno::EXIST]), Ok(None));

        let table = Table { family: Family::Inet, name: "absent".into() };
        let mut batch = Batch::new();
        batch.add_chain(&table, &Chain { name: "c", base: None });
        let error = Nft::open().unwrap().commit(batch).unwrap_err();
        assert!(matches!(&error, Error::Refused { errno: Errno::NOENT, .. }), "{error:?}");
        assert!(error.to_string().starts_with("add chain c to table inet absent"), "{error}");
    });
}

const R0: Register = Register(0);
const R1: Register = Register(1);

fn be(port: u16) -> Vec<u8> {
    let mut bytes = port.to_be_bytes().to_vec();
    bytes.resize(4, 0);
    bytes
}

fn published(port: u16, to: [u8; 4]) -> Element {
    let key = [vec![6, 0, 0, 0], be(port)].concat();
    Element { key, data: Some(Data::Value([to.to_vec(), be(port)].concat())) }
}

fn a_table(batch: &mut Batch) -> Table {
    let table = Table { family: Family::Inet, name: "t".into() };
    let map = Set { name: "ports", key: &[Type::Proto, Type::Service], data: Some(&[Type::Ipv4, Type::Service]) };
    let links = Set { name: "links", key: &[Type::IfName], data: Some(&[]) };
    let exprs = [
        Expr::Load(Field::Nfproto, R0),
        Expr::Cmp(R0, true, vec![2]),
        Expr::Load(Field::FibDaddrType, R0),
        Expr::Cmp(R0, true, 2u32.to_ne_bytes().to_vec()),
        Expr::Load(Field::L4Proto, R0),
        Expr::Load(Field::Dport, R1),
        Expr::Map(R0, "ports".into(), R0),
        Expr::Nat(Direction::Destination, 2, R0, Some(R1)),
    ];
    let forward = Expr::ct_state(2 | 4, R0).into_iter().chain([Expr::Counter, Expr::Verdict(Verdict::Accept)]);
    let forward: Vec<Expr> = forward.collect();
    let by_link = [Expr::Load(Field::OifName, R0), Expr::VerdictMap(R0, "links".into())];
    batch
        .add_table(&table)
        .add_set(&table, &map)
        .add_chain(&table, &Chain { name: "mine", base: None })
        .add_set(&table, &links)
        .add_chain(&table, &Chain { name: "pre", base: Some((Hook::Prerouting, -100, "nat")) })
        .add_chain(&table, &Chain { name: "forward", base: Some((Hook::Forward, 0, "filter")) })
        .add_rule(&table, &Rule { chain: "pre", comment: "published ports", exprs: &exprs })
        .add_rule(&table, &Rule { chain: "forward", comment: "answers", exprs: &forward })
        .add_rule(&table, &Rule { chain: "forward", comment: "by link", exprs: &by_link });
    table
}

#[test]
fn nft_reads_what_was_written() {
    in_new_network(|| {
        let mut nft = Nft::open().unwrap();
        let mut batch = Batch::new();
        let table = a_table(&mut batch);
        let link = Element { key: Expr::ifname("br0"), data: Some(Data::Verdict(Verdict::Goto("mine".into()))) };
        batch.add_elements(&table, "ports", &[published(80, [10, 0, 0, 2])]).add_elements(&table, "links", &[link]);
        nft.commit(batch).unwrap();
        let shown = said("nft", &["list", "ruleset"]);
        for expected in [
            "table inet t",
            "type inet_proto . inet_service : ipv4_addr . inet_service",
            "elements = { tcp . 80 : 10.0.0.2 . 80 }",
            "type nat hook prerouting priority dstnat; policy accept;",
            "meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map @ports comment \"published ports\"",
            "ct state established,related counter packets 0 bytes 0 accept comment \"answers\"",
            "\"br0\" : goto mine",
            "oifname vmap @links",
        ] {
            assert!(shown.contains(expected), "{expected} is not in\n{shown}");
        }
        assert_eq!(nft.tables().unwrap(), std::slice::from_ref(&table));
        assert_eq!(nft.rules(&table).unwrap(), [("pre".to_owned(), 1), ("forward".to_owned(), 2)]);
        assert_eq!(nft.keys(&table, "ports").unwrap(), [published(80, [0; 4]).key]);
        let mut batch = Batch::new();
        batch.delete_table(&table);
        nft.commit(batch).unwrap();
        assert_eq!(said("nft", &["list", "ruleset"]), "");
    });
}

#[test]
fn a_batch_holds_whole_or_not_at_all() {
    in_new_network(|| {
        let mut nft = Nft::open().unwrap();
        let mut batch = Batch::new();
        let table = a_table(&mut batch);
        nft.commit(batch).unwrap();
        let mut batch = Batch::new();
        batch.add_elements(&table, "ports", &[published(1, [10, 0, 0, 1])]);
        batch.delete_elements(&table, "ports", &[published(2, [10, 0, 0, 1])]);
        let error = nft.commit(batch).unwrap_err();
        assert!(error.to_string().starts_with("delete 1 elements of ports of table inet t: no such file"), "{error}");
        assert_eq!(nft.keys(&table, "ports").unwrap(), Vec::<Vec<u8>>::new());
        // The socket is good for what comes next.
        let many: Vec<Element> = (1..=5000).map(|port| published(port, [10, 0, 0, 1])).collect();
        let mut batch = Batch::new();
        batch.add_elements(&table, "ports", &many);
        nft.commit(batch).unwrap();
        assert_eq!(nft.keys(&table, "ports").unwrap().len(), 5000);
    });
}

#[test]
fn a_watch_hears_a_flush_by_somebody_else() {
    in_new_network(|| {
        let mut nft = Nft::open().unwrap();
        let mut batch = Batch::new();
        a_table(&mut batch);
        nft.commit(batch).unwrap();
        let watch = Watch::open().unwrap();
        assert!(!watch.hear("any", None).anything);
        said("nft", &["flush", "ruleset"]);
        assert!(watch.hear("any", None).anything);
        assert!(!watch.hear("any", None).anything);
        assert!(nft.tables().unwrap().is_empty());
    });
}
