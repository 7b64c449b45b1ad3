//! The name service with real questions: a host with resolvers of its own, and a container, both of them network
//! namespaces of the test's own.

mod common;
use common::{new_netns, within};

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hull_network::dns::{Resolvers, Scope, Server, Sockets, Zone};
use hull_network::{Definition, Endpoint, Mac};
use hull_types::Timestamp;
use tokio::runtime::Handle;

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;

/// A host with a runtime in it, and a container.
struct World {
    host: OwnedFd,
    container: OwnedFd,
    runtime: Handle,
    zone: Arc<Zone>,
    resolv_conf: tempfile::NamedTempFile,
    resolvers: Arc<Resolvers>,
}

impl World {
    fn new() -> Self {
        let (host, container) = (new_netns(), new_netns());
        let (tell, told) = std::sync::mpsc::channel();
        let inside = host.as_fd().try_clone_to_owned().unwrap();
        // It serves until the test's process ends.
        std::thread::spawn(move || {
            within(inside, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                tell.send(runtime.handle().clone()).unwrap();
                runtime.block_on(std::future::pending::<()>());
            });
        });
        let resolv_conf = tempfile::NamedTempFile::new().unwrap();
        let resolvers = Arc::new(Resolvers::of(resolv_conf.path()));
        Self { host, container, runtime: told.recv().unwrap(), zone: Arc::default(), resolv_conf, resolvers }
    }

    fn open(&self) -> Sockets {
        Sockets::open(self.container.as_fd()).unwrap()
    }

    fn serve(&self, sockets: Sockets, scope: Scope) -> Server {
        Server::start(&self.runtime, (self.zone.clone(), self.resolvers.clone()), sockets, scope).unwrap()
    }

    /// Asks from inside the container, over UDP.
    fn ask(&self, name: &str, kind: u16) -> Answer {
        let question = question(name, kind, None);
        within(&self.container, || {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            socket.send_to(&question, "127.0.0.11:53").unwrap();
            let mut bytes = vec![0; 65_536];
            let (length, from) = socket.recv_from(&mut bytes).unwrap();
            assert_eq!(from.to_string(), "127.0.0.11:53", "an answer comes from where it was asked");
            Answer::read(&bytes[..length])
        })
    }

    /// Asks several questions over one connection.
    fn ask_by_stream(&self, questions: &[Vec<u8>]) -> Vec<Answer> {
        within(&self.container, || {
            let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let ask = |question: &Vec<u8>| {
                stream.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).unwrap();
                stream.write_all(question).unwrap();
                Answer::read(&read_framed(&mut stream).unwrap())
            };
            questions.iter().map(ask).collect()
        })
    }

    /// A resolver of the host at an address: answers every question with the code and `192.0.2.N`; how often
    /// it was asked.
    fn resolver(&self, address: &str, code: u8, last: u8) -> Arc<AtomicUsize> {
        let asked = Arc::new(AtomicUsize::new(0));
        let (udp, tcp) =
            within(&self.host, || (UdpSocket::bind((address, 53)).unwrap(), TcpListener::bind((address, 53)).unwrap()));
        let count = asked.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut bytes) {
                count.fetch_add(1, Ordering::SeqCst);
                udp.send_to(&reply(&bytes[..length], code, last), from).unwrap();
            }
        });
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let bytes = read_framed(&mut stream).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let answer = reply(&bytes, code, last);
                stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        asked
    }

    fn write_resolv_conf(&self, text: &str) {
        std::fs::write(self.resolv_conf.path(), text).unwrap();
    }
}

fn read_framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn question(name: &str, kind: u16, size: Option<u16>) -> Vec<u8> {
    let mut out = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(size.is_some())];
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend([kind.to_be_bytes(), 1_u16.to_be_bytes()].concat());
    if let Some(size) = size {
        out.extend([&[0, 0, 41][..], &size.to_be_bytes(), &[0; 6]].concat());
    }
    out
}

