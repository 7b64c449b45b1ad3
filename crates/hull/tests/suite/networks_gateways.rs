//! docker's gateway modes and networks without IPv4, through the command line. What is expected was asked of docker's engine 28.5; who
//! reaches whom is tested where the rules are made (`crates/network/tests/gateways.rs`).

use std::process::Command;

use hull_testkit::{Host, eventually, run};
use serde_json::{Value, json};

use crate::by_hand::ByHand;
use crate::joins::get as patiently;
use crate::networks::{on_host, serve};

const MODE4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
const MODE6: &str = "com.docker.network.bridge.gateway_mode_ipv6";

fn kill_the_engine(host: &Host) {
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-9", &engine.to_string()]), b"").ok();
    eventually("the next engine answers", || host.answers() && host.engine_pid() != engine);
}

fn inspected(host: &Host, network: &str) -> Value {
    let told = host.hull(&["network", "inspect", network]).ok();
    serde_json::from_str::<Value>(&told).expect("JSON")[0].clone()
}

#[test]
fn what_cannot_be_is_refused() {
    let host = Host::new();
    for (options, sentence) in [
        (
            &["-o", "com.docker.network.bridge.gateway_mode_ipv4=isolated"][..],
            "gateway mode 'isolated' can only be used for an internal network",
        ),
        (
            &["-o", "com.docker.network.bridge.gateway_mode_ipv6=bogus"],
            "com.docker.network.bridge.gateway_mode_ipv6 value: bogus (unknown gateway mode bogus)",
        ),
        (&["-o", "com.docker.network.bridge.inhibit_ipv4=perhaps"], "is not true or false"),
        (
            &["-o", "com.docker.network.bridge.trusted_host_interfaces=a:b/c"],
            "is not names of links with colons between",
        ),
        (&["--ipv4=false"], "IPv4 or IPv6 must be enabled"),
        (&["--ipv4=false", "--ipv6", "--subnet", "10.9.0.0/24"], "an IPv4 subnet needs IPv4"),
        (&["--ipv4=false", "--ipv6", "-d", "macvlan"], "macvlan networks without IPv4 are not supported"),
    ] {
        let refused = host.hull(&[&["network", "create"], options, &["wrong"]].concat()).fails(1);
        assert!(refused.contains(sentence), "{options:?}: {refused}");
    }
    assert_eq!(host.hull(&["network", "ls", "-q", "--filter", "type=custom"]).ok(), "");
}

