//! Links: bridges, veth pairs; their names, states and masters. rtnetlink(7), linux/if_link.h.

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::str::FromStr;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Route;
use super::address::Net;
use super::path::Path;
use crate::error::{Error, Result, Tolerate};
use crate::message::{CREATE, EXCL, Message, attribute, text, u16_at, u32_at};

pub(super) const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
pub(super) const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_GSO_IPV4_MAX_SIZE: u16 = 63;
pub(super) const IFLA_INFO_KIND: u16 = 1;
pub(super) const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;

const IFLA_PROTINFO: u16 = 12;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const AF_BRIDGE: u8 = 7;

const IFF_UP: u32 = 1;

/// A hardware address of Ethernet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Not six bytes in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address such as 02:42:ac:11:00:02")]
pub struct BadMac(String);

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(text.chars().take(64).collect());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Self(bytes)) }
    }
}

/// A link as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// `ifindex`, unique in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, `macvlan`…; none for plain devices and `lo`.
    pub kind: Option<String>,
    /// Whether it is set up (`IFF_UP`).
    pub up: bool,
    /// Bytes of a packet.
    pub mtu: u32,
    /// Its hardware address, if Ethernet's.
    pub mac: Option<Mac>,
    /// The bridge it is a port of.
    pub master: Option<u32>,
    /// The index of the peer or lower link, in whichever namespace that is.
    pub peer: Option<u32>,
    /// What its maker calls it (`ifalias`).
    pub alias: Option<String>,
    /// Of a bridge's port: it does not reach the bridge's other isolated ports.
    pub isolated: bool,
    /// Bytes that TCP of IPv4 may hand to it in one piece; none where the kernel (before Linux 6.3) has no such bound of its own.
    pub segment_ipv4: Option<u32>,
}

/// What every new link may have.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewLink<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// A hardware address; the kernel's choice otherwise.
    pub mac: Option<Mac>,
    /// Bytes of a packet; the kernel's choice otherwise.
    pub mtu: Option<u32>,
    /// Whose port it becomes.
    pub master: Option<u32>,
    /// The namespace it is born in, if not the socket's.
    pub netns: Option<BorrowedFd<'a>>,
    /// Set up at once.
    pub up: bool,
}

/// A bridge.
#[derive(Clone, Copy, Debug)]
pub struct Bridge<'a> {
    /// Its link.
    pub link: NewLink<'a>,
    /// Whether it learns multicast groups; docker's bridges do not.
    pub multicast_snooping: bool,
}

/// The far end of a veth pair. It is born down: the kernel opens no end before both are wired.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its name, at most 15 bytes.
    pub name: &'a str,
    /// A hardware address; the kernel's choice otherwise.
    pub mac: Option<Mac>,
    /// Bytes of a packet; the kernel's choice otherwise.
    pub mtu: Option<u32>,
    /// The namespace it is born in, if not the socket's.
    pub netns: Option<BorrowedFd<'a>>,
}

/// A pair of Ethernet links, each the other's wire.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// The near end.
    pub link: NewLink<'a>,
    /// The far end.
    pub peer: Peer<'a>,
    /// Bytes that TCP of IPv4 may hand to either end in one piece; the kernel's choice, 64 KiB, otherwise.
    pub segment_ipv4: Option<u32>,
}

