//! Bridge networks and published ports through the command line, with real traffic. What the rules keep apart is
//! tested where they are made (`crates/network/tests/bridge.rs`).

use std::fs;
use std::process::Command;

use hull_testkit::{Host, Out, eventually, run};

use crate::joins::get as patiently;

/// Runs a shell script on the host that the engine lives in.
pub(crate) fn on_host(host: &Host, script: &str) -> Out {
    let pid = host.engine_pid().to_string();
    run(Command::new("nsenter").args(["-t", &pid, "-n", "--", "busybox", "sh", "-c", script]), b"")
}

/// A web server whose page is its name; its flags.
pub(crate) fn serve(host: &Host, name: &str, flags: &[&str]) {
    let script = format!("mkdir /www; echo {name} >/www/index.html; echo ready; httpd -f -p 80 -h /www");
    let mut args = vec!["run", "-d", "--name", name];
    args.extend(flags);
    args.extend(["busybox", "sh", "-c", &script]);
    host.hull(&args).ok();
    host.ready(name);
}

/// A command that prints the page at an address, or fails. (busybox's static `wget` cannot look up `http`.)
fn get(at: &str, port: &str) -> String {
    format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 20 {at} {port} | grep -x '[a-z]*'")
}

fn page(host: &Host, at: &str) -> Out {
    let (address, port) = at.split_once(':').expect("an address with a port");
    on_host(host, &patiently(address, port))
}

/// Whether nobody answers at a port of the host's.
fn is_closed(host: &Host, port: &str) -> bool {
    on_host(host, &get("127.0.0.1", port)).code != 0
}

