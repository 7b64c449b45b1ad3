//! The name service through the command line: containers find each other by name. What is asked of whom is
//! tested where it is answered (`crates/network/tests/names.rs`).

use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::process::Command;

use hull_testkit::{Host, Settings, eventually, run};

/// The addresses that a container on these networks sees behind a name.
fn look_up(host: &Host, who: &str, name: &str) -> Vec<String> {
    let out = host.hull(&["exec", who, "nslookup", name, "127.0.0.11"]);
    // The first address is the server's.
    let answers = out.stdout.lines().skip_while(|line| !line.is_empty());
    let mut found: Vec<String> =
        answers.filter_map(|line| Some(line.strip_prefix("Address")?.rsplit(' ').next()?.to_owned())).collect();
    found.sort();
    found.dedup();
    found
}

fn address(host: &Host, who: &str, network: &str) -> String {
    let shown = host.inspect(who);
    shown["NetworkSettings"]["Networks"][network]["IPAddress"].as_str().unwrap_or_default().to_owned()
}

/// A resolver on 127.0.0.1 of the host that the engine lives in: everything is 192.0.2.9.
fn resolver_on(host: &Host) {
    let netns = fs::File::open(format!("/proc/{}/ns/net", host.engine_pid())).expect("the engine lives");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(netns.as_fd(), kind).expect("setns");
        let socket = UdpSocket::bind("127.0.0.1:53").expect("bind");
        tell.send(()).expect("somebody waits");
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let mut answer = bytes[..length].to_vec();
            answer[2] |= 0x80;
            // Of a question for another address than one of IPv4: it has none.
            if bytes[length - 3] == 1 {
                answer[7] = 1;
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 9]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    told.recv().expect("a resolver");
}

/// Removes all containers and networks.
fn clear(host: &Host, containers: &[&str]) {
    host.hull(&[&["rm", "-f"], containers].concat()).ok();
    host.hull(&["network", "prune", "-f"]).ok();
}

#[test]
fn containers_find_each_other_by_name() {
    let host = Host::new();
    host.hull(&["network", "create", "lan"]).ok();
    host.hull(&["network", "create", "other"]).ok();
    let web =
        host.sleeper(&["--name", "web", "--network", "lan", "--network-alias", "www", "--hostname", "deep.thought"]);
    host.sleeper(&["--name", "web2", "--network", "lan", "--network-alias", "www"]);
    host.sleeper(&["--name", "far", "--network", "other"]);
    let (one, two) = (address(&host, "web", "lan"), address(&host, "web2", "lan"));
    for name in ["web", "WEB", "web.lan", &web[..12], "deep.thought"] {
        assert_eq!(look_up(&host, "web2", name), std::slice::from_ref(&one), "{name}");
    }
    let mut both = vec![one.clone(), two.clone()];
    both.sort();
    assert_eq!(look_up(&host, "web", "www"), both);
    assert_eq!(look_up(&host, "web", "web2"), [two]);
    assert_eq!(look_up(&host, "far", "web"), [""; 0], "on another network");
    let reverse = host.hull(&["exec", "web2", "nslookup", &one, "127.0.0.11"]).stdout;
    assert!(reverse.contains("web.lan"), "{reverse}");
    let shown = host.hull(&["inspect", "web", "--format", "{{json .NetworkSettings.Networks.lan.DNSNames}}"]).ok();
    assert_eq!(shown, format!("[\"web\",\"www\",\"{}\",\"deep.thought\"]", &web[..12]));
    let file = host.hull(&["exec", "web", "cat", "/etc/resolv.conf"]).ok();
    assert!(file.contains("nameserver 127.0.0.11") && file.matches("nameserver").count() == 1, "{file}");
    let default = host.sh(&[], "cat /etc/resolv.conf");
    assert!(!default.contains("127.0.0.11"), "{default}");

    host.hull(&["rename", "web", "renamed"]).ok();
    assert_eq!(look_up(&host, "web2", "renamed"), [one]);
    assert_eq!(look_up(&host, "web2", "web"), [""; 0]);
    host.hull(&["stop", "-t", "0", "renamed"]).ok();
    assert_eq!(look_up(&host, "web2", "renamed"), [""; 0], "it has no address any more");
    host.hull(&["start", "renamed"]).ok();
    assert_eq!(look_up(&host, "web2", "renamed"), [address(&host, "renamed", "lan")]);
    clear(&host, &["renamed", "web2", "far"]);
}

#[test]
fn names_are_answered_by_the_next_engine() {
    let host = Host::new();
    host.hull(&["network", "create", "lan"]).ok();
    host.sleeper(&["--name", "web", "--network", "lan"]);
    host.sleeper(&["--name", "client", "--network", "lan"]);
    let own = address(&host, "web", "lan");
    // Its port is the kernel's choice: the same one says that it is the same socket.
    let sockets = || host.hull(&["exec", "client", "cat", "/proc/net/udp", "/proc/net/tcp"]).ok();
    let before: Vec<String> = sockets().lines().filter_map(|l| Some(l.split_whitespace().nth(1)?.to_owned())).collect();
    let engine = host.engine_pid();
    run(Command::new("kill").args(["-KILL", &engine.to_string()]), b"").ok();
    eventually("another engine answers", || host.answers() && host.engine_pid() != engine);
    assert_eq!(look_up(&host, "client", "web"), [own]);
    let after = sockets();
    assert!(before.iter().all(|socket| after.contains(socket)), "{before:?} {after}");
    clear(&host, &["web", "client"]);
}

#[test]
fn other_names_are_asked_of_the_host_and_not_from_an_internal_network() {
    // A resolver on the host's loopback, as systemd has one; the file is mounted in the host's own mount namespace.
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("resolv.conf");
    fs::write(&file, "nameserver 127.0.0.1\nsearch example.org\n").expect("write");
    // A host may have no such file, or a link that leads nowhere: it gets another /etc.
    let setup = format!(
        "cp -a /etc {0}/etc && rm -f {0}/etc/resolv.conf && cp {1} {0}/etc/resolv.conf && mount --bind {0}/etc /etc || exit 1",
        dir.path().display(),
        file.display()
    );
    let host = Host::with(&Settings { setup, ..Settings::default() });
    resolver_on(&host);
    host.hull(&["network", "create", "lan"]).ok();
    host.hull(&["network", "create", "--internal", "shut"]).ok();
    host.sleeper(&["--name", "open", "--network", "lan"]);
    host.sleeper(&["--name", "shut", "--network", "shut"]);
    assert_eq!(look_up(&host, "open", "outside.example.org"), ["192.0.2.9"]);
    let from_inside = look_up(&host, "shut", "outside.example.org");
    let of_default = host.sh(&[], "cat /etc/resolv.conf");
    assert_eq!(from_inside, [""; 0], "nobody is asked");
    assert!(!of_default.contains("nameserver"), "127.0.0.1 is not the host's in there: {of_default}");
    assert!(of_default.contains("search example.org"), "{of_default}");
    clear(&host, &["open", "shut"]);
}