#[test]
fn a_routed_network_opens_ports_at_the_containers_own_address() {
    let host = Host::new();
    let modes = [&format!("{MODE4}=routed"), &format!("{MODE6}=routed")];
    let subnets = ["--subnet", "10.99.1.0/24", "--ipv6", "--subnet", "fd00:99:1::/64"];
    host.hull(&[&["network", "create", "-o", modes[0], "-o", modes[1]], &subnets[..], &["plain"]].concat()).ok();
    serve(&host, "web", &["--network", "plain", "-p", "8080:80", "-p", "127.0.0.1:8081:81"]);
    let ports = host.inspect("web")["NetworkSettings"]["Ports"].clone();
    let own = json!([{"HostIp": "0.0.0.0", "HostPort": ""}, {"HostIp": "::", "HostPort": ""}]);
    assert_eq!(ports, json!({"80/tcp": own, "81/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}));
    assert_eq!(host.hull(&["port", "web", "80"]).ok(), "0.0.0.0:\n[::]:");
    let row = host.hull(&["ps", "--format", "{{.Ports}}"]).ok();
    assert_eq!(row, "0.0.0.0:0->80/tcp, [::]:0->80/tcp, 0.0.0.0:0->81/tcp");
    let at_host = || on_host(&host, "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 127.0.0.1 8080").code;
    assert_ne!(at_host(), 0, "no port of this host leads there");
    let rules = || on_host(&host, "nft list ruleset").ok();
    assert!(rules().contains("10.99.1.2 . tcp . 80") && rules().contains("ports of routed networks"));
    let told = host.hull(&["network", "trace", "web", "80"]).ok();
    assert!(told.contains("open at the container's own address") && told.contains("10.99.1.2:80"), "{told}");
    let mut by_hand = ByHand::of(&host, "web");
    by_hand.pid(&host, "httpd");
    assert!(
        by_hand.text.contains("meta l4proto icmp accept") && !by_hand.text.contains("dnat ip to"),
        "{}",
        by_hand.text
    );
    by_hand.end();
    // The next engine knows it, and takes no port of the host for it.
    kill_the_engine(&host);
    eventually("its ports are open", || rules().contains("10.99.1.2 . tcp . 80"));
    assert_eq!(host.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"], own);
    host.hull(&["rm", "-f", "web"]).ok();
    assert!(!rules().contains("10.99.1.2 . tcp"), "{}", rules());
    host.hull(&["network", "rm", "plain"]).ok();
    host.assert_clean();
}

#[test]
fn an_isolated_network_has_no_gateway() {
    let host = Host::new();
    let mode = format!("{MODE4}=isolated");
    host.hull(&["network", "create", "--internal", "-o", &mode, "--subnet", "10.99.2.0/24", "alone"]).ok();
    assert_eq!(inspected(&host, "alone")["IPAM"]["Config"], json!([{"Subnet": "10.99.2.0/24"}]));
    host.sleeper(&["--name", "one", "--network", "alone"]);
    assert_eq!(host.hull(&["exec", "one", "ip", "route"]).ok().lines().count(), 1, "no way out");
    assert!(!on_host(&host, "ip -o addr").ok().contains("10.99.2."), "this host has no address there");
    host.sh(&["--network", "alone"], "ping -c 1 -w 10 one >/dev/null");
    host.hull(&["rm", "-f", "one"]).ok();
    host.hull(&["network", "rm", "alone"]).ok();
}

#[test]
fn a_network_without_ipv4_has_ipv6_alone() {
    let host = Host::new();
    host.hull(&["network", "create", "--ipv4=false", "--ipv6", "six"]).ok();
    let network = inspected(&host, "six");
    assert_eq!((&network["EnableIPv4"], &network["EnableIPv6"]), (&json!(false), &json!(true)));
    assert_eq!(network["IPAM"]["Config"].as_array().map(Vec::len), Some(1), "{network}");
    assert_eq!(
        host.hull(&["network", "ls", "--filter", "name=six", "--format", "{{.IPv4}} {{.IPv6}}"]).ok(),
        "false true"
    );
    serve(&host, "web", &["--network", "six", "-p", "8086:80"]);
    let shown = host.inspect("web")["NetworkSettings"].clone();
    assert_eq!(shown["Ports"], json!({"80/tcp": [{"HostIp": "::", "HostPort": "8086"}]}));
    let end = &shown["Networks"]["six"];
    assert_eq!((&end["IPAddress"], &end["Gateway"]), (&json!(""), &json!("")));
    assert_ne!(end["GlobalIPv6Address"], "");
    assert_eq!(host.hull(&["exec", "web", "sh", "-c", "ip -4 -o addr show eth0; ip route"]).ok(), "");
    assert_eq!(on_host(&host, &patiently("::1", "8086")).ok(), "web");
    // By its name, from a neighbour; and after the engine's death.
    let by_name = || host.sh(&["--network", "six"], &patiently("web", "80"));
    assert_eq!(by_name(), "web");
    kill_the_engine(&host);
    assert_eq!(by_name(), "web");
    assert_eq!(on_host(&host, &patiently("::1", "8086")).ok(), "web");
    for (flags, sentence) in [
        (&["-p", "127.0.0.1:8087:80"][..], "the network six has no IPv4"),
        (&["--ip", "10.1.2.3"], "no configured subnet contains IP address 10.1.2.3"),
    ] {
        let refused =
            host.hull(&[&["run", "--rm", "--network", "six"], flags, &["busybox", "true"]].concat()).fails(125);
        assert!(refused.contains(sentence), "{refused}");
    }
    let told = host.hull(&["explain", "web"]).ok();
    assert!(told.contains("8086"), "{told}");
    host.hull(&["rm", "-f", "web"]).ok();
    host.hull(&["network", "rm", "six"]).ok();
    host.assert_clean();
}
