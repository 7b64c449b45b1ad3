//! nftables: tables, chains, rules, sets and maps, changed in batches that the kernel takes whole or
//! not at all. linux/netfilter/nf_tables.h.

mod batch;
mod expr;
mod log;
mod seen;
mod set;
mod watch;

use std::fmt;

use hull_sys::net::Netlink;

use crate::error::Result;
use crate::message::{Message, Reply, attribute, text};
use crate::socket::Socket;

pub use batch::{Batch, Chain, Hook, Rule};
pub use expr::{Direction, Expr, Field, Register, Verdict};
pub use log::Log;
pub use seen::{SeenChain, SeenElement, SeenRule};
pub use set::{Data, Element, Set, Type};
pub use watch::{Heard, Watch};

/// `NFNL_SUBSYS_NFTABLES`, the high byte of every message type.
const SUBSYSTEM: u16 = 10 << 8;
const NEWTABLE: u16 = SUBSYSTEM;
const GETTABLE: u16 = SUBSYSTEM | 1;
const DELTABLE: u16 = SUBSYSTEM | 2;
const NEWCHAIN: u16 = SUBSYSTEM | 3;
const GETCHAIN: u16 = SUBSYSTEM | 4;
const DELCHAIN: u16 = SUBSYSTEM | 5;
const NEWRULE: u16 = SUBSYSTEM | 6;
const GETRULE: u16 = SUBSYSTEM | 7;
const DELRULE: u16 = SUBSYSTEM | 8;
const NEWSET: u16 = SUBSYSTEM | 9;
const DELSET: u16 = SUBSYSTEM | 11;
const NEWELEMENT: u16 = SUBSYSTEM | 12;
const GETELEMENT: u16 = SUBSYSTEM | 13;
const DELELEMENT: u16 = SUBSYSTEM | 14;

/// The packets that a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet = 1,
    /// IPv4.
    Ip = 2,
    /// Frames of single links.
    Netdev = 5,
    /// Frames that cross a bridge.
    Bridge = 7,
    /// IPv6.
    Ip6 = 10,
}

/// A table: a name in a family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::Inet => "inet",
            Family::Ip => "ip",
            Family::Netdev => "netdev",
            Family::Bridge => "bridge",
            Family::Ip6 => "ip6",
        };
        write!(f, "{family} {}", self.name)
    }
}

/// A netfilter socket. Its requests concern the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Nft {
    socket: Socket,
}

impl Nft {
    /// Opens one in the calling thread's namespace.
    ///
    /// # Errors
    /// No socket (descriptors, memory).
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Netlink::Netfilter)? })
    }

    /// Hands a batch to the kernel: all of it holds afterwards, or none. An empty one is nothing.
    ///
    /// # Errors
    /// The first change that the kernel refuses.
    pub fn commit(&mut self, batch: Batch) -> Result<()> {
        let (messages, what) = batch.finish();
        if what.is_empty() { Ok(()) } else { self.socket.batch(messages, &what) }
    }

    /// The address of this socket: what [`Watch::hear`] takes for nothing of others.
    pub fn port(&self) -> Option<u32> {
        self.socket.port()
    }

    /// All tables of the namespace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn tables(&mut self) -> Result<Vec<Table>> {
        let message = Message::new(GETTABLE, 0, &header(0));
        let replies = self.socket.dump(&message, || "nftables tables".to_owned())?;
        Ok(replies.iter().filter(|reply| reply.kind == NEWTABLE).filter_map(read_table).collect())
    }

    /// How many rules each chain of a table has, in the order of the kernel's list.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn rules(&mut self, table: &Table) -> Result<Vec<(String, usize)>> {
        let message = Message::new(GETRULE, 0, &header(table.family as u8));
        let replies = self.socket.dump(&message, || format!("rules of table {table}"))?;
        let mut chains: Vec<(String, usize)> = Vec::new();
        for reply in replies.iter().filter(|reply| reply.kind == NEWRULE) {
            let attributes = reply.body.get(4..).unwrap_or_default();
            let of = |kind| attribute(attributes, kind).map(text);
            let (Some(owner), Some(chain)) = (of(1), of(2)) else { continue };
            if owner != table.name {
                continue;
            }
            match chains.iter_mut().find(|(name, _)| *name == chain) {
                Some((_, count)) => *count += 1,
                None => chains.push((chain, 1)),
            }
        }
        Ok(chains)
    }

    /// The keys of a set's or map's elements, as they were given.
    ///
    /// # Errors
    /// The kernel's refusal; a set that is not there is ENOENT.
    pub fn keys(&mut self, table: &Table, set: &str) -> Result<Vec<Vec<u8>>> {
        Ok(self.elements(table, set)?.into_iter().map(|(key, _)| key).collect())
    }
}

/// `struct nfgenmsg`: family, version 0, no resource.
fn header(family: u8) -> [u8; 4] {
    [family, 0, 0, 0]
}

fn read_table(reply: &Reply) -> Option<Table> {
    read_table_of(*reply.body.first()?, attribute(reply.body.get(4..)?, 1)?)
}

fn read_table_of(family: u8, name: &[u8]) -> Option<Table> {
    let family = match family {
        1 => Family::Inet,
        2 => Family::Ip,
        5 => Family::Netdev,
        7 => Family::Bridge,
        10 => Family::Ip6,
        _ => return None,
    };
    Some(Table { family, name: text(name) })
}
