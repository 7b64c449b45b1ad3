//! What the kernel says of one container's place in a network: links, rules, sockets. Values only; they are read by
//! [`crate::Switch::look`] and [`sockets`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hull_netlink::route::Net;

use crate::ports::Protocol;

/// A link as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenLink {
    /// Its name.
    pub name: String,
    /// Whether it is set up.
    pub up: bool,
    /// Its hardware address.
    pub mac: Option<hull_netlink::route::Mac>,
    /// The name of the bridge it is a port of.
    pub master: Option<String>,
    /// It does not reach the bridge's other ports.
    pub isolated: bool,
    /// Its addresses.
    pub addresses: Vec<Net>,
}

/// What the ruleset says of a published port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRule {
    /// The map that leads to the container.
    pub map: &'static str,
    /// Where it leads, if the port is in it.
    pub to: Option<SocketAddr>,
    /// Whether the container's port is open to what was led there.
    pub open: bool,
}

/// One end of a container, as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The table of the rules, as nft(8) names it.
    pub table: String,
    /// The host's own input rules are asked about published ports.
    pub obeys: bool,
    /// The bridge or the parent.
    pub network: Option<SeenLink>,
    /// The near end of the wire; none on a parent.
    pub wire: Option<SeenLink>,
    /// The container's link.
    pub inside: Option<SeenLink>,
    /// The way out of the container: through this neighbour, or directly.
    pub default_route: bool,
    /// Tables of rules inside the container.
    pub rules_inside: Vec<String>,
    /// The rules are as hull makes them.
    pub whole: bool,
    /// Neighbours are let through.
    pub neighbours: bool,
    /// Nothing is let out.
    pub internal: bool,
    /// What is asked of published ports, in their order.
    pub rules: Vec<SeenRule>,
    /// This host passes packets on.
    pub forwards: bool,
    /// Chains of others, by the names of their tables, that drop what they do not know on its way through this host.
    pub dropping: Vec<String>,
}

/// A socket that waits for whoever comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The protocol.
    pub protocol: Protocol,
    /// Its own address.
    pub at: SocketAddr,
    /// The number that its descriptors show.
    pub inode: u64,
}

impl Listener {
    /// Whether it takes what is sent to this address. One of `::` takes IPv4 as well.
    pub fn takes(&self, address: IpAddr) -> bool {
        let own = self.at.ip();
        own == address || (own.is_unspecified() && (own.is_ipv6() || address.is_ipv4()))
    }
}

/// The listening sockets in one of procfs's tables (`/proc/PID/net/tcp`, `tcp6`, `udp`, `udp6`).
pub fn sockets(protocol: Protocol, table: &str) -> Vec<Listener> {
    let waits = if protocol == Protocol::Tcp { "0A" } else { "07" };
    let listener = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, at, _, state, _, _, _, _, _, inode, ..] = words[..] else { return None };
        let (address, port) = at.split_once(':')?;
        let address = address_of(address)?;
        let at = SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?);
        (state == waits).then_some(Listener { protocol, at, inode: inode.parse().ok()? })
    };
    table.lines().skip(1).filter_map(listener).collect()
}

/// procfs shows an address as words of four bytes, each in the machine's order.
fn address_of(text: &str) -> Option<IpAddr> {
    let words = text.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn procfs_tells_who_listens() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0\n\
            \x20  1: 020011AC:0050 010011AC:9C40 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0\n";
        let found = sockets(Protocol::Tcp, tcp);
        assert_eq!(found, [Listener { protocol: Protocol::Tcp, at: "127.0.0.1:3306".parse().unwrap(), inode: 77 }]);
        assert!(found[0].takes("127.0.0.1".parse().unwrap()) && !found[0].takes("172.17.0.2".parse().unwrap()));
        let six = "sl\n 0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 9 1\n";
        let found = sockets(Protocol::Tcp, six);
        assert_eq!(found[0].at, "[::]:80".parse().unwrap());
        assert!(found[0].takes("172.17.0.2".parse().unwrap()) && found[0].takes("fd00::2".parse().unwrap()));
        assert!(sockets(Protocol::Udp, six).is_empty(), "another state");
        assert!(sockets(Protocol::Tcp, "sl\n 0: zz:0050 x 0A 0 0 0 0 0 9\nshort\n").is_empty());
    }
}
