//! `explain --by-hand` of what is rare: networks of both families and on a link of the host, UDP and SCTP, clocks, images of
//! several layers, containers that do not run.

use std::fs;
use std::process::Command;

use hull_testkit::{Host, eventually, run};

use crate::by_hand::{ByHand, compare};
use crate::networks::on_host;
use crate::networks_on_links::{tool, uplink};

/// Datagrams that came to a port at which nobody listens.
fn for_nobody(pid: u32) -> u64 {
    let counters = fs::read_to_string(format!("/proc/{pid}/net/snmp")).expect("counters");
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let names = lines.next().expect("names").split(' ');
    let at = names.into_iter().position(|name| name == "NoPorts").expect("a counter");
    lines.next().and_then(|values| values.split(' ').nth(at)?.parse().ok()).expect("a number")
}

#[test]
fn a_script_makes_networks_of_both_families_and_ports_of_all_protocols() {
    let host = Host::new();
    host.hull(&["network", "create", "--ipv6", "--subnet", "172.30.0.0/24", "--subnet", "fd00:7::/64", "six"]).ok();
    let ports = ["-p", "8080:8000", "-p", "5300:53/udp", "-p", "5001:95/sctp"];
    let serve = "echo by > /index.html; exec httpd -f -p 8000 -h /";
    let args = [&["run", "-d", "--name", "six", "--network", "six"], &ports[..], &["busybox", "sh", "-c", serve]];
    host.hull(&args.concat()).ok();
    let mut by_hand = ByHand::of(&host, "six");
    assert_eq!(compare(&host, "six", &mut by_hand, "httpd"), ["Seccomp"]);
    let pid = by_hand.pid(&host, "httpd");
    for at in ["127.0.0.1", "fd01:7::1"] {
        let get = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 20 {at} 18080");
        eventually("the port leads to the server", || on_host(&host, &get).stdout.contains("by"));
    }
    // Nobody inside takes datagrams, and the kernel there counts those that came for nobody.
    assert_eq!(for_nobody(pid), 0);
    eventually("a datagram comes through", || {
        let engine = host.engine_pid().to_string();
        let send = ["-t", &engine, "-n", "--", "bash", "-c", "echo datagram > /dev/udp/127.0.0.1/15300"];
        run(Command::new("nsenter").args(send), b"");
        for_nobody(pid) > 0
    });
    by_hand.end();
    host.hull(&["rm", "-f", "six"]).ok();
    host.hull(&["network", "rm", "six"]).ok();
    host.assert_clean();
}

#[test]
fn a_script_puts_a_container_on_a_link_of_the_host() {
    let host = Host::new();
    uplink(&host, &["10.90.0.1/24"]);
    for (driver, mode) in [("macvlan", "bridge"), ("ipvlan", "l2")] {
        let option = format!("{driver}_mode={mode}");
        let args =
            ["network", "create", "-d", driver, "-o", "parent=up0", "-o", &option, "--subnet", "10.90.0.0/24", driver];
        let made = host.hull(&args);
        if made.stderr.contains("this kernel has no") {
            assert_ne!(tool(&host, &format!("ip link add link up0 name probe0 type {driver}")).code, 0);
            continue;
        }
        made.ok();
        host.sleeper(&["--name", driver, "--network", driver, "--ip", "10.90.0.7"]);
        let mut by_hand = ByHand::of(&host, driver);
        let own = by_hand.differences.iter().find_map(|one| one.strip_prefix("addresses: ")).expect("another address");
        assert!(own.starts_with("10.90.0.2/24 on the network "), "{own}");
        let links: &[&str] = if driver == "macvlan" { &["links"] } else { &[] };
        let differing = [&["/etc/hosts", "Seccomp", "addresses"], links, &["routes"]].concat();
        assert_eq!(compare(&host, driver, &mut by_hand, "sleep"), differing, "{driver}");
        let pid = by_hand.pid(&host, "sleep").to_string();
        let ping = ["-t", &pid, "-n", "--", "busybox", "ping", "-c", "1", "-W", "5", "10.90.0.1"];
        eventually("the machine on the link answers", || run(Command::new("nsenter").args(ping), b"").code == 0);
        by_hand.end();
        host.hull(&["rm", "-f", driver]).ok();
        host.hull(&["network", "rm", driver]).ok();
    }
    host.hull(&["rm", "-f", "outside"]).ok();
    tool(&host, "ip link del up0");
    host.assert_clean();
}

