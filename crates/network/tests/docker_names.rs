//! The name service beside docker's: the same questions, and what docker 28.5 answered them (golden/docker-28.5-names.txt).
//!
//! It was asked in `cargo xtask oracle`'s daemon, with the containers and the resolver that are made here. The answers' codes and
//! records are compared; where hull's are others on purpose, [`OTHERWISE`] says why.

mod common;
use common::asking::{World, endpoint, network, question};
use common::within;

use std::fmt::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use hull_network::dns::Scope;

const DOCKERS: &str = include_str!("golden/docker-28.5-names.txt");

/// Seconds that an own name may be kept: docker's 600, and hull's 1, since a container that starts again has another address.
const TTL: (&str, &str) = (" 600 ", " 1 ");

/// Docker asks others what kinds of records it does not know, of its containers' names too. Those are known here, and nobody
/// outside hears of them.
const OTHERWISE: &[(&str, &str)] = &[
    ("web TXT: NXDOMAIN", "web TXT: NOERROR"),
    ("web ANY: NXDOMAIN", "web ANY: NOERROR web 1 1 10.77.0.10"),
    ("web SRV: NXDOMAIN", "web SRV: NOERROR"),
];

#[test]
fn names_are_answered_as_docker_does() {
    let world = World::new();
    for (names, address) in [
        (&["web", "0123456789ab", "both"][..], "10.77.0.10/24"),
        (&["web2", "both"], "10.77.0.11/24"),
        (&["asks", "alias1"], "10.77.0.13/24"),
    ] {
        world.zone.add(&network("lan"), &endpoint("lan", names, &[address]));
    }
    world.zone.add(&network("elsewhere"), &endpoint("elsewhere", &["other"], &["10.79.0.2/24"]));
    world.write_resolv_conf("nameserver 127.0.0.1\n");
    let resolver = within(&world.host, || UdpSocket::bind("127.0.0.1:53").unwrap());
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok((length, from)) = resolver.recv_from(&mut bytes) {
            if let Some(answer) = elsewhere(&bytes[..length]) {
                resolver.send_to(&answer, from).unwrap();
            }
        }
    });
    let scope = Scope { networks: vec!["lan".into()], outward: true, ..Scope::default() };
    let _server = world.serve(world.open(), scope);
    for line in DOCKERS.lines() {
        let (asked, _) = line.split_once(": ").unwrap();
        let other = OTHERWISE.iter().find(|(docker, _)| *docker == line).map(|(_, hull)| (*hull).to_owned());
        let expected = other.unwrap_or_else(|| line.replace(TTL.0, TTL.1));
        let (name, kind) = asked.split_once(' ').unwrap();
        assert_eq!(format!("{asked}: {}", told(&world, name, number(kind))), expected);
    }
}

fn number(kind: &str) -> u16 {
    let kinds = [("A", 1), ("PTR", 12), ("MX", 15), ("TXT", 16), ("AAAA", 28), ("SRV", 33), ("ANY", 255)];
    kinds.into_iter().find(|(name, _)| *name == kind).unwrap().1
}

/// The code and the records of an answer, as they are in the file.
fn told(world: &World, name: &str, kind: u16) -> String {
    let answer = within(&world.container, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.send_to(&question(name, kind, None), "127.0.0.11:53").unwrap();
        let mut bytes = vec![0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        bytes.truncate(length);
        bytes
    });
    let code = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"][usize::from(answer[3] & 15)];
    let two = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let mut at = labels(&answer, 12).1 + 4;
    let mut records = Vec::new();
    for _ in 0..two(6) {
        let (name, next) = labels(&answer, at);
        let ttl = u32::from_be_bytes(answer[next + 4..next + 8].try_into().unwrap());
        let data = &answer[next + 10..next + 10 + usize::from(two(next + 8))];
        let shown = match two(next) {
            1 => IpAddr::from(<[u8; 4]>::try_from(data).unwrap()).to_string(),
            28 => IpAddr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
            12 => labels(&answer, next + 10).0,
            _ => data.iter().fold(String::new(), |mut text, byte| {
                write!(text, "{byte:02x}").unwrap();
                text
            }),
        };
        records.push(format!("{name} {ttl} {} {shown}", two(next)));
        at = next + 10 + data.len();
    }
    records.sort();
    [code.to_owned(), records.join(" | ")].join(" ").trim_end().to_owned()
}

/// A name, and what follows it.
fn labels(bytes: &[u8], mut at: usize) -> (String, usize) {
    let (mut labels, mut end) = (Vec::new(), None);
    while bytes[at] != 0 {
        if bytes[at] >= 0xc0 {
            end = end.or(Some(at + 2));
            at = usize::from(u16::from_be_bytes([bytes[at] & 0x3f, bytes[at + 1]]));
        } else {
            labels.push(String::from_utf8_lossy(&bytes[at + 1..=at + usize::from(bytes[at])]).into_owned());
            at += 1 + usize::from(bytes[at]);
        }
    }
    (labels.join("."), end.unwrap_or(at + 1))
}

/// What the resolver that docker asked has answered.
fn elsewhere(question: &[u8]) -> Option<Vec<u8>> {
    let (name, end) = labels(question, 12);
    let kind = u16::from_be_bytes([question[end], question[end + 1]]);
    let v6 = [[0; 15].as_slice(), &[9]].concat();
    let (code, record): (u8, Option<(u8, &[u8])>) = match (&*name, kind) {
        ("a.test", 1) => (0, Some((77, &[203, 0, 113, 9]))),
        ("a.test", 28) => (0, Some((78, &v6))),
        ("a.test", 16) => (0, Some((80, b"\x05hello"))),
        ("zero.test", 1) => (0, Some((0, &[203, 0, 113, 11]))),
        ("single", 1) => (0, Some((9, &[203, 0, 113, 12]))),
        ("9.113.0.203.in-addr.arpa", 12) => (0, Some((66, b"\x01a\x04test\x00"))),
        ("a.test" | "v4only.test", _) => (0, None),
        ("fail.test", _) => (2, None),
        ("refused.test", _) => (5, None),
        ("silent.test", _) => return None,
        _ => (3, None),
    };
    let mut out = question[..end + 4].to_vec();
    (out[2], out[3]) = (0x84 | (question[2] & 1), 0x80 | code);
    out[7] = u8::from(record.is_some());
    if let Some((ttl, data)) = record {
        out.extend([0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, ttl, 0, data.len() as u8]);
        out.extend(data);
    }
    Some(out)
}
