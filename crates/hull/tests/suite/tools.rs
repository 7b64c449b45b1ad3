//! What others' tools see of networks, IPv4 and IPv6: Debian's curl, dig and iperf3.

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