#[test]
fn a_script_makes_clocks_and_mounts_images_of_several_layers() {
    let host = Host::new();
    host.hull(&[
        "run",
        "--name",
        "step",
        "busybox",
        "sh",
        "-c",
        "mkdir /deep; echo below > /deep/file; echo a > /deep/gone",
    ])
    .ok();
    host.hull(&["commit", "step", "second"]).ok();
    host.hull(&["run", "--name", "next", "second", "sh", "-c", "echo above > /deep/file; rm /deep/gone"]).ok();
    host.hull(&["commit", "next", "third"]).ok();
    host.hull(&["rm", "step", "next"]).ok();
    let whole = "type=image,source=third,target=/whole";
    let part = "type=image,source=third,target=/part,image-subpath=deep";
    for (name, flags) in [
        ("timed", &["--annotation", "hull.time=private,monotonic=100s,boottime=1h"][..]),
        ("shifted", &["--userns", "auto"]),
    ] {
        let flags = [&["--name", name, "--network", "none", "--mount", whole, "--mount", part], flags].concat();
        host.sleeper(&flags);
        let mut by_hand = ByHand::of(&host, name);
        let differing = compare(&host, name, &mut by_hand, "sleep");
        let pid = by_hand.pid(&host, "sleep");
        for path in ["whole/deep", "part"] {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/root/{path}/{file}"));
            assert!(read("file").is_ok_and(|text| text == "above\n") && read("gone").is_err(), "{name} {path}");
        }
        let mut expected = vec!["Seccomp"];
        if name == "shifted" {
            expected.push("mounts");
        }
        assert_eq!(differing, expected, "{name}");
        by_hand.end();
        host.hull(&["rm", "-f", name]).ok();
    }
    host.hull(&["rmi", "third", "second"]).ok();
    host.assert_clean();
}

#[test]
fn a_script_makes_what_does_not_run() {
    let host = Host::new();
    let bind = format!("{}:/made", host.path().join("made").display());
    let flags = ["--name", "never", "-p", "8080:8000", "-p", "8001", "--hostname", "box", "-v", &bind];
    let serve = ["busybox", "sh", "-c", "echo by > /index.html; exec httpd -f -p 8000 -h /"];
    host.hull(&[&["create"], &flags[..], &serve].concat()).ok();
    let before = host.hull(&["inspect", "never"]).ok();
    let mut by_hand = ByHand::of(&host, "never");
    assert_eq!(host.hull(&["inspect", "never"]).ok(), before, "telling changes nothing");
    let told = |word: &str| by_hand.differences.iter().any(|one| one.starts_with(word));
    assert!(told("files: ") && told("ports: 18080") && told("ports: 18001"), "{:?}", by_hand.differences);
    // It is what hull makes of the same container, once that is started.
    by_hand.pid(&host, "httpd");
    host.hull(&["start", "never"]).ok();
    assert_eq!(compare(&host, "never", &mut by_hand, "httpd"), ["Seccomp"]);
    by_hand.end();
    // And of one that has ended, with its ids, and what is told of a container that it needs.
    host.hull(&["stop", "-t", "0", "never"]).ok();
    host.sleeper(&["--name", "shifted", "--userns", "auto", "--network", "none"]);
    host.hull(&["create", "--name", "joins", "--network", "container:shifted", "busybox", "sleep", "1000"]).ok();
    host.hull(&["stop", "-t", "0", "shifted"]).ok();
    let map = fs::read_to_string(
        host.root().join("containers").join(host.inspect("shifted")["Id"].as_str().expect("id")).join("userns"),
    );
    let script = host.hull(&["explain", "--by-hand", "shifted"]).ok();
    assert!(
        script.contains(&format!("printf '{}\\n' > /proc/$holder/uid_map", map.expect("its range").trim())),
        "{script}"
    );
    let refused = host.hull(&["explain", "--by-hand", "joins"]).fails(1);
    assert!(refused.contains("whose namespaces it joins does not run"), "{refused}");
    host.assert_clean();
}
