//! A published port of SCTP. The packets are made here, so that a kernel need not speak it; it translates them all the same.

mod common;
use common::within;
use common::world::{HOST, OUTSIDE, World, is_closed, network, reaches};

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use hull_network::ports::Protocol;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

/// Chunks that begin an association (RFC 4960, 3.3.2 and 3.3.3).
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;

/// A packet: its ports, and the kind of its one chunk.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    from: u16,
    to: u16,
    tag: u32,
    chunk: u8,
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let mut out = [&self.from.to_be_bytes()[..], &self.to.to_be_bytes(), &self.tag.to_be_bytes(), &[0; 4]].concat();
        // Chunk, flags, length; initiate tag, window, streams out and in, first number.
        out.extend([self.chunk, 0, 0, 20, 0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        let sum = crc32c(&out).to_le_bytes();
        out[8..12].copy_from_slice(&sum);
        out
    }

    /// Of a packet with its IP header.
    fn read(bytes: &[u8]) -> Self {
        let body = &bytes[usize::from(bytes[0] & 15) * 4..];
        let mut plain = body.to_vec();
        plain[8..12].fill(0);
        assert_eq!(body[8..12], crc32c(&plain).to_le_bytes(), "the sum was made anew with the ports");
        let two = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        let tag = u32::from_be_bytes(body[4..8].try_into().unwrap());
        Self { from: two(0), to: two(2), tag, chunk: body[12] }
    }
}

/// Castagnoli's sum.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(sum & 1)))
    })
}

/// A socket that sends and hears all packets of SCTP in a namespace.
fn raw(netns: &OwnedFd) -> OwnedFd {
    let socket = within(netns, || {
        rustix::net::socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::SCTP))
            .unwrap()
    });
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_secs(20))).unwrap();
    socket
}

fn send(socket: &OwnedFd, to: &str, packet: &Packet) {
    let to = SocketAddrV4::new(to.parse::<Ipv4Addr>().unwrap(), 0);
    rustix::net::sendto(socket, &packet.bytes(), SendFlags::empty(), &to).unwrap();
}

fn heard(socket: &OwnedFd) -> rustix::io::Result<(Packet, Ipv4Addr)> {
    let mut bytes = [0u8; 512];
    let (_, length) = rustix::net::recv(socket, bytes.as_mut_slice(), RecvFlags::empty())?;
    Ok((Packet::read(&bytes[..length]), Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15])))
}

#[test]
fn a_published_port_of_sctp_leads_to_the_container_and_back() {
    let world = World::new();
    let lan = network("lan", &["10.1.0.0/24"]);
    world.raise(&lan);
    let web = world.container(&lan, "web", &["10.1.0.3/24"]);
    web.serve(80);
    world.publish_as(Protocol::Sctp, &web, 2905, ("0.0.0.0", 5000));
    let (client, server) = (raw(&world.outside), raw(&web.netns));
    send(&client, HOST, &Packet { from: 4000, to: 5000, tag: 0, chunk: INIT });
    let asked = heard(&server).unwrap();
    assert_eq!(asked, (Packet { from: 4000, to: 2905, tag: 0, chunk: INIT }, OUTSIDE.parse().unwrap()));
    send(&server, OUTSIDE, &Packet { from: 2905, to: 4000, tag: 7, chunk: INIT_ACK });
    let answered = heard(&client).unwrap();
    assert_eq!(answered, (Packet { from: 5000, to: 4000, tag: 7, chunk: INIT_ACK }, HOST.parse().unwrap()));
    // The same number of another protocol is not published, nor is another number of this one.
    is_closed(&world.outside, common::world::at(HOST, 5000));
    reaches(&world.host, common::world::at("10.1.0.3", 80));
    sockopt::set_socket_timeout(&server, sockopt::Timeout::Recv, Some(Duration::from_millis(700))).unwrap();
    for (to, port) in [(HOST, 5001), ("10.1.0.3", 2906)] {
        send(&client, to, &Packet { from: 4001, to: port, tag: 0, chunk: INIT });
        assert!(heard(&server).is_err(), "{to}:{port}");
    }
}
