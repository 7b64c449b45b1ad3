//! Published ports that obey the host's own input rules, whatever firewall wrote them.
//!
//! What comes for a published port is not led to the container at once. It goes where it would go without hull, to this
//! host's input hook, and meets every rule there: of nft, iptables, ufw, firewalld. What is still there behind all of them
//! is handed to hull and dropped. hull sends it again, as it was, from this host: there it is led to the container as what the
//! host itself sends is, and with it the connection, which the kernel then carries alone. The client's address is
//! kept; only the first packet of a connection passes through the engine.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hull_netlink::nft::Log;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto};

use super::{Switch, kernel};
use crate::error::Error;

impl Switch {
    /// A switch whose published ports obey the host's input rules, from the start.
    pub fn obeying(self) -> Self {
        Self { obeys: Some(group(&self.table.name)), ..self }
    }

    /// Whether they do.
    pub fn obeys(&self) -> bool {
        self.obeys.is_some()
    }

    /// Begins to pass on what the host's input rules let through, for as long as the switch lives.
    ///
    /// # Errors
    /// A kernel without what this needs, or no thread.
    pub fn pass_on(switch: &Arc<Self>) -> Result<(), Error> {
        let Some(group) = switch.obeys else { return Ok(()) };
        let mut log = Log::bind(group).map_err(kernel("hear what the host's input rules let through"))?;
        let sockets = Sockets::open().map_err(|errno| Error::Thread { why: hull_sys::errno_text(errno).to_owned() })?;
        let weak = Arc::downgrade(switch);
        let run = move || {
            while weak.strong_count() > 0 {
                match log.receive() {
                    Ok(packets) => packets.into_iter().for_each(|packet| sockets.send(packet)),
                    // More came than could be kept: their senders send again.
                    Err(error) if error.errno() == Some(Errno::NOBUFS) => {}
                    Err(error) => {
                        tracing::error!(%error, "published ports are closed: what comes for them is not heard");
                        return;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("input".into()).stack_size(256 * 1024).spawn(run);
        thread.map(drop).map_err(|error| Error::Thread { why: error.to_string() })
    }
}

/// The log group of an engine: by its name, so that two of one host hardly meet.
fn group(name: &str) -> u16 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    1024 + (hash % 60_000) as u16
}

/// Sockets that send whole packets.
struct Sockets {
    v4: OwnedFd,
    v6: Option<OwnedFd>,
}

impl Sockets {
    fn open() -> rustix::io::Result<Self> {
        let raw = |family| rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW));
        Ok(Self { v4: raw(AddressFamily::INET)?, v6: raw(AddressFamily::INET6).ok() })
    }

    fn send(&self, mut packet: Vec<u8>) {
        let Some((to, transport)) = read(&packet) else { return };
        seal(&mut packet, transport);
        let socket = if to.is_ipv4() { Some(&self.v4) } else { self.v6.as_ref() };
        let sent =
            socket.map(|socket| rustix::net::sendto(socket, &packet, SendFlags::empty(), &SocketAddr::new(to, 0)));
        if let Some(Err(errno)) = sent {
            tracing::debug!(%to, errno = hull_sys::errno_text(errno), "a packet could not be passed on");
        }
    }
}

/// Where the transport's header begins, its protocol, and the sum over what is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transport {
    begin: usize,
    protocol: u8,
    addresses: (usize, usize),
}

/// Whom a packet is for, and what it carries.
fn read(packet: &[u8]) -> Option<(IpAddr, Transport)> {
    match packet.first()? >> 4 {
        4 => {
            let begin = usize::from(packet[0] & 15) * 4;
            let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some((to.into(), Transport { begin, protocol: packet[9], addresses: (12, 20) }))
        }
        6 => {
            let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some((to.into(), Transport { begin: 40, protocol: packet[6], addresses: (8, 40) }))
        }
        _ => None,
    }
}

/// Computes the checksum of TCP or UDP: the kernel leaves that to the network card, where the packet came from a veth.
fn seal(packet: &mut [u8], transport: Transport) {
    let Transport { begin, protocol, addresses: (from, to) } = transport;
    let at = match protocol {
        6 => begin + 16,
        17 => begin + 6,
        _ => return,
    };
    let length = packet.len().saturating_sub(begin) as u32;
    match packet.get_mut(at..at + 2) {
        // COMPAT(RFC 768): without one.
        None => return,
        Some([0, 0]) if protocol == 17 && to == 20 => return,
        Some(sum) => sum.fill(0),
    }
    let words = |bytes: &[u8]| -> u32 {
        let pairs = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
        pairs.fold(0, |sum, word| fold(sum + word))
    };
    let sum = fold(words(&packet[from..to]) + words(&packet[begin..]) + length + u32::from(protocol));
    let sum = match !(fold(sum) as u16) {
        0 if protocol == 17 => 0xffff,
        sum => sum,
    };
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Adds what is beyond sixteen bits.
fn fold(sum: u32) -> u32 {
    (sum & 0xffff) + (sum >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_computed() {
        // A datagram of 10.0.0.1:1000 to 10.0.0.2:53 that says "x".
        let mut packet = vec![0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([0x03, 0xe8, 0, 53, 0, 9, 1, 1, b'x']);
        let (to, transport) = read(&packet).unwrap();
        assert_eq!(to, IpAddr::from([10, 0, 0, 2]));
        seal(&mut packet, transport);
        // What the receiver sums, this time with the checksum in it, is all ones.
        let all: u32 = packet[12..20]
            .chunks(2)
            .chain(packet[20..].chunks(2))
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        assert_eq!(fold(fold(all + 9 + 17)), 0xffff);
        let sealed = packet.clone();
        seal(&mut packet, transport);
        assert_eq!(packet, sealed, "the same again");
        let mut none = sealed;
        none[26..28].fill(0);
        seal(&mut none, transport);
        assert_eq!(none[26..28], [0, 0], "none is none");
    }

    #[test]
    fn what_is_cut_is_left_alone() {
        for bytes in [&[][..], &[0x45], &[0x45; 19], &[0x60; 39], &[0x10; 60]] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
        let mut short = vec![0x4f; 21];
        short[9] = 6;
        let (_, transport) = read(&short).unwrap();
        seal(&mut short, transport);
    }

    #[test]
    fn engines_have_groups_of_their_own() {
        assert_ne!(group("hull"), group("hull-0123abcd"));
        assert!(group("hull") >= 1024);
    }
}
