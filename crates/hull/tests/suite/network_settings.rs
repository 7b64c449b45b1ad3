//! `networks.json`: where ports are published, whose rules they obey, where networks are taken from.

use std::fs;
use std::process::Command;

use hull_testkit::{Host, Settings, eventually, run};

use crate::networks::serve;
use crate::networks_on_links::{page, tool, uplink};

/// A host with this file.
fn host(json: &str) -> (Host, tempfile::TempDir) {
    let etc = tempfile::tempdir().expect("a directory");
    fs::write(etc.path().join("networks.json"), json).expect("write");
    let env = vec![("HULL_ETC".to_owned(), etc.path().to_string_lossy().into_owned())];
    (Host::with(&Settings { env, ..Settings::default() }), etc)
}

#[test]
fn ports_are_published_where_the_host_says_and_networks_taken_from_its_pools() {
    let (host, _etc) = host(
        r#"{ "publish-on": "127.0.0.1", "default-address-pools": [{ "base": "10.140.0.0/23", "size": 24 }, { "base": "fd00:140::/63", "size": 64 }] }"#,
    );
    serve(&host, "web", &["-p", "8080:80", "-p", "0.0.0.0:8081:80"]);
    let ports = host.hull(&["port", "web"]).ok();
    assert!(ports.contains("127.0.0.1:8080") && ports.contains("0.0.0.0:8081"), "{ports}");
    assert!(!ports.contains("0.0.0.0:8080"), "{ports}");
    assert!(host.inspect("web")["NetworkSettings"]["IPAddress"].as_str().is_some_and(|at| at.starts_with("10.140.0.")));
    host.hull(&["network", "create", "--ipv6", "second"]).ok();
    let subnets =
        host.hull(&["network", "inspect", "second", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}"]).ok();
    assert_eq!(subnets.trim(), "10.140.1.0/24 fd00:140::/64");
    let inside = host.hull(&["run", "--rm", "--network", "second", "busybox", "ip", "-6", "-o", "addr"]).ok();
    assert!(inside.contains("fd00:140::2/64"), "{inside}");
    let full = host.hull(&["network", "create", "third"]);
    assert!(full.stderr.contains("all predefined address pools have been fully subnetted"), "{}", full.stderr);
    host.hull(&["network", "rm", "second"]).ok();
}

#[test]
fn published_ports_obey_the_hosts_input_rules_where_it_wants_that() {
    let (host, _etc) = host(r#"{ "obey-input-rules": true }"#);
    uplink(&host, &["10.99.0.2/24"]);
    tool(&host, "ip addr add 10.99.0.1/24 dev up0").ok();
    serve(&host, "web", &["-p", "80:80"]);
    assert_eq!(page(&host, "outside", "10.99.0.1"), "web");
    tool(&host, "nft add table inet fw").ok();
    tool(&host, "nft add chain inet fw input { type filter hook input priority 0; policy drop; }").ok();
    tool(&host, "nft add rule inet fw input ct state established,related accept").ok();
    // The engine hears of a rule once it is there.
    let reached = || host.hull(&["exec", "outside", "nc", "-w", "1", "10.99.0.1", "80"]).code == 0;
    eventually("the host's rule holds", || !reached());
    assert!(!reached());
    tool(&host, "nft add rule inet fw input tcp dport 80 accept").ok();
    assert_eq!(page(&host, "outside", "10.99.0.1"), "web");
    let shown = host.hull(&["network", "trace", "web", "80"]).ok();
    assert!(shown.contains("this host's own input rules are asked first"), "{shown}");
    // The next engine hears what comes as the former one did.
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(page(&host, "outside", "10.99.0.1"), "web");
    let refused = host.hull(&["run", "--rm", "-p", "81:81/sctp", "busybox", "true"]);
    assert!(refused.stderr.contains("ports of sctp cannot be published"), "{}", refused.stderr);
    host.hull(&["rm", "-f", "web"]).ok();
    tool(&host, "nft delete table inet fw").ok();
    tool(&host, "ip link del up0").ok();
}

#[test]
fn nothing_is_published_while_the_settings_cannot_be_read() {
    let wrong = r#"{ "obey-input-rule": true }"#;
    let (host, etc) = host(wrong);
    host.sh(&[], "true");
    let refused = host.hull(&["run", "--rm", "-p", "8080:80", "busybox", "true"]);
    assert_eq!(refused.code, 125);
    assert!(
        refused.stderr.contains("networks.json cannot be used: unknown field `obey-input-rule`"),
        "{}",
        refused.stderr
    );
    fs::write(etc.path().join("networks.json"), "{}").expect("write");
    host.hull(&["engine", "restart"]).ok();
    host.hull(&["run", "--rm", "-p", "8080:80", "busybox", "true"]).ok();
    fs::write(etc.path().join("networks.json"), wrong).expect("write");
    host.hull(&["engine", "restart"]).ok();
}

#[test]
fn packets_are_as_large_as_the_uplinks() {
    let (host, _etc) = host("{}");
    let mtu = |who: &str| host.hull(&["exec", who, "cat", "/sys/class/net/eth0/mtu"]).ok().trim().to_owned();
    host.hull(&["network", "create", "before"]).ok();
    serve(&host, "early", &["--network", "before"]);
    assert_eq!(mtu("early"), "1500", "no uplink yet");
    for words in [
        "link add up0 mtu 1380 type veth peer name up1",
        "link set up0 up",
        "link set up1 up",
        "route add default dev up0",
    ] {
        tool(&host, &format!("ip {words}")).ok();
    }
    host.hull(&["network", "create", "after"]).ok();
    host.hull(&["network", "create", "--opt", "com.docker.network.driver.mtu=1300", "asked"]).ok();
    serve(&host, "late", &["--network", "after"]);
    serve(&host, "other", &["--network", "asked"]);
    assert_eq!((mtu("late"), mtu("other")), ("1380".into(), "1300".into()));
    host.hull(&["rm", "-f", "early", "late", "other"]).ok();
    for network in ["before", "after", "asked"] {
        host.hull(&["network", "rm", network]).ok();
    }
    tool(&host, "ip link del up0").ok();
}

#[test]
fn the_default_network_is_as_the_host_says() {
    let all = r#"{ "bip": "10.141.0.9/16", "fixed-cidr": "10.141.7.0/24", "fixed-cidr-v6": "fd41::/64", "mtu": 1400,
        "icc": false, "ip": "127.0.0.1" }"#;
    let (host, etc) = host(all);
    let link = |host: &Host, who: &str| host.hull(&["exec", who, "ip", "addr", "show", "eth0"]).ok();
    serve(&host, "web", &["-p", "8080:80"]);
    serve(&host, "near", &[]);
    let shown = link(&host, "web");
    for expected in ["inet 10.141.7.", "/16 ", "inet6 fd41::", "mtu 1400"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    assert!(host.hull(&["port", "web"]).ok().contains("127.0.0.1:8080"));
    let route = host.hull(&["exec", "web", "ip", "route"]).ok();
    assert!(route.contains("default via 10.141.0.9 "), "{route}");
    let inspect = |who: &str| host.inspect(who)["NetworkSettings"]["IPAddress"].as_str().unwrap_or_default().to_owned();
    let near = inspect("near");
    let apart = host.hull(&["exec", "web", "ping", "-c", "1", "-W", "1", &near]);
    assert_ne!(apart.code, 0, "icc is off: {}", apart.stdout);
    // Another subnet waits for an engine that finds no container on the network; the rest holds at once.
    fs::write(etc.path().join("networks.json"), r#"{ "bip": "10.142.0.1/24" }"#).expect("write");
    host.hull(&["engine", "restart"]).ok();
    serve(&host, "later", &[]);
    assert!(inspect("later").starts_with("10.141.7."), "{}", inspect("later"));
    assert!(link(&host, "later").contains("mtu 1500"));
    host.hull(&["rm", "-f", "web", "near", "later"]).ok();
    host.hull(&["engine", "restart"]).ok();
    serve(&host, "last", &[]);
    assert!(inspect("last").starts_with("10.142.0."), "{}", inspect("last"));
    let bridge = tool(&host, "ip -4 -o addr show type bridge").ok();
    assert!(bridge.contains("10.142.0.1/24") && !bridge.contains("10.141."), "{bridge}");
    host.hull(&["rm", "-f", "last"]).ok();
    fs::write(etc.path().join("networks.json"), all).expect("write");
    host.hull(&["engine", "restart"]).ok();
}

#[test]
fn another_subnet_holds_even_where_the_former_could_not_be_taken_away_at_once() {
    let (host, etc) = host(r#"{ "bip": "10.141.0.1/24" }"#);
    let address = |who: &str| host.inspect(who)["NetworkSettings"]["IPAddress"].as_str().unwrap_or_default().to_owned();
    serve(&host, "first", &[]);
    assert!(address("first").starts_with("10.141.0."), "{}", address("first"));
    host.hull(&["rm", "-f", "first"]).ok();
    // Somebody holds a table of the engine's name: the kernel lets nobody else touch it.
    let bridge = tool(&host, "ip -o link show type bridge").ok();
    let instance = bridge.split("br-").nth(1).and_then(|rest| rest.split(':').next()).expect("a bridge").to_owned();
    let words = format!("add table netdev hull-{instance} {{ flags owner; }}\n");
    let mut holder = Command::new("nsenter");
    holder.args(["-t", &host.engine_pid().to_string(), "-n", "--", "nft", "-i"]).stdin(std::process::Stdio::piped());
    let mut holder = holder.stdout(std::process::Stdio::null()).spawn().expect("nft");
    let mut input = holder.stdin.take().expect("piped");
    std::io::Write::write_all(&mut input, words.as_bytes()).expect("write");
    eventually("the table is held", || tool(&host, "nft list tables netdev").stdout.contains(&instance));
    fs::write(etc.path().join("networks.json"), r#"{ "bip": "10.142.0.1/24" }"#).expect("write");
    host.hull(&["engine", "restart"]).ok();
    assert!(host.log().contains("operation not permitted"), "{}", host.log());
    drop(input);
    holder.wait().expect("wait");
    serve(&host, "last", &[]);
    assert!(address("last").starts_with("10.142.0."), "{}", address("last"));
    let bridge = tool(&host, "ip -4 -o addr show type bridge").ok();
    assert!(bridge.contains("10.142.0.1/24") && !bridge.contains("10.141."), "{bridge}");
    host.hull(&["rm", "-f", "last"]).ok();
    fs::write(etc.path().join("networks.json"), r#"{ "bip": "10.141.0.1/24" }"#).expect("write");
    host.hull(&["engine", "restart"]).ok();
}