impl Route {
    /// Makes a bridge. One of that name is refused with EEXIST.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn add_bridge(&mut self, bridge: &Bridge<'_>) -> Result<()> {
        let mut message = new_link(&bridge.link);
        message.nest(IFLA_LINKINFO, |m| {
            m.put(IFLA_INFO_KIND, b"bridge");
            m.nest(IFLA_INFO_DATA, |m| {
                m.put(IFLA_BR_MCAST_SNOOPING, &[u8::from(bridge.multicast_snooping)]);
            });
        });
        self.socket.ask(message, || format!("new bridge {}", bridge.link.name))
    }

    /// Makes a veth pair, both ends at once where they belong.
    ///
    /// # Errors
    /// The kernel's refusal, such as a name that is taken.
    pub fn add_veth(&mut self, veth: &Veth<'_>) -> Result<()> {
        let mut message = new_link(&veth.link);
        let segment = |m: &mut Message| {
            if let Some(bytes) = veth.segment_ipv4 {
                m.put_u32(IFLA_GSO_IPV4_MAX_SIZE, bytes);
            }
        };
        segment(&mut message);
        message.nest(IFLA_LINKINFO, |m| {
            m.put(IFLA_INFO_KIND, b"veth");
            m.nest(IFLA_INFO_DATA, |m| {
                m.nest(VETH_INFO_PEER, |m| {
                    let Peer { name, mac, mtu, netns } = veth.peer;
                    m.raw(&ifinfo(0, false, false));
                    link_attributes(m, &NewLink { name, mac, mtu, netns, ..NewLink::default() });
                    segment(m);
                });
            });
        });
        self.socket.ask(message, || format!("new veth {} with peer {}", veth.link.name, veth.peer.name))
    }

    /// The link of this name, if there is one.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let what = || format!("link {name}");
        let mut message = Message::new(GETLINK, 0, &ifinfo(0, false, false));
        message.put_str(IFLA_IFNAME, name);
        let Some(reply) = self.socket.get(message, what).tolerate(&[Errno::NODEV])? else { return Ok(None) };
        let link = read(&reply.body).ok_or_else(|| Error::Answer { request: what(), length: reply.body.len() })?;
        // An alternative name is none of the link's own.
        Ok(Some(link).filter(|link| link.name == name))
    }

    /// All links of the namespace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let what = || "links".to_owned();
        let message = Message::new(GETLINK, 0, &ifinfo(0, false, false));
        let replies = self.socket.dump(&message, what)?;
        replies
            .iter()
            .filter(|reply| reply.kind == NEWLINK)
            .map(|reply| read(&reply.body).ok_or_else(|| Error::Answer { request: what(), length: reply.body.len() }))
            .collect()
    }

    /// Sets a link up or down.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<()> {
        let message = Message::new(NEWLINK, 0, &ifinfo(index, up, true));
        self.socket.ask(message, || format!("set link {index} {}", if up { "up" } else { "down" }))
    }

    /// Gives a link that is down all that it needs to be used – hardware address, addresses, routes – and sets it up, in one go.
    ///
    /// # Errors
    /// The kernel's first refusal; the rest was tried.
    pub fn equip(&mut self, index: u32, mac: Option<Mac>, addresses: &[Net], paths: &[Path]) -> Result<()> {
        let mut messages: Vec<Message> = addresses.iter().map(|net| super::address::message(index, *net)).collect();
        let mut up = Message::new(NEWLINK, 0, &ifinfo(index, true, true));
        if let Some(mac) = mac {
            up.put(IFLA_ADDRESS, &mac.0);
        }
        messages.push(up);
        // ORDER: no route through a link that is down.
        messages.extend(paths.iter().map(super::path::added));
        self.socket.ask_all(messages, || format!("set link {index} up with its addresses and routes"))
    }

    /// Makes a link a port of a bridge, or of none (`None`).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_master(&mut self, index: u32, master: Option<u32>) -> Result<()> {
        let mut message = Message::new(NEWLINK, 0, &ifinfo(index, false, false));
        message.put_u32(IFLA_MASTER, master.unwrap_or(0));
        self.socket.ask(message, || format!("set link {index} master {master:?}"))
    }

    /// Renames a link that is down.
    ///
    /// # Errors
    /// The kernel's refusal, such as a name that is taken.
    pub fn rename(&mut self, index: u32, name: &str) -> Result<()> {
        let mut message = Message::new(NEWLINK, 0, &ifinfo(index, false, false));
        message.put_str(IFLA_IFNAME, name);
        self.socket.ask(message, || format!("set link {index} name {name}"))
    }

    /// Notes at a link who made it (`ifalias`).
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_alias(&mut self, index: u32, alias: &str) -> Result<()> {
        let mut message = Message::new(NEWLINK, 0, &ifinfo(index, false, false));
        message.put(IFLA_IFALIAS, alias.as_bytes());
        self.socket.ask(message, || format!("set link {index} alias {alias}"))
    }

    /// Gives a link another hardware address.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_mac(&mut self, index: u32, mac: Mac) -> Result<()> {
        let mut message = Message::new(NEWLINK, 0, &ifinfo(index, false, false));
        message.put(IFLA_ADDRESS, &mac.0);
        self.socket.ask(message, || format!("set link {index} address {mac}"))
    }

    /// Sets how many bytes a packet may have.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<()> {
        let mut message = Message::new(NEWLINK, 0, &ifinfo(index, false, false));
        message.put_u32(IFLA_MTU, mtu);
        self.socket.ask(message, || format!("set link {index} mtu {mtu}"))
    }

    /// Moves a link into another namespace, perhaps under another name.
    ///
    /// # Errors
    /// The kernel's refusal, such as a name that is taken there.
    pub fn move_to(&mut self, index: u32, netns: BorrowedFd<'_>, name: Option<&str>) -> Result<()> {
        let mut message = Message::new(NEWLINK, 0, &ifinfo(index, false, false));
        message.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
        if let Some(name) = name {
            message.put_str(IFLA_IFNAME, name);
        }
        self.socket.ask(message, || format!("move link {index} to another network namespace"))
    }

    /// Sets what a port of a bridge may do. `isolated`: it does not reach the bridge's other isolated
    /// ports. `hairpin`: a frame may leave through the port it came in by.
    ///
    /// # Errors
    /// The kernel's refusal; a link that is no port is EINVAL.
    pub fn set_port(&mut self, index: u32, isolated: bool, hairpin: bool) -> Result<()> {
        let mut header = ifinfo(index, false, false);
        header[0] = AF_BRIDGE;
        let mut message = Message::new(SETLINK, 0, &header);
        message.nest(IFLA_PROTINFO, |m| {
            m.put(IFLA_BRPORT_MODE, &[u8::from(hairpin)]);
            m.put(IFLA_BRPORT_ISOLATED, &[u8::from(isolated)]);
        });
        self.socket.ask(message, || format!("set bridge port {index} isolated {isolated} hairpin {hairpin}"))
    }

    /// Deletes a link; one that is gone already counts as deleted. Deleting one end of a veth waits
    /// for the kernel's grace periods, 14 to 22 ms: never on the way of an answer.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn delete(&mut self, index: u32) -> Result<()> {
        let message = Message::new(DELLINK, 0, &ifinfo(index, false, false));
        self.socket.ask(message, || format!("delete link {index}")).tolerate(&[Errno::NODEV]).map(drop)
    }
}