pub(crate) fn address(host: &Host, who: &str, network: &str) -> String {
    let shown = host.inspect(who);
    shown["NetworkSettings"]["Networks"][network]["IPAddress"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_container_has_an_address_and_is_reached_by_its_published_port() {
    let host = Host::new();
    serve(&host, "web", &["-p", "8080:80", "-p", "127.0.0.1::80"]);
    assert_eq!(page(&host, "127.0.0.1:8080").ok(), "web");
    let ports = host.hull(&["port", "web"]).ok();
    assert!(ports.contains("80/tcp -> 0.0.0.0:8080"), "{ports}");
    let random = ports.lines().find_map(|line| line.split("127.0.0.1:").nth(1)).expect("a port of the kernel's choice");
    assert_eq!(page(&host, &format!("127.0.0.1:{random}")).ok(), "web");
    assert_eq!(host.hull(&["port", "web", "80"]).ok().lines().count(), 2);
    assert!(host.hull(&["ps"]).ok().contains("0.0.0.0:8080->80/tcp"));
    let own = address(&host, "web", "bridge");
    let seen = host.hull(&["exec", "web", "sh", "-c", "ip -4 addr show eth0; cat /etc/hosts"]).ok();
    assert!(seen.contains(&format!("inet {own}/16")), "{seen}");
    assert!(seen.lines().any(|line| line.starts_with(&format!("{own}\t"))), "its own name: {seen}");
    let other = host.sh(&[], &get(&own, "80"));
    assert_eq!(other, "web", "a neighbour reaches it");
    host.hull(&["stop", "-t", "0", "web"]).ok();
    assert!(is_closed(&host, "8080"), "a stopped container's port is closed");
    assert_eq!(address(&host, "web", "bridge"), "");
    host.hull(&["start", "web"]).ok();
    assert_eq!(page(&host, "127.0.0.1:8080").ok(), "web");
}

#[test]
fn a_taken_port_is_refused_with_its_holders_name() {
    let host = Host::new();
    serve(&host, "first", &["-p", "8080:80"]);
    let refused = host.hull(&["run", "-d", "--name", "second", "-p", "8080:80", "busybox", "true"]);
    assert_eq!(refused.code, 125);
    assert!(refused.stderr.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{}", refused.stderr);
    assert!(refused.stderr.contains("publishes 8080/tcp"), "{}", refused.stderr);
    host.hull(&["rm", "-f", "first"]).ok();
    host.hull(&["start", "second"]).ok();
}

#[test]
fn networks_are_made_shown_and_removed() {
    let host = Host::new();
    let before = host.hull(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]).ok();
    assert_eq!(before, "bridge bridge\nhost host\nnone null");
    host.hull(&["network", "create", "--subnet", "10.77.0.0/24", "--label", "a=b", "lan"]).ok();
    host.hull(&["network", "create", "other"]).ok();
    serve(&host, "web", &["--network", "lan", "--ip", "10.77.0.9", "--mac-address", "02:00:00:00:00:77"]);
    let shown = host.hull(&["network", "inspect", "lan", "--format", "{{json .}}"]).ok();
    for expected in ["10.77.0.0/24", "10.77.0.1", "\"a\":\"b\"", "10.77.0.9/24", "02:00:00:00:00:77", "\"web\""] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert_eq!(host.sh(&["--network", "lan"], &patiently("10.77.0.9", "80")), "web");
    let apart = host.hull(&["run", "--rm", "--network", "other", "busybox", "nc", "-w", "1", "10.77.0.9", "80"]);
    assert_ne!(apart.code, 0, "another network reaches it");
    for (args, words) in [
        (&["network", "rm", "lan"][..], "has active endpoints (name:\"web\""),
        (&["network", "rm", "bridge"], "pre-defined network and cannot be removed"),
        (&["network", "create", "lan"], "network with name lan already exists"),
        (&["network", "create", "--subnet", "10.77.0.0/16", "x"], "Pool overlaps with other one on this address space"),
        (&["network", "create", "-d", "overlay", "x"], "network driver overlay is not supported"),
        (
            &["network", "create", "--subnet", "10.9.0.1/24", "x"],
            "invalid subnet 10.9.0.1/24: it should be 10.9.0.0/24",
        ),
        (&["network", "create", "-o", "no.such=1", "x"], "network option no.such is not supported"),
        (&["network", "create", "a/b"], "invalid network name a/b"),
        (&["run", "--rm", "--network", "absent", "busybox", "true"], "network absent not found"),
        (&["run", "--rm", "--network", "lan", "--ip", "10.78.0.1", "busybox", "true"], "no configured subnet contains"),
        (&["run", "--rm", "--ip", "10.78.0.1", "busybox", "true"], "supported on user defined networks only"),
        (&["run", "--rm", "-p", "[::1]:80:80", "busybox", "true"], "on ::1: the network bridge has no IPv6"),
    ] {
        let refused = host.hull(args);
        assert!(refused.code != 0 && refused.stderr.contains(words), "{args:?}: {}", refused.stderr);
    }
    host.hull(&["rm", "-f", "web"]).ok();
    let pruned = host.hull(&["network", "prune", "-f"]).ok();
    assert!(pruned.contains("lan") && pruned.contains("other"), "{pruned}");
    assert_eq!(host.hull(&["network", "ls", "--format", "{{.Name}} {{.Driver}}"]).ok(), before);
}

/// Whether the host's bridged frames pass its ruleset; nothing happens where the kernel has no such setting.
fn bridged_frames_pass(host: &Host, on: bool) -> bool {
    let files = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
    on_host(host, &format!("test -e {files} && echo {} > {files}", u8::from(on))).code == 0
}

#[test]
fn a_published_port_answers_on_the_loopback_address_of_ipv6() {
    let host = Host::new();
    let can_change = bridged_frames_pass(&host, false);
    host.hull(&["network", "create", "--ipv6", "six"]).ok();
    host.hull(&["network", "create", "--ipv6", "other"]).ok();
    serve(&host, "web", &["--network", "six", "-p", "8080:80", "-p", "[::1]:8081:80"]);
    serve(&host, "beside", &["--network", "other", "-p", "8082:80"]);
    let page = |port| on_host(&host, &patiently("::1", port));
    let all_answer = || {
        let pages = ["8080", "8081", "8082"].map(|port| page(port).stdout.trim().to_owned());
        pages == ["web", "web", "beside"]
    };
    assert!(all_answer());
    assert_ne!(on_host(&host, &get("127.0.0.1", "8081")).code, 0, "it is for ::1 alone");
    // A container's ::1 is its own, whatever it takes for the way there.
    let way = "ip -6 route del local ::1 dev lo table local; ip -6 route add ::1 via $(ip -6 route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')";
    let inside = format!("{way}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 ::1 8080");
    let from_inside =
        || host.hull(&["run", "--rm", "--network", "six", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c", &inside]);
    let tried = from_inside();
    assert!(tried.code != 0 && !tried.stdout.contains("web"), "{tried:?}");
    if can_change {
        answers_are_led_past_the_bridge(&host, &all_answer);
        let tried = from_inside();
        assert!(tried.code != 0 && !tried.stdout.contains("web"), "{tried:?}");
    }
    host.hull(&["rm", "-f", "web", "beside"]).ok();
    for network in ["six", "other"] {
        host.hull(&["network", "rm", network]).ok();
    }
}

/// The same where bridged frames pass the ruleset: `all_answer` calls `web` and `beside`.
fn answers_are_led_past_the_bridge(host: &Host, all_answer: &dyn Fn() -> bool) {
    // Somebody else's rules bring that setting, and then take the rest away.
    bridged_frames_pass(host, true);
    on_host(host, "nft add table ip someone && nft add chain ip someone c").ok();
    // A call that comes sooner is not answered: that it can be is waited for, not tried.
    let led = |wires| {
        let rules = on_host(host, "nft list ruleset").stdout;
        rules.contains("100:0:0:1::1 comment") && rules.matches("hook ingress").count() == wires
    };
    eventually("they answer past the bridge", || led(2));
    assert!(all_answer());
    on_host(host, "nft flush ruleset").ok();
    eventually("they do again", || led(2));
    assert!(all_answer());
    // The next engine, a further container and one that is gone.
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine && led(2));
    assert!(all_answer());
    serve(host, "late", &["--network", "six", "-p", "[::1]:8083:80"]);
    assert_eq!(on_host(host, &patiently("::1", "8083")).ok(), "late");
    // By other ways than ::1 as before: to the host's address, from itself and from a neighbour.
    let own = host.inspect("web")["NetworkSettings"]["Networks"]["six"]["IPv6Gateway"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(on_host(host, &patiently(&own, "8080")).ok(), "web");
    for who in ["web", "late", "beside"] {
        assert_eq!(host.hull(&["exec", who, "sh", "-c", &patiently(&own, "8080")]).ok(), "web", "{who}");
    }
    host.hull(&["rm", "-f", "late"]).ok();
    eventually("nothing is left of it", || on_host(host, "nft list ruleset").ok().matches("hook ingress").count() == 2);
}

#[test]
fn a_container_in_a_user_namespace_has_a_network_of_its_own() {
    let host = Host::new();
    serve(&host, "web", &["--userns", "auto", "-p", "8080:80"]);
    assert_eq!(page(&host, "127.0.0.1:8080").ok(), "web");
    let pid = host.pid("web");
    let seen = host.hull(&["exec", "web", "sh", "-c", "ls /sys/class/net; readlink /proc/self/ns/net"]).ok();
    assert!(seen.contains("eth0"), "{seen}");
    let link = fs::read_link(format!("/proc/{pid}/ns/net")).expect("it lives");
    assert!(seen.contains(&*link.to_string_lossy()), "{seen}");
}

#[test]
fn networks_go_on_when_the_engine_is_killed() {
    let host = Host::new();
    host.hull(&["network", "create", "--subnet", "10.77.0.0/24", "lan"]).ok();
    serve(&host, "web", &["--network", "lan", "-p", "8080:80"]);
    let (own, engine) = (address(&host, "web", "lan"), host.engine_pid());
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(page(&host, "127.0.0.1:8080").ok(), "web");
    assert_eq!(address(&host, "web", "lan"), own);
    assert_ne!(
        host.sh(&["--network", "lan"], "ip -4 -o addr show eth0 | grep -o '10.77[0-9.]*' | head -n 1"),
        own,
        "its address is still its own"
    );
    let refused = host.hull(&["run", "--rm", "-p", "8080:80", "busybox", "true"]);
    assert!(refused.stderr.contains("port is already allocated"), "{}", refused.stderr);
    host.hull(&["rm", "-f", "web"]).ok();
    host.hull(&["network", "rm", "lan"]).ok();
}

#[test]
fn an_engine_that_is_restarted_finds_its_bridges_as_they_were() {
    let host = Host::new();
    host.hull(&["network", "create", "lan"]).ok();
    // Number and name of each link, without the wires that are kept ready.
    let links = || on_host(&host, "ip -o link | grep -v veth | cut -d : -f 1,2").ok();
    let (before, engine) = (links(), host.engine_pid());
    host.hull(&["engine", "restart"]).ok();
    assert_ne!(host.engine_pid(), engine);
    assert_eq!(links(), before);
    host.hull(&["network", "rm", "lan"]).ok();
}

#[test]
fn flushed_rules_come_back() {
    let host = Host::new();
    serve(&host, "web", &["-p", "8080:80"]);
    let pid = host.engine_pid().to_string();
    run(Command::new("nsenter").args(["-t", &pid, "-n", "--", "nft", "flush", "ruleset"]), b"").ok();
    eventually("the rules are back", || page(&host, "127.0.0.1:8080").code == 0);
}

#[test]
fn without_containers_nothing_of_the_networks_outlives_the_engine() {
    let mut host = Host::new();
    host.hull(&["network", "create", "lan"]).ok();
    host.sh(&["--network", "lan"], "true");
    let holder = Command::new("nsenter")
        .args(["-t", &host.engine_pid().to_string(), "-n", "--", "sleep", "600"])
        .spawn()
        .expect("nsenter is installed");
    let inside = |args: &[&str]| {
        let pid = holder.id().to_string();
        let mut all = vec!["-t", &pid, "-n", "--"];
        all.extend(args);
        run(Command::new("nsenter").args(&all), b"").ok()
    };
    eventually("it stands in the host", || inside(&["ip", "-br", "link"]).contains("br-"));
    host.shut_down();
    let links = inside(&["ip", "-br", "link"]);
    let rules = inside(&["nft", "list", "ruleset"]);
    let mut holder = holder;
    holder.kill().and_then(|()| holder.wait()).expect("it was there");
    assert!(!links.contains("br-") && !links.contains("veth"), "{links}");
    assert_eq!(rules, "");
}

#[test]
fn ports_are_published_in_every_form() {
    let host = Host::new();
    let flags = "-P --expose 81 --expose 53/udp -p 8100-8101:90-91 -p 8200-8210:92 -p 93 -p 5000:94/udp -p 5001:95/sctp -p 127.0.0.2:8300:96";
    serve(&host, "web", &flags.split(' ').collect::<Vec<_>>());
    let ports = host.hull(&["port", "web"]).ok();
    let at = |port: &str| -> Vec<&str> {
        let lines = ports.lines().filter_map(|line| line.strip_prefix(port)?.strip_prefix(" -> "));
        lines.filter(|address| !address.starts_with('[')).collect()
    };
    for (port, address) in [
        ("90/tcp", "0.0.0.0:8100"),
        ("91/tcp", "0.0.0.0:8101"),
        ("94/udp", "0.0.0.0:5000"),
        ("95/sctp", "0.0.0.0:5001"),
        ("96/tcp", "127.0.0.2:8300"),
    ] {
        assert_eq!(at(port), [address], "{ports}");
    }
    let number = |port: &str| -> u16 { at(port)[0].strip_prefix("0.0.0.0:").expect(port).parse().expect(port) };
    assert!((8200..=8210).contains(&number("92/tcp")), "one of the range: {ports}");
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("it is there");
    let range: Vec<u16> = range.split_whitespace().map(|text| text.parse().expect("a port")).collect();
    for port in ["81/tcp", "53/udp", "93/tcp"] {
        assert!((range[0]..=range[1]).contains(&number(port)), "{port} is of those that the kernel gives: {ports}");
    }
    host.hull(&["rm", "-f", "web"]).ok();
}

#[test]
fn containers_are_listed_by_any_of_their_networks() {
    let host = Host::new();
    for name in ["lan", "wan"] {
        host.hull(&["network", "create", name]).ok();
    }
    host.sleeper(&["--name", "both", "--network", "lan", "--network", "wan"]);
    host.sleeper(&["--name", "one", "--network", "lan"]);
    host.sleeper(&["--name", "alone", "--network", "none"]);
    host.sleeper(&["--name", "usual"]);
    let listed = |wanted: &str| {
        let shown = host.docker(&["ps", "--filter", &format!("network={wanted}"), "--format", "{{.Names}}"]).ok();
        let mut names: Vec<String> = shown.lines().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    let id = host.inspect("both")["NetworkSettings"]["Networks"]["wan"]["NetworkID"].as_str().unwrap().to_owned();
    for (wanted, names) in
        [("lan", "both one"), ("wan", "both"), (&id[..12], "both"), ("bridge", "usual"), ("none", "alone"), ("la", "")]
    {
        assert_eq!(listed(wanted), names, "{wanted}");
    }
    host.hull(&["rm", "-f", "both", "one"]).ok();
    host.hull(&["network", "rm", "lan", "wan"]).ok();
}

#[test]
fn filters_choose_what_is_pruned_and_what_was_asked_for_is_shown() {
    let host = Host::new();
    for (name, label) in [("kept", "keep=1"), ("other", "x=1"), ("joinable", "keep=2")] {
        let more: &[&str] = if name == "joinable" { &["--attachable"] } else { &[] };
        host.hull(&[&["network", "create", "--label", label], more, &[name]].concat()).ok();
    }
    let attachable = |name: &str| host.hull(&["network", "inspect", "-f", "{{.Attachable}}", name]).ok();
    let engine = host.engine_pid();
    hull_testkit::kill9(engine);
    eventually("the next engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!((attachable("joinable"), attachable("kept")), ("true".to_owned(), "false".to_owned()));
    let left = |filter: &str| {
        host.hull(&["network", "prune", "-f", "--filter", filter]).ok();
        host.hull(&["network", "ls", "--filter", "type=custom", "--format", "{{.Name}}"]).ok()
    };
    assert_eq!(left("until=24h"), "joinable\nkept\nother");
    assert_eq!(left("label!=keep"), "joinable\nkept");
    assert_eq!(left("label=keep=2"), "kept");
    assert!(
        host.hull(&["network", "prune", "-f", "--filter", "until=x"]).fails(1).contains("invalid filter 'until=x'")
    );
    assert_eq!(left("label=keep"), "");
}
