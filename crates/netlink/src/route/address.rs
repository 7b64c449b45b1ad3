//! Addresses of links: `struct ifaddrmsg`, linux/if_addr.h.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Route;
use crate::error::{Result, Tolerate};
use crate::message::{CREATE, EXCL, Message, attribute, u32_at};

const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
/// `IFA_F_NODAD`: an IPv6 address that can be used at once.
const NODAD: u8 = 0x02;

pub(super) const INET: u8 = 2;
pub(super) const INET6: u8 = 10;

/// An address with the length of its network's prefix: `172.17.0.2/16`. As a network, its host bits
/// are zero. Stored as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Net {
    /// The address.
    pub address: IpAddr,
    /// Bits of the prefix: at most 32 or 128.
    pub prefix: u8,
}

impl Net {
    /// `None` if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= bits(address)).then_some(Self { address, prefix })
    }

    /// The network: the same prefix, host bits zero.
    #[must_use]
    pub fn network(self) -> Self {
        let address = match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & mask32(self.prefix))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & mask128(self.prefix))),
        };
        Self { address, prefix: self.prefix }
    }

    /// Whether the address lies in this network. Families do not mix.
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && Self { address, prefix: self.prefix }.network() == self.network()
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network().address) || other.contains(self.network().address)
    }

    /// The last address: of an IPv4 network, its broadcast address.
    pub fn last(self) -> IpAddr {
        match self.address {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() | !mask32(self.prefix))),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() | !mask128(self.prefix))),
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask32(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn mask128(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Not `ADDRESS/PREFIX`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address with a prefix such as 172.20.0.0/16")]
pub struct BadNet(String);

impl FromStr for Net {
    type Err = BadNet;

    fn from_str(text: &str) -> Result<Self, BadNet> {
        let bad = || BadNet(text.chars().take(64).collect());
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let (address, prefix) = (address.parse().map_err(|_| bad())?, prefix.parse().map_err(|_| bad())?);
        Self::new(address, prefix).ok_or_else(bad)
    }
}

impl TryFrom<String> for Net {
    type Error = BadNet;

    fn try_from(text: String) -> Result<Self, BadNet> {
        text.parse()
    }
}

impl From<Net> for String {
    fn from(net: Net) -> Self {
        net.to_string()
    }
}

/// The bytes of an address, in network order.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

pub(super) fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => None,
    }
}

pub(super) fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { INET } else { INET6 }
}

impl Route {
    /// Gives a link an address. An IPv6 address is usable at once: nothing else on a new bridge can have it.
    ///
    /// # Errors
    /// The kernel's refusal; one that the link has already is EEXIST.
    pub fn add_address(&mut self, index: u32, net: Net) -> Result<()> {
        self.socket.ask(message(index, net), || format!("add address {net} to link {index}"))
    }

    /// Takes an address from a link; one that is gone already counts as taken.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete_address(&mut self, index: u32, net: Net) -> Result<()> {
        let mut message = Message::new(DELADDR, 0, &header(index, net));
        message.put(IFA_LOCAL, &octets(net.address));
        let asked = self.socket.ask(message, || format!("delete address {net} of link {index}"));
        asked.tolerate(&[Errno::ADDRNOTAVAIL, Errno::NODEV]).map(drop)
    }

    /// All addresses of the namespace, with the index of their link.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn addresses(&mut self) -> Result<Vec<(u32, Net)>> {
        let message = Message::new(GETADDR, 0, &[0; 8]);
        let replies = self.socket.dump(&message, || "addresses".to_owned())?;
        Ok(replies.iter().filter(|reply| reply.kind == NEWADDR).filter_map(|reply| read(&reply.body)).collect())
    }
}

/// The request for one more address.
pub(super) fn message(index: u32, net: Net) -> Message {
    let mut message = Message::new(NEWADDR, CREATE | EXCL, &header(index, net));
    message.put(IFA_LOCAL, &octets(net.address)).put(IFA_ADDRESS, &octets(net.address));
    if net.address.is_ipv4() && net.prefix < 31 {
        message.put(IFA_BROADCAST, &octets(net.last()));
    }
    message
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
fn header(index: u32, net: Net) -> [u8; 8] {
    let mut bytes = [family(net.address), net.prefix, 0, 0, 0, 0, 0, 0];
    if net.address.is_ipv6() {
        bytes[2] = NODAD;
    }
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes
}

fn read(body: &[u8]) -> Option<(u32, Net)> {
    let prefix = *body.get(1)?;
    let index = u32_at(body, 4)?;
    let attributes = body.get(8..)?;
    let own = attribute(attributes, IFA_LOCAL).or_else(|| attribute(attributes, IFA_ADDRESS))?;
    Some((index, Net::new(read_address(own)?, prefix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        text.parse().unwrap()
    }

    #[test]
    fn networks() {
        assert_eq!(net("172.17.5.9/16").network(), net("172.17.0.0/16"));
        assert_eq!(net("172.17.5.9/16").last(), "172.17.255.255".parse::<IpAddr>().unwrap());
        assert_eq!(net("fd00::5/64").network().to_string(), "fd00::/64");
        assert_eq!(net("1.2.3.4/0").network().to_string(), "0.0.0.0/0");
        assert!(net("10.0.0.0/8").contains("10.255.0.1".parse().unwrap()));
        assert!(!net("10.0.0.0/8").contains("fd00::1".parse().unwrap()));
        assert!(net("10.0.0.0/8").overlaps(net("10.1.0.0/16")) && net("10.1.0.0/16").overlaps(net("10.0.0.0/8")));
        assert!(!net("10.0.0.0/16").overlaps(net("10.1.0.0/16")));
        assert!(!net("0.0.0.0/0").overlaps(net("::/0")));
    }

    #[test]
    fn what_is_no_network() {
        for bad in ["", "1.2.3.4", "1.2.3.4/33", "::/129", "1.2.3.4/+8", "1.2.3.4/ 8", "x/8", "1.2.3.4/"] {
            assert!(bad.parse::<Net>().is_err(), "{bad}");
        }
    }
}
