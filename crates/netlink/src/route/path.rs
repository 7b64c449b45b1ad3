//! Routes: `struct rtmsg`, linux/rtnetlink.h. Only of the main table.

use std::net::{IpAddr, Ipv6Addr};

use super::Route;
use super::address::{INET, INET6, Net, family, octets, read_address};
use crate::error::Result;
use crate::message::{CREATE, EXCL, Message, REPLACE, attribute, u32_at};

const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_TABLE: u16 = 15;
const TABLE_MAIN: u8 = 254;
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_BOOT: u8 = 3;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const TYPE_UNICAST: u8 = 1;
const TYPE_LOCAL: u8 = 2;
/// Behind the kernel's own route to ::1.
const LOOPBACK_METRIC: u32 = 1 << 16;

/// A route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The destination; all addresses of the gateway's family (`0.0.0.0/0`, `::/0`) is the default route.
    pub destination: Net,
    /// Through which neighbour, if not directly.
    pub gateway: Option<IpAddr>,
    /// Through which link.
    pub link: u32,
    /// The lower, the sooner taken; `None` is the kernel's choice.
    pub metric: Option<u32>,
}

impl Path {
    /// Whether it is a default route.
    pub fn is_default(&self) -> bool {
        self.destination.prefix == 0
    }
}

impl Route {
    /// Adds a route.
    ///
    /// # Errors
    /// The kernel's refusal; one that is there already is EEXIST.
    pub fn add_path(&mut self, path: &Path) -> Result<()> {
        self.socket.ask(added(path), || format!("add route {}", shown(path)))
    }

    /// Adds a route, in the place of one to the same destination with the same metric.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn replace_path(&mut self, path: &Path) -> Result<()> {
        let message = message(NEWROUTE, CREATE | REPLACE, path);
        self.socket.ask(message, || format!("replace route {}", shown(path)))
    }

    /// What comes from this link for ::1 is this host's, too: the kernel asks that of every address that it takes for local
    /// to a link. It still takes no packet that was sent to ::1; one that the ruleset translates to it has passed that check.
    /// The route goes with the link.
    ///
    /// # Errors
    /// The kernel's refusal; one that is there already is EEXIST.
    pub fn hear_loopback6(&mut self, link: u32) -> Result<()> {
        let header = [INET6, 128, 0, 0, TABLE_LOCAL, PROTOCOL_BOOT, SCOPE_UNIVERSE, TYPE_LOCAL, 0, 0, 0, 0];
        let mut message = Message::new(NEWROUTE, CREATE | EXCL, &header);
        message.put(RTA_DST, &octets(Ipv6Addr::LOCALHOST.into()));
        message.put_u32(RTA_OIF, link);
        // Each link's route has a metric of its own, or it would be the same route.
        message.put_u32(RTA_PRIORITY, LOOPBACK_METRIC + link);
        self.socket.ask(message, || format!("add local route ::1 on link {link}"))
    }

    /// Deletes a route.
    ///
    /// # Errors
    /// The kernel's refusal; one that is not there is ESRCH.
    pub fn delete_path(&mut self, path: &Path) -> Result<()> {
        let message = message(DELROUTE, 0, path);
        self.socket.ask(message, || format!("delete route {}", shown(path)))
    }

    /// All unicast routes of the main table that leave through one link.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn paths(&mut self) -> Result<Vec<Path>> {
        let message = Message::new(GETROUTE, 0, &[0; 12]);
        let replies = self.socket.dump(&message, || "routes".to_owned())?;
        Ok(replies.iter().filter(|reply| reply.kind == NEWROUTE).filter_map(|reply| read(&reply.body)).collect())
    }
}

/// The request for one more route.
pub(super) fn added(path: &Path) -> Message {
    message(NEWROUTE, CREATE | EXCL, path)
}

fn message(kind: u16, flags: u16, path: &Path) -> Message {
    let scope = if path.gateway.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK };
    let destination = path.destination.network();
    let header = [
        family(destination.address),
        destination.prefix,
        0,
        0,
        TABLE_MAIN,
        PROTOCOL_BOOT,
        scope,
        TYPE_UNICAST,
        0,
        0,
        0,
        0,
    ];
    let mut message = Message::new(kind, flags, &header);
    if destination.prefix > 0 {
        message.put(RTA_DST, &octets(destination.address));
    }
    if let Some(gateway) = path.gateway {
        message.put(RTA_GATEWAY, &octets(gateway));
    }
    message.put_u32(RTA_OIF, path.link);
    if let Some(metric) = path.metric {
        message.put_u32(RTA_PRIORITY, metric);
    }
    message
}

fn read(body: &[u8]) -> Option<Path> {
    let (family, prefix, kind) = (*body.first()?, *body.get(1)?, *body.get(7)?);
    let attributes = body.get(12..)?;
    let table = attribute(attributes, RTA_TABLE).and_then(|v| u32_at(v, 0)).unwrap_or(u32::from(*body.get(4)?));
    if kind != TYPE_UNICAST || table != u32::from(TABLE_MAIN) {
        return None;
    }
    let any: IpAddr = match family {
        INET => [0u8; 4].into(),
        INET6 => [0u8; 16].into(),
        _ => return None,
    };
    let address = attribute(attributes, RTA_DST).map_or(Some(any), read_address)?;
    Some(Path {
        destination: Net::new(address, prefix)?,
        gateway: attribute(attributes, RTA_GATEWAY).and_then(read_address),
        link: attribute(attributes, RTA_OIF).and_then(|value| u32_at(value, 0))?,
        metric: attribute(attributes, RTA_PRIORITY).and_then(|value| u32_at(value, 0)),
    })
}

fn shown(path: &Path) -> String {
    match path.gateway {
        Some(gateway) => format!("{} via {gateway} on link {}", path.destination, path.link),
        None => format!("{} on link {}", path.destination, path.link),
    }
}
