//! Addresses: where a network takes them from, who keeps one, and when one is given again.

use hull_testkit::{Host, KillAt, Settings};

use crate::joins::exec;
use crate::networks::{address, on_host, serve};

#[test]
fn a_networks_range_its_gateway_and_what_is_reserved_are_kept() {
    let host = Host::new();
    let flags = "--subnet 10.77.0.0/24 --ip-range 10.77.0.16/30 --gateway 10.77.0.17 --aux-address router=10.77.0.18";
    let words: Vec<&str> = ["network", "create"].into_iter().chain(flags.split(' ')).chain(["few"]).collect();
    host.hull(&words).ok();
    for (name, expected) in [("one", "10.77.0.16"), ("two", "10.77.0.19")] {
        host.sleeper(&["--name", name, "--network", "few"]);
        assert_eq!(address(&host, name, "few"), expected);
    }
    assert_eq!(exec(&host, "one", "ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'"), "10.77.0.17");
    exec(&host, "one", "ping -c 1 -w 20 10.77.0.19 && ping -c 1 -w 20 10.77.0.17");
    for (flags, words) in [
        (&["--network", "few"][..], "no available IPv4 or IPv6 addresses on this network's address pools"),
        (&["--network", "few", "--ip", "10.77.0.18"], "Address already in use"),
        (&["--network", "few", "--ip", "10.77.0.17"], "Address already in use"),
        (&["--network", "few", "--ip", "10.77.0.16"], "Address already in use"),
    ] {
        let refused = host.hull(&[&["run", "--rm"], flags, &["busybox", "true"]].concat());
        assert!(refused.code != 0 && refused.stderr.contains(words), "{flags:?}: {}", refused.stderr);
    }
    // Outside of the range, but of the network.
    host.sleeper(&["--name", "fixed", "--network", "few", "--ip", "10.77.0.200"]);
    exec(&host, "fixed", "ping -c 1 -w 20 10.77.0.16");
    host.hull(&["rm", "-f", "one"]).ok();
    host.sleeper(&["--name", "again", "--network", "few"]);
    assert_eq!(address(&host, "again", "few"), "10.77.0.16");
    host.hull(&["rm", "-f", "two", "fixed", "again"]).ok();
    host.hull(&["network", "rm", "few"]).ok();
}

#[test]
fn an_address_is_kept_while_it_is_used_and_given_again_late() {
    let host = Host::new();
    host.hull(&["network", "create", "--ipv6", "--subnet", "10.77.0.0/29", "--subnet", "fd00:77::/64", "small"]).ok();
    let mut given = Vec::new();
    for _ in 0..5 {
        let name = host.sleeper(&["--network", "small"]);
        given.push(address(&host, &name, "small"));
        host.hull(&["rm", "-f", &name]).ok();
    }
    assert_eq!(given, ["10.77.0.2", "10.77.0.3", "10.77.0.4", "10.77.0.5", "10.77.0.6"], "each once");
    let kept = host.sleeper(&["--network", "small"]);
    let own = address(&host, &kept, "small");
    assert_eq!(own, "10.77.0.2", "when all others have been given");
    let own6 = host.inspect(&kept)["NetworkSettings"]["Networks"]["small"]["GlobalIPv6Address"].clone();
    for _ in 0..6 {
        let other = host.hull(&["run", "--rm", "--network", "small", "busybox", "ip", "-o", "addr"]).ok();
        assert!(!other.contains(&format!(" {own}/")), "{other}");
        assert!(!other.contains(&format!(" {}/", own6.as_str().expect("an address"))), "{other}");
    }
    host.hull(&["rm", "-f", &kept]).ok();
    host.hull(&["network", "rm", "small"]).ok();
}