/// A resolver's answer with one address.
fn reply(question: &[u8], code: u8, last: u8) -> Vec<u8> {
    let mut out = question.to_vec();
    out[2] |= 0x80;
    out[3] = 0x80 | code;
    out[7] = 1;
    out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, last]);
    out
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: u8,
    truncated: bool,
    /// Addresses, or for a pointer the labels with dots.
    data: Vec<String>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        assert_eq!(bytes[..2], [0xab, 0xcd], "the number of the question");
        assert_eq!(bytes[2] & 0x80, 0x80);
        let mut at = 12;
        while bytes[at] != 0 {
            at += 1 + usize::from(bytes[at]);
        }
        at += 5;
        let data = (0..u16::from_be_bytes([bytes[6], bytes[7]])).map(|_| {
            let kind = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]);
            let length = usize::from(u16::from_be_bytes([bytes[at + 10], bytes[at + 11]]));
            let data = &bytes[at + 12..at + 12 + length];
            at += 12 + length;
            match kind {
                A => IpAddr::from(<[u8; 4]>::try_from(data).unwrap()).to_string(),
                AAAA => IpAddr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
                _ => String::from_utf8_lossy(data).chars().map(|c| if c < ' ' { '.' } else { c }).collect(),
            }
        });
        Self { data: data.collect(), code: bytes[3] & 0x0f, truncated: bytes[2] & 2 != 0 }
    }

    fn with(data: &[&str]) -> Self {
        Self { code: 0, truncated: false, data: data.iter().map(|text| (*text).to_owned()).collect() }
    }

    fn failure() -> Self {
        Self { code: 2, truncated: false, data: Vec::new() }
    }
}

fn network(name: &str) -> Definition {
    Definition {
        driver: hull_network::Driver::Bridge,
        id: name.into(),
        name: name.into(),
        created: Timestamp::NEVER,
        link: name.into(),
        subnets: Vec::new(),
        internal: false,
        icc: true,
        masquerade: true,
        mtu: None,
        publish_on: None,
        labels: Default::default(),
        options: Default::default(),
    }
}

fn endpoint(network: &str, names: &[&str], addresses: &[&str]) -> Endpoint {
    Endpoint {
        id: format!("{}-{network}", addresses[0]),
        network: network.into(),
        name: "eth0".into(),
        link: "veth".into(),
        mac: Mac([2; 6]),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        gateway: true,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        sysctls: Vec::new(),
        pinned: false,
    }
}

fn scope(networks: &[&str], outward: bool) -> Scope {
    Scope { networks: networks.iter().map(|name| (*name).to_owned()).collect(), outward, ..Scope::default() }
}

#[test]
fn names_and_addresses_of_a_network_are_answered() {
    let world = World::new();
    world.zone.add(&network("lan"), &endpoint("lan", &["web", "www"], &["10.0.0.2/24", "fd00::2/64"]));
    world.zone.add(&network("lan"), &endpoint("lan", &["web2", "www"], &["10.0.0.3/24"]));
    world.zone.add(&network("far"), &endpoint("far", &["hidden"], &["10.9.0.2/24"]));
    // A name server of the container's own is not in the way.
    let own = within(&world.container, || UdpSocket::bind("0.0.0.0:53").unwrap());
    let _server = world.serve(world.open(), scope(&["lan"], false));
    assert_eq!(world.ask("WEB", A), Answer::with(&["10.0.0.2"]));
    assert_eq!(world.ask("web", AAAA), Answer::with(&["fd00::2"]));
    assert_eq!(world.ask("web.lan", A), Answer::with(&["10.0.0.2"]));
    assert_eq!(world.ask("web2", AAAA), Answer::with(&[]), "known, without such an address");
    assert_eq!(world.ask("web", TXT), Answer::with(&[]));
    let mut all = world.ask("www", A).data;
    all.sort();
    assert_eq!(all, ["10.0.0.2", "10.0.0.3"]);
    assert_eq!(world.ask("2.0.0.10.in-addr.arpa", PTR).data, [".web.lan."]);
    for elsewhere in ["hidden", "hidden.far", "2.0.9.10.in-addr.arpa", "example.org"] {
        assert_eq!(world.ask(elsewhere, A), Answer::failure(), "{elsewhere}");
    }
    drop(own);
}