/// `struct ifinfomsg`: family, type, index, flags, and which flags change.
pub(super) fn ifinfo(index: u32, up: bool, change: bool) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&(if up { IFF_UP } else { 0 }).to_ne_bytes());
    bytes[12..16].copy_from_slice(&(if change { IFF_UP } else { 0 }).to_ne_bytes());
    bytes
}

pub(super) fn new_link(link: &NewLink<'_>) -> Message {
    let mut message = Message::new(NEWLINK, CREATE | EXCL, &ifinfo(0, link.up, link.up));
    link_attributes(&mut message, link);
    message
}

fn link_attributes(message: &mut Message, link: &NewLink<'_>) {
    message.put_str(IFLA_IFNAME, link.name);
    if let Some(mac) = link.mac {
        message.put(IFLA_ADDRESS, &mac.0);
    }
    if let Some(mtu) = link.mtu {
        message.put_u32(IFLA_MTU, mtu);
    }
    if let Some(master) = link.master {
        message.put_u32(IFLA_MASTER, master);
    }
    if let Some(netns) = link.netns {
        message.put_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
    }
}

fn read(body: &[u8]) -> Option<Link> {
    let index = u32_at(body, 4)?;
    let flags = u32_at(body, 8)?;
    let ether = u16_at(body, 2)? == 1;
    let attributes = body.get(16..)?;
    let number = |kind| attribute(attributes, kind).and_then(|value| u32_at(value, 0));
    let info = attribute(attributes, IFLA_LINKINFO).unwrap_or_default();
    Some(Link {
        index,
        name: text(attribute(attributes, IFLA_IFNAME)?),
        kind: attribute(info, IFLA_INFO_KIND).map(text),
        up: flags & IFF_UP != 0,
        mtu: number(IFLA_MTU)?,
        mac: attribute(attributes, IFLA_ADDRESS).filter(|_| ether).and_then(|mac| mac.try_into().ok()).map(Mac),
        master: number(IFLA_MASTER),
        peer: number(IFLA_LINK),
        alias: attribute(attributes, IFLA_IFALIAS).map(text),
        isolated: attribute(attribute(info, IFLA_INFO_SLAVE_DATA).unwrap_or_default(), IFLA_BRPORT_ISOLATED)
            .is_some_and(|value| value.first() == Some(&1)),
        segment_ipv4: number(IFLA_GSO_IPV4_MAX_SIZE),
    })
}