#[test]
fn link_local_addresses_are_given_beside_the_networks_own() {
    let host = Host::new();
    host.hull(&["network", "create", "--ipv6", "lan"]).ok();
    let flags = ["--network", "lan", "--link-local-ip", "169.254.7.8", "--link-local-ip", "fe80::78"];
    host.sleeper(&[&["--name", "one"], &flags[..]].concat());
    host.sleeper(&["--name", "two", "--network", "lan"]);
    host.hull(&["network", "create", "other"]).ok();
    host.hull(&["network", "connect", "--link-local-ip", "169.254.9.9", "other", "one"]).ok();
    let seen = exec(&host, "one", "ip -o addr");
    for expected in ["eth0    inet 169.254.7.8/16", "eth0    inet6 fe80::78/64", "eth1    inet 169.254.9.9/16"] {
        assert!(seen.contains(expected), "{expected}: {seen}");
    }
    let shown = host.inspect("one");
    let asked = &shown["NetworkSettings"]["Networks"]["lan"]["IPAMConfig"]["LinkLocalIPs"];
    assert_eq!(asked, &serde_json::json!(["169.254.7.8", "fe80::78"]));
    // A neighbour reaches them over the link.
    let route = "ip route add 169.254.0.0/16 dev eth0";
    let reach = format!("{route}; ping -c 1 -w 20 169.254.7.8 && ping -6 -c 1 -w 20 fe80::78%eth0");
    let reached =
        host.hull(&["run", "--rm", "--network", "lan", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c", &reach]);
    assert_eq!(reached.code, 0, "{reached:?}");
    host.hull(&["restart", "-t", "0", "one"]).ok();
    assert!(exec(&host, "one", "ip -o addr").contains("169.254.9.9/16"));
    for (network, address, words) in [
        ("lan", "x", "invalid link-local IP address: x"),
        ("lan", "10.9.9.9", "invalid link local IP address: 10.9.9.9"),
        ("lan", "fd00::1", "invalid link local IP address: fd00::1"),
        ("other", "fe80::78", "the network other has no IPv6"),
    ] {
        let refused = host.hull(&["run", "--rm", "--network", network, "--link-local-ip", address, "busybox", "true"]);
        assert!(refused.code != 0 && refused.stderr.contains(words), "{address}: {}", refused.stderr);
    }
    host.hull(&["rm", "-f", "one", "two"]).ok();
    host.hull(&["network", "rm", "lan", "other"]).ok();
}

#[test]
fn many_ports_are_published_with_as_few_requests_as_one() {
    // What is made ahead behind an answer would be counted, too.
    let host = Host::with(&Settings { env: vec![("HULL_POOLS".into(), "off".into())], ..Settings::default() });
    let requests = |ports: &str| {
        host.hull(&["create", "--name", "web", "-p", ports, "busybox", "sleep", "1000"]).ok();
        let count = KillAt::attach(host.engine_pid(), 0);
        host.hull(&["start", "web"]).ok();
        let calls = count.calls();
        drop(count);
        host.hull(&["rm", "-f", "web"]).ok();
        calls.iter().filter(|call| call.contains("send")).count()
    };
    let (one, many) = (requests("8000:8000"), requests("8000-8199:8000-8199"));
    assert!(many <= one + 12 && one > 0, "{one} requests for one port, {many} for 200");
    serve(&host, "last", &["-p", "8100:80"]);
    let rules =
        on_host(&host, "nft list map inet $(nft list tables inet | sed -n 's/table inet //p' | head -n 1) any4").ok();
    assert_eq!(rules.matches("tcp . ").count(), 1, "what was published is closed: {rules}");
    host.hull(&["rm", "-f", "last"]).ok();
}

#[test]
fn links_are_called_as_an_endpoint_or_its_network_wishes() {
    let host = Host::new();
    host.hull(&["network", "create", "plain"]).ok();
    host.hull(&["network", "create", "-o", "com.docker.network.container_iface_prefix=lan", "pre"]).ok();
    let named = |name: &str| format!("name=plain,driver-opt=com.docker.network.endpoint.ifname={name}");
    host.sleeper(&["--name", "web", "--network", "pre", "--network", &named("ext")]);
    let links = || {
        exec(&host, "web", "ls /sys/class/net | xargs; ip route | sed -n 's/default .* dev \\([a-z0-9]*\\).*/\\1/p'")
    };
    assert_eq!(links(), "ext lan0 lo\next");
    host.hull(&["network", "connect", "bridge", "web"]).ok();
    assert!(links().starts_with("eth0 ext lan0 lo\n"), "{}", links());
    host.hull(&["network", "disconnect", "plain", "web"]).ok();
    let option = "com.docker.network.endpoint.ifname=eth0";
    let taken = host.hull(&["network", "connect", "--driver-opt", option, "plain", "web"]);
    assert!(taken.stderr.contains("a link of the container is called eth0 already"), "{}", taken.stderr);
    for (flags, words) in [
        (&["--network", "pre", "--network", &named("a/b")][..], "is not the name of a link"),
        (&["--network", "pre", "--network", &named("lo")], "is not the name of a link"),
        (
            &["--network", &named("x"), "--network", "name=pre,driver-opt=com.docker.network.endpoint.ifname=x"],
            "two links of one container cannot be called x",
        ),
    ] {
        let refused = host.hull(&[&["run", "--rm"], flags, &["busybox", "true"]].concat());
        assert!(refused.code != 0 && refused.stderr.contains(words), "{flags:?}: {}", refused.stderr);
    }
    host.hull(&["rm", "-f", "web"]).ok();
    host.hull(&["network", "rm", "plain", "pre"]).ok();
}
