//! Links that stand on another one: macvlan, ipvlan, VLANs. linux/if_link.h.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::Route;
use super::link::{IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK, IFLA_LINKINFO, NEWLINK, NewLink, ifinfo, new_link};
use crate::error::Result;
use crate::message::{CREATE, EXCL, Message};

const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;

/// How macvlan links of one parent reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MacvlanMode {
    /// Not at all.
    Private = 1,
    /// Through the switch outside.
    Vepa = 2,
    /// Directly.
    Bridge = 4,
    /// The only one takes over the parent.
    Passthru = 8,
}

/// Where an ipvlan link takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanMode {
    /// In frames, with the parent's hardware address.
    L2 = 0,
    /// In packets: the parent's namespace routes.
    L3 = 1,
    /// As L3, and netfilter of the parent's namespace sees them.
    L3s = 2,
}

/// How ipvlan links of one parent reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpvlanFlag {
    /// Directly.
    Bridge = 0,
    /// Not at all.
    Private = 1,
    /// Through the switch outside.
    Vepa = 2,
}

/// What kind of link stands on the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upper {
    /// A further hardware address.
    Macvlan(MacvlanMode),
    /// A further address behind the same hardware address.
    Ipvlan(IpvlanMode, IpvlanFlag),
    /// What is tagged with this number.
    Vlan(u16),
}

impl Upper {
    /// The kernel's word for it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
            Self::Vlan(_) => "vlan",
        }
    }
}

impl Route {
    /// Makes a link that stands on another one of the socket's namespace.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn add_upper(&mut self, link: &NewLink<'_>, parent: u32, upper: Upper) -> Result<()> {
        let mut message = new_link(link);
        message.put_u32(IFLA_LINK, parent);
        message.nest(IFLA_LINKINFO, |m| {
            m.put(IFLA_INFO_KIND, upper.kind().as_bytes());
            m.nest(IFLA_INFO_DATA, |m| match upper {
                Upper::Macvlan(mode) => {
                    m.put_u32(IFLA_MACVLAN_MODE, mode as u32);
                }
                Upper::Ipvlan(mode, flag) => {
                    m.put(IFLA_IPVLAN_MODE, &(mode as u16).to_ne_bytes());
                    m.put(IFLA_IPVLAN_FLAGS, &(flag as u16).to_ne_bytes());
                }
                Upper::Vlan(id) => {
                    m.put(IFLA_VLAN_ID, &id.to_ne_bytes());
                }
            });
        });
        self.socket.ask(message, || format!("new {} {} on link {parent}", upper.kind(), link.name))
    }

    /// Whether the kernel knows this kind of link: it is asked for one that stands on nothing, which one that knows it
    /// refuses for that alone.
    ///
    /// # Errors
    /// The socket's.
    pub fn knows(&mut self, upper: Upper) -> Result<bool> {
        let mut message = Message::new(NEWLINK, CREATE | EXCL, &ifinfo(0, false, false));
        message.nest(IFLA_LINKINFO, |m| {
            m.put(IFLA_INFO_KIND, upper.kind().as_bytes());
        });
        match self.socket.ask(message, || format!("new {} on nothing", upper.kind())) {
            Err(error) if error.errno() == Some(Errno::OPNOTSUPP) => Ok(false),
            Err(error) if error.errno().is_none() => Err(error),
            _ => Ok(true),
        }
    }
}
