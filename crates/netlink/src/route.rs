//! [`Route`]: links, addresses and routes of one network namespace.

mod address;
mod link;
mod path;
mod upper;

use hull_sys::net::Netlink;

use crate::error::Result;
use crate::socket::Socket;

pub use address::{BadNet, Net, octets};
pub use link::{BadMac, Bridge, Link, Mac, NewLink, Peer, Veth};
pub use path::Path;
pub use upper::{IpvlanFlag, IpvlanMode, MacvlanMode, Upper};

/// A routing socket. Its requests concern the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Route {
    socket: Socket,
}

impl Route {
    /// Opens one in the calling thread's namespace.
    ///
    /// # Errors
    /// No socket (descriptors, memory).
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Netlink::Route)? })
    }
}
