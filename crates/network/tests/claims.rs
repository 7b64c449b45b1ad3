//! What one container says of itself does not move its neighbours' traffic: frames are made by hand.

mod common;
use common::within;
use common::world::{Container, World, at, ip, network, reaches};

use std::process::Command;

use hull_network::Definition;

/// Sends frames from `eth0` of the calling namespace; each argument is one in hexadecimal.
const SEND: &str = "
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))
";

fn send(from: &Container, frames: &[String]) {
    within(&from.netns, || {
        let out = Command::new("python3").args(["-c", SEND]).args(frames).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `ff:…` in front: to everybody on the bridge.
fn frame(source: [u8; 6], kind: u16, body: &[u8]) -> String {
    hex(&[&[0xff; 6][..], &source, &kind.to_be_bytes(), body].concat())
}

/// An answer that nobody asked for: `address` is at `mac`.
fn arp(mac: [u8; 6], address: [u8; 4], to: [u8; 4]) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, 2][..], &mac, &address, &[0xff; 6], &to].concat()
}

/// A message of ICMPv6 with the right checksum.
fn icmp6(from: [u8; 16], to: [u8; 16], message: &[u8]) -> Vec<u8> {
    let pseudo = [&from[..], &to, &(message.len() as u32).to_be_bytes(), &[0, 0, 0, 58], message].concat();
    let sum = pseudo.chunks(2).fold(0u32, |sum, pair| sum + (u32::from(pair[0]) << 8 | u32::from(pair[1])));
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !((folded & 0xffff) + (folded >> 16)) as u16;
    let mut message = message.to_vec();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let length = (message.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0][..], &length, &[58, 255], &from, &to, &message].concat()
}

/// A neighbour advertisement that overrides: `target` is at `mac`.
fn advertisement(mac: [u8; 6], from: &str, target: &str, to: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let message = [&[136, 0, 0, 0, 0x20, 0, 0, 0][..], &octets(target), &[2, 1], &mac].concat();
    icmp6(octets(from), octets(to), &message)
}

/// At which hardware address a container believes its neighbour to be.
fn believed(who: &Container, neighbour: &str) -> String {
    within(&who.netns, || {
        let out = Command::new("ip").args(["neigh", "show", neighbour, "dev", "eth0"]).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    })
}

struct Three {
    world: World,
    lan: Definition,
    victim: Container,
    server: Container,
}

fn three() -> Three {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24", "fd00:10:1::/64"]);
    world.raise(&lan);
    let victim = world.pinned(&lan, "vict", &["10.1.0.2/24", "fd00:10:1::2/64"]);
    let server = world.pinned(&lan, "serv", &["10.1.0.3/24", "fd00:10:1::3/64"]);
    server.serve(80);
    // The kernel holds on to what it has just learned for a second; the test would have to wait that long.
    within(&victim.netns, || std::fs::write("/proc/sys/net/ipv4/neigh/eth0/locktime", "0").unwrap());
    Three { world, lan, victim, server }
}

impl Three {
    /// That the victim reaches the server, and both know each other.
    fn is_well(&self) {
        assert_eq!(reaches(&self.victim.netns, at("10.1.0.3", 80)), ip("10.1.0.2"));
        assert_eq!(reaches(&self.victim.netns, at("fd00:10:1::3", 80)), ip("fd00:10:1::2"));
    }

    /// Everything that is known against the victim: `mac` is the attacker's.
    fn attack(&self, attacker: &Container) {
        let (mac, server) = (attacker.endpoint.mac.0, self.server.endpoint.mac.0);
        let lie = |address| arp(mac, address, [10, 1, 0, 2]);
        let own = "fd00:10:1::4";
        let frames = [
            frame(mac, 0x0806, &lie([10, 1, 0, 3])),
            frame(mac, 0x0806, &lie([10, 1, 0, 1])),
            // In the server's name down to the frame: the bridge would learn that it is here.
            frame(server, 0x88b5, &[0; 46]),
            frame(mac, 0x86dd, &advertisement(mac, own, "fd00:10:1::3", "ff02::1")),
            frame(mac, 0x86dd, &advertisement(mac, "fd00:10:1::3", "fd00:10:1::3", "ff02::1")),
        ];
        send(attacker, &frames);
    }
}

