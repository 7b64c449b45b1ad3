//! `network trace`: each cause is made, and the answer follows it.

use hull_testkit::Host;
use serde_json::Value;

use crate::networks::{on_host, serve};

fn trace(host: &Host, who: &str, port: &str) -> Value {
    let text = host.hull(&["network", "trace", "--format", "json", who, port]).ok();
    let mut all: Value = serde_json::from_str(&text).expect("JSON");
    all["Ports"][0].take()
}

/// What is said of somebody: where it is reached, or why not.
fn from(trace: &Value, who: &str) -> String {
    let all = trace["From"].as_array().expect("a list");
    let one = all.iter().find(|one| one["Who"].as_str().is_some_and(|name| name.starts_with(who)));
    let one = one.unwrap_or_else(|| panic!("{who}: {trace:#}"));
    match one["Reaches"].as_bool() {
        Some(true) => format!("at {}", one["At"][0].as_str().unwrap_or_default()),
        _ => one["Why"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The hops that stop somebody, as `kind at: says`.
fn stops(trace: &Value) -> Vec<String> {
    let hops = trace["Hops"].as_array().expect("a list");
    let text = |hop: &Value, key: &str| hop[key].as_str().unwrap_or_default().to_owned();
    let stops = hops.iter().filter(|hop| hop["Passes"] == false);
    stops.map(|hop| format!("{} {}: {}", text(hop, "Kind"), text(hop, "At"), text(hop, "Says"))).collect()
}

fn own_address(host: &Host, who: &str, network: &str) -> String {
    let shown = host.inspect(who);
    shown["NetworkSettings"]["Networks"][network]["IPAddress"].as_str().unwrap_or_default().to_owned()
}

/// Waits until somebody listens at a port.
fn listened(host: &Host, who: &str, port: &str) {
    hull_testkit::eventually("it listens", || !stops(&trace(host, who, port)).join(" ").contains("nobody"));
}

/// That one hop stops, and says so.
#[track_caller]
fn one_stop(trace: &Value, words: &str) {
    let stops = stops(trace);
    assert!(stops.len() == 1 && stops[0].contains(words), "{words}: {trace:#}");
}

#[test]
fn the_way_of_a_packet_is_shown_hop_by_hop() {
    let host = Host::new();
    serve(&host, "web", &["-p", "8080:80"]);
    listened(&host, "web", "80");
    let own = own_address(&host, "web", "bridge");
    let shown = host.hull(&["network", "trace", "web", "80"]).ok();
    for expected in [
        "web 80/tcp",
        "0.0.0.0:8080",
        &format!("leads to {own}:80"),
        "lets it through",
        "172.17.0.1/16",
        "eth0",
        &format!("{own}/16"),
        "httpd (pid ",
        "reached from",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(!shown.contains('✗'), "{shown}");
    let seen = trace(&host, "web", "80/tcp");
    assert_eq!(stops(&seen), Vec::<String>::new());
    assert_eq!(from(&seen, "other machines"), "at 0.0.0.0:8080");
    assert_eq!(from(&seen, "this host"), "at 127.0.0.1:8080");
    assert_eq!(from(&seen, "containers on bridge"), format!("at {own}:80"));
    let all = host.hull(&["network", "trace", "web"]).ok();
    assert_eq!(all, shown, "it is the only one");
    for (args, words) in [
        (&["network", "trace", "absent"][..], "No such container: absent"),
        (&["network", "trace", "web", "x"], "invalid port x"),
        (&["network", "trace", "web", "80/icmp"], "invalid port 80/icmp"),
    ] {
        let refused = host.hull(args);
        assert!(refused.code != 0 && refused.stderr.contains(words), "{}", refused.stderr);
    }
    host.sleeper(&["--name", "alone", "--network", "none"]);
    let refused = host.hull(&["network", "trace", "alone"]);
    assert!(refused.stderr.contains("its network mode is none"), "{}", refused.stderr);
    host.hull(&["stop", "-t", "0", "web"]).ok();
    assert_ne!(host.hull(&["network", "trace", "web"]).code, 0, "it does not run");
}

#[test]
fn a_trace_tells_why_a_port_is_not_reached() {
    let host = Host::new();
    serve(&host, "web", &["-p", "8080:80", "-p", "8081:81", "-p", "127.0.0.1:8082:82", "-p", "8083:83"]);
    host.hull(&["exec", "-d", "web", "httpd", "-f", "-p", "127.0.0.1:83"]).ok();
    host.hull(&["exec", "-d", "web", "httpd", "-f", "-p", "82"]).ok();
    host.hull(&["exec", "-d", "web", "httpd", "-f", "-p", "90"]).ok();
    for port in ["80", "82", "83", "90"] {
        listened(&host, "web", port);
    }
    let (own, open) = (own_address(&host, "web", "bridge"), trace(&host, "web", "80"));
    // Nobody listens; for the container alone; on loopback; not published.
    let seen = trace(&host, "web", "81");
    one_stop(&seen, "socket *:81: nobody listens");
    assert_eq!(from(&seen, "other machines"), "nobody listens");
    let seen = trace(&host, "web", "83");
    one_stop(&seen, "for the container alone");
    assert_eq!(from(&seen, "this host"), "it listens at 127.0.0.1:83 alone");
    let seen = trace(&host, "web", "82");
    assert_eq!(from(&seen, "other machines"), "published on 127.0.0.1: for this host alone");
    assert_eq!(from(&seen, "this host"), "at 127.0.0.1:8082");
    let seen = trace(&host, "web", "90");
    one_stop(&seen, "not published");
    assert_eq!(from(&seen, "other machines"), "not published");
    assert_eq!(from(&seen, "containers on bridge"), format!("at {own}:90"));
    // The host does not pass on; somebody else's chain drops.
    on_host(&host, "echo 0 >/proc/sys/net/ipv4/ip_forward").ok();
    let seen = trace(&host, "web", "80");
    one_stop(&seen, "host net.ipv4.ip_forward: is 0");
    assert_eq!(from(&seen, "other machines"), "net.ipv4.ip_forward is 0");
    on_host(&host, "echo 1 >/proc/sys/net/ipv4/ip_forward").ok();
    on_host(
        &host,
        "nft add table ip fw; nft 'add chain ip fw forward { type filter hook forward priority 0; policy drop; }'",
    )
    .ok();
    let seen = trace(&host, "web", "80");
    one_stop(&seen, "host ip fw forward");
    assert_eq!(from(&seen, "other machines"), "unless a rule of ip fw forward lets it through");
    on_host(&host, "nft delete table ip fw").ok();
    // The wire, the interface, its address.
    let links = on_host(&host, "ip -o link | grep -v NO-CARRIER | sed -n 's/.*: \\(veth[0-9a-f]*\\)@.*/\\1/p'").ok();
    on_host(&host, &format!("ip link set {links} down")).ok();
    let seen = trace(&host, "web", "80");
    one_stop(&seen, &format!("wire {links}: is down"));
    assert!(from(&seen, "this host").starts_with(&links));
    on_host(&host, &format!("ip link set {links} nomaster; ip link set {links} up")).ok();
    one_stop(&trace(&host, "web", "80"), "is no port of");
    let bridge = on_host(&host, "ip -o link | sed -n 's/.*: \\(br-[0-9a-f]*\\):.*/\\1/p'").ok();
    on_host(&host, &format!("ip link set {links} master {bridge}")).ok();
    let pid = host.pid("web").to_string();
    let inside = |script: &str| {
        let mut enter = std::process::Command::new("nsenter");
        hull_testkit::run(enter.args(["-t", &pid, "-n", "--", "busybox", "sh", "-c", script]), b"").ok();
    };
    inside(&format!("ip addr del {own}/16 dev eth0"));
    one_stop(&trace(&host, "web", "80"), "was taken away");
    inside(&format!("ip addr add {own}/16 brd + dev eth0; ip link set eth0 down"));
    let seen = trace(&host, "web", "80");
    assert!(
        stops(&seen).iter().any(|stop| stop.starts_with("interface eth0") && stop.ends_with("is down")),
        "{seen:#}"
    );
    inside("ip link set eth0 up");
    assert_eq!(trace(&host, "web", "80"), open, "as it was");
}

#[test]
fn a_trace_tells_how_networks_keep_apart() {
    let host = Host::new();
    host.hull(&["network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart"]).ok();
    host.hull(&["network", "create", "--internal", "inner"]).ok();
    serve(&host, "web", &["--network", "apart", "-p", "8080:80"]);
    serve(&host, "db", &["--network", "inner"]);
    listened(&host, "web", "80");
    listened(&host, "db", "80");
    let seen = trace(&host, "web", "80");
    one_stop(&seen, "enable_icc=false");
    assert_eq!(from(&seen, "containers on apart"), "neighbours are kept apart (enable_icc=false)");
    assert_eq!(from(&seen, "other machines"), "at 0.0.0.0:8080");
    let seen = trace(&host, "db", "80");
    assert_eq!(from(&seen, "other machines"), "the network inner is internal");
    assert!(from(&seen, "containers on inner").starts_with("at "), "{seen:#}");
    assert!(stops(&seen).iter().any(|stop| stop.contains("internal")), "{seen:#}");
    host.hull(&["network", "connect", "bridge", "db"]).ok();
    assert!(from(&trace(&host, "db", "80"), "containers on bridge").starts_with("at "));
    host.hull(&["rm", "-f", "web", "db"]).ok();
    host.hull(&["network", "rm", "apart", "inner"]).ok();
}