#[test]
fn an_answer_that_is_too_large_is_whole_over_tcp_and_with_edns() {
    let world = World::new();
    for n in 2..102 {
        world.zone.add(&network("lan"), &endpoint("lan", &["many"], &[&format!("10.0.0.{n}/24")]));
    }
    let _server = world.serve(world.open(), scope(&["lan"], false));
    let short = world.ask("many", A);
    assert!(short.truncated && short.data.len() < 40, "{short:?}");
    let answers = world.ask_by_stream(&[question("many", A, None), question("many", A, Some(4096))]);
    assert!(answers.iter().all(|answer| !answer.truncated && answer.data.len() == 100), "{answers:?}");
}

#[test]
fn other_names_are_asked_of_the_hosts_resolvers_as_they_are_now() {
    let world = World::new();
    let refuses = world.resolver("127.0.0.1", 5, 1);
    let knows = world.resolver("127.0.0.2", 0, 2);
    let other = world.resolver("127.0.0.3", 0, 3);
    world.write_resolv_conf("nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
    let server = world.serve(world.open(), scope(&["lan"], true));
    assert_eq!(world.ask("example.org", A), Answer::with(&["192.0.2.2"]));
    assert_eq!(refuses.load(Ordering::SeqCst), 1, "it was asked first");
    let answers = world.ask_by_stream(&[question("example.org", A, None), question("example.net", A, None)]);
    assert!(answers.iter().all(|answer| answer.data == ["192.0.2.2"]), "{answers:?}");
    // A VPN comes up.
    world.write_resolv_conf("nameserver 127.0.0.3\n# it is another file now\n");
    assert_eq!(world.ask("example.org", A), Answer::with(&["192.0.2.3"]));
    let before = [&refuses, &knows, &other].map(|count| count.load(Ordering::SeqCst));
    server.set_scope(scope(&["lan"], false));
    assert_eq!(world.ask("example.org", A), Answer::failure(), "nobody is asked");
    assert_eq!([&refuses, &knows, &other].map(|count| count.load(Ordering::SeqCst)), before);
}

#[test]
fn servers_that_a_container_asked_for_are_asked_from_its_namespace() {
    let world = World::new();
    // The same address of the host's has nothing to do with it.
    let hosts = world.resolver("127.0.0.1", 0, 1);
    let own = within(&world.container, || UdpSocket::bind("127.0.0.1:53").unwrap());
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        let (length, from) = own.recv_from(&mut bytes).unwrap();
        own.send_to(&reply(&bytes[..length], 3, 7), from).unwrap();
    });
    let netns = Some(Arc::new(world.container.as_fd().try_clone_to_owned().unwrap()));
    let servers = vec!["127.0.0.1".parse().unwrap()];
    let _server = world.serve(world.open(), Scope { servers, netns, ..scope(&[], true) });
    let answer = world.ask("example.org", A);
    assert_eq!((answer.code, answer.data), (3, vec!["192.0.2.7".to_owned()]), "as it came: no such name");
    assert_eq!(hosts.load(Ordering::SeqCst), 0);
}

#[test]
fn questions_wait_in_the_sockets_while_nobody_serves() {
    let world = World::new();
    world.zone.add(&network("lan"), &endpoint("lan", &["web"], &["10.0.0.2/24"]));
    let sockets = world.open();
    let kept = sockets.try_clone().unwrap();
    let server = world.serve(sockets, scope(&["lan"], false));
    assert_eq!(world.ask("web", A), Answer::with(&["10.0.0.2"]));
    drop(server);
    std::thread::scope(|threads| {
        let asked = [
            threads.spawn(|| world.ask("web", A)),
            threads.spawn(|| world.ask_by_stream(&[question("web", A, None)]).remove(0)),
        ];
        for socket in [&kept.udp, &kept.tcp] {
            use rustix::event::{PollFd, PollFlags, poll};
            assert_eq!(poll(&mut [PollFd::new(socket, PollFlags::IN)], None), Ok(1), "a question waits");
        }
        let _next = world.serve(kept, scope(&["lan"], false));
        for answer in asked {
            assert_eq!(answer.join().unwrap(), Answer::with(&["10.0.0.2"]));
        }
    });
}
