//! What others' tools see of networks, IPv4 and IPv6: Debian's curl, dig, iperf3 and nft.

use std::process::{Command, Stdio};

use hull_testkit::{Host, Out, eventually, run};
use serde_json::Value;

use crate::networks::serve;

/// A tool of this machine in the network namespace of a process.
fn tool(pid: u32, words: &str) -> Out {
    run(&mut command(pid, words), b"")
}

fn command(pid: u32, words: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "-n", "--"]).args(words.split(' '));
    command
}

#[test]
fn curl_dig_and_iperf3_work_as_they_should() {
    let host = Host::new();
    host.hull(&["network", "create", "--ipv6", "--subnet", "10.92.0.0/24", "--subnet", "fd00:92::/64", "lan"]).ok();
    serve(&host, "web", &["--network", "lan", "--network-alias", "www", "-p", "8080:80"]);
    host.sleeper(&["--name", "asks", "--network", "lan"]);
    let (outside, web, asks) = (host.engine_pid(), host.pid("web"), host.pid("asks"));
    // By the published port, by the container's own address, from a neighbour, and from the container itself.
    for (pid, at) in [
        (outside, "127.0.0.1:8080"),
        (outside, "10.92.0.1:8080"),
        (outside, "[fd00:92::1]:8080"),
        (outside, "10.92.0.2"),
        (outside, "[fd00:92::2]"),
        (asks, "10.92.0.1:8080"),
        (asks, "[fd00:92::1]:8080"),
        (asks, "[fd00:92::2]"),
        (web, "10.92.0.1:8080"),
        (web, "[fd00:92::1]:8080"),
    ] {
        let words = format!("curl -gsSf --noproxy * --retry 20 --retry-connrefused --retry-delay 1 http://{at}/");
        assert_eq!(tool(pid, &words).ok(), "web", "{at}");
    }
    for (question, answer) in [
        ("web A", "10.92.0.2"),
        ("web AAAA", "fd00:92::2"),
        ("www.lan A", "10.92.0.2"),
        ("-x 10.92.0.2", "web.lan."),
        ("-x fd00:92::2", "web.lan."),
        ("+tcp web A", "10.92.0.2"),
        ("+bufsize=512 web AAAA", "fd00:92::2"),
    ] {
        assert_eq!(tool(asks, &format!("dig @127.0.0.11 +short {question}")).ok(), answer, "{question}");
    }
    for address in ["10.92.0.2", "fd00:92::2"] {
        let mut server = command(web, "iperf3 -s -1").stdout(Stdio::null()).spawn().expect("iperf3");
        eventually("iperf3 listens", || tool(web, "ss -Hltn sport = :5201").stdout.contains("5201"));
        let report = tool(asks, &format!("iperf3 -c {address} -t 1 -J")).ok();
        let report: Value = serde_json::from_str(&report).expect("JSON");
        let bytes = report["end"]["sum_received"]["bytes"].as_u64().unwrap_or_default();
        assert!(bytes > 1 << 20, "{report}");
        assert!(server.wait().expect("its end").success());
    }
    host.hull(&["rm", "-f", "web", "asks"]).ok();
    host.hull(&["network", "rm", "lan"]).ok();
}

/// Fetches 64 MiB from one new container of this network in another, and says how many packets above 64 KiB it took. What comes is
/// what was sent.
fn large_packets(host: &Host, network: &str) -> u64 {
    let serve = "mkdir /www; yes hull | head -c 67108864 >/www/all; httpd -f -h /www";
    host.hull(&["run", "-d", "--name", "source", "--network", network, "busybox", "sh", "-c", serve]).ok();
    host.sleeper(&["--name", "sink", "--network", network]);
    let (source, sink) = (host.pid("source"), host.pid("sink"));
    eventually("httpd listens", || tool(source, "ss -Hltn sport = :80").stdout.contains(":80"));
    for rule in [
        "add table ip seen",
        "add chain ip seen out { type filter hook output priority 0; }",
        "add rule ip seen out meta length > 65535 counter",
    ] {
        tool(source, &format!("nft {rule}")).ok();
    }
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = host.hull(&["inspect", "--format", format, "source"]).ok();
    let came = tempfile::NamedTempFile::new().expect("a file");
    tool(sink, &format!("curl -sSf --noproxy * -o {} http://{}/all", came.path().display(), address.trim())).ok();
    let bytes = std::fs::read(came.path()).expect("what came");
    assert!(
        bytes.len() == 1 << 26 && bytes.chunks(5).all(|line| b"hull\n".starts_with(line)),
        "{network}: {}",
        bytes.len()
    );
    let rules: Value = serde_json::from_str(&tool(source, "nft -j list table ip seen").ok()).expect("JSON");
    let counters =
        rules["nftables"].as_array().expect("rules").iter().filter_map(|part| part["rule"]["expr"].as_array());
    let packets = counters.flatten().find_map(|part| part["counter"]["packets"].as_u64()).expect("a counter");
    host.hull(&["rm", "-f", "sink", "source"]).ok();
    packets
}

#[test]
fn tcp_hands_over_large_pieces_where_nothing_leaves_and_where_it_is_asked_to() {
    let host = Host::new();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let can = (numbers.next(), numbers.next()) >= (Some(6), Some(3));
    for (name, flags, large) in [
        ("inner", &["--internal"][..], can),
        ("cut", &["--internal", "-o", "hull.big-tcp=false"], false),
        ("plain", &[], false),
        ("large", &["-o", "hull.big-tcp=true"], can),
    ] {
        host.hull(&[&["network", "create"], flags, &[name]].concat()).ok();
        let seen = large_packets(&host, name);
        assert_eq!(seen > 0, large, "{name}: {seen}");
        host.hull(&["network", "rm", name]).ok();
    }
    let refused = host.hull(&["network", "create", "-o", "hull.big-tcp=huge", "bad"]);
    assert!(refused.code != 0 && refused.stderr.contains("is not true or false"), "{}", refused.stderr);
}
