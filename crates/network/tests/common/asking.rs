//! A host with resolvers of its own, and a container that asks for names, both of them network namespaces.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hull_network::dns::{Resolvers, Scope, Server, Sockets, Zone};
use hull_network::{Definition, Endpoint, Mac};
use tokio::runtime::Handle;

use super::{new_netns, within};

pub const A: u16 = 1;
pub const PTR: u16 = 12;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;

/// A host with a runtime in it, and a container.
pub struct World {
    pub host: OwnedFd,
    pub container: OwnedFd,
    pub runtime: Handle,
    pub zone: Arc<Zone>,
    pub resolv_conf: tempfile::NamedTempFile,
    pub resolvers: Arc<Resolvers>,
}

impl World {
    pub fn new() -> Self {
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

    pub fn open(&self) -> Sockets {
        Sockets::open(self.container.as_fd()).unwrap()
    }

    pub fn serve(&self, sockets: Sockets, scope: Scope) -> Server {
        Server::start(&self.runtime, (self.zone.clone(), self.resolvers.clone()), sockets, scope).unwrap()
    }

    /// Asks from inside the container, over UDP.
    pub fn ask(&self, name: &str, kind: u16) -> Answer {
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
    pub fn ask_by_stream(&self, questions: &[Vec<u8>]) -> Vec<Answer> {
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
    pub fn resolver(&self, address: &str, code: u8, last: u8) -> Arc<AtomicUsize> {
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

    pub fn write_resolv_conf(&self, text: &str) {
        std::fs::write(self.resolv_conf.path(), text).unwrap();
    }
}

pub fn read_framed(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub fn question(name: &str, kind: u16, size: Option<u16>) -> Vec<u8> {
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
pub fn reply(question: &[u8], code: u8, last: u8) -> Vec<u8> {
    let mut out = question.to_vec();
    out[2] |= 0x80;
    out[3] = 0x80 | code;
    out[7] = 1;
    out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, last]);
    out
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: u8,
    pub truncated: bool,
    /// Addresses, or for a pointer the labels with dots.
    pub data: Vec<String>,
}

impl Answer {
    pub fn read(bytes: &[u8]) -> Self {
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

    pub fn with(data: &[&str]) -> Self {
        Self { code: 0, truncated: false, data: data.iter().map(|text| (*text).to_owned()).collect() }
    }

    pub fn failure() -> Self {
        Self { code: 2, truncated: false, data: Vec::new() }
    }
}

pub fn network(name: &str) -> Definition {
    Definition::bridge(name, name, name)
}

pub fn endpoint(network: &str, names: &[&str], addresses: &[&str]) -> Endpoint {
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
        link_local: Vec::new(),
        pinned: false,
    }
}