#[test]
fn a_pinned_container_cannot_speak_in_its_neighbours_name() {
    let three = three();
    three.is_well();
    let attacker = three.world.pinned(&three.lan, "atta", &["10.1.0.4/24", "fd00:10:1::4/64"]);
    let mac = attacker.endpoint.mac.to_string();
    for _ in 0..3 {
        three.attack(&attacker);
        for neighbour in ["10.1.0.3", "10.1.0.1", "fd00:10:1::3"] {
            assert!(!believed(&three.victim, neighbour).contains(&mac), "{neighbour}");
        }
        three.is_well();
    }
    // In its own name it is heard as anybody.
    attacker.serve(80);
    reaches(&three.victim.netns, at("10.1.0.4", 80));
    reaches(&three.victim.netns, at("fd00:10:1::4", 80));
    // Somebody flushes: it is mended, and holds again.
    three.world.tool("nft", &["flush", "ruleset"]);
    assert!(within(&three.world.host, || three.world.switch.mend().unwrap()));
    three.attack(&attacker);
    assert!(!believed(&three.victim, "10.1.0.3").contains(&mac));
    three.is_well();
    for flush in
        [&["flush", "chain", "bridge", "hull-test", "claimed"][..], &["flush", "set", "bridge", "hull-test", "macs"]]
    {
        three.world.tool("nft", flush);
        assert!(within(&three.world.host, || three.world.switch.mend().unwrap()), "{flush:?}");
        assert!(!within(&three.world.host, || three.world.switch.mend().unwrap()), "{flush:?}");
    }
    // What was pinned goes with its wire.
    within(&three.world.host, || three.world.switch.detach("atta").unwrap());
    assert!(!within(&three.world.host, || three.world.switch.mend().unwrap()), "what is left of it is known");
    within(&three.world.host, || three.world.switch.let_go().unwrap());
    assert!(!three.world.tool("nft", &["list", "table", "bridge", "hull-test"]).contains("vethatta"));
}

#[test]
fn a_container_that_may_change_its_addresses_is_believed() {
    // The control: without being pinned, the same frames do their work. So the other test would fail.
    let three = three();
    three.is_well();
    let attacker = three.world.container(&three.lan, "atta", &["10.1.0.4/24", "fd00:10:1::4/64"]);
    let mac = attacker.endpoint.mac.to_string();
    for neighbour in ["10.1.0.3", "fd00:10:1::3"] {
        let moved = (0..200).any(|_| {
            three.attack(&attacker);
            believed(&three.victim, neighbour).contains(&mac)
        });
        assert!(moved, "{neighbour}: {}", believed(&three.victim, neighbour));
    }
}

/// A datagram of IPv4 that holds two bytes, its sum in front.
fn datagram(from: [u8; 4], to: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
    let mut header = [&[0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0][..], &from, &to].concat();
    let sum = header.chunks(2).fold(0u32, |sum, pair| sum + (u32::from(pair[0]) << 8 | u32::from(pair[1])));
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let [source, destination] = ports.map(u16::to_be_bytes);
    [&header[..], &source, &destination, &[0, 10, 0, 0], b"hi"].concat()
}

#[test]
fn a_neighbours_answer_in_the_name_services_name_is_not_heard() {
    let three = three();
    three.is_well();
    // Even one that may speak in any name.
    let attacker = three.world.container(&three.lan, "atta", &["10.1.0.4/24", "fd00:10:1::4/64"]);
    let socket = within(&three.victim.netns, || std::net::UdpSocket::bind("0.0.0.0:5999").unwrap());
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let lie = |from| frame(attacker.endpoint.mac.0, 0x0800, &datagram(from, [10, 1, 0, 2], [53, 5999]));
    // The last is the control, and says that the others have been looked at.
    send(&attacker, &[lie([127, 0, 0, 11]), lie([127, 0, 0, 1]), lie([10, 1, 0, 4])]);
    let (_, from) = socket.recv_from(&mut [0; 8]).unwrap();
    assert_eq!(from, at("10.1.0.4", 53));
}
