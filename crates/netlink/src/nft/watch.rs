//! [`Watch`]: hears of every change of the namespace's ruleset.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::{DELCHAIN, DELRULE, DELSET, DELTABLE};
use crate::error::Result;
use crate::message::{Reply, attribute, replies, text};

/// `NFNLGRP_NFTABLES`, as a bit.
const GROUP: u32 = 1 << (7 - 1);

/// A socket that becomes readable when somebody, this process included, has changed the ruleset.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
}

impl Watch {
    /// Starts to listen in the calling thread's namespace.
    ///
    /// # Errors
    /// No socket.
    pub fn open() -> Result<Self> {
        Ok(Self { fd: hull_sys::net::netlink_group(hull_sys::net::Netlink::Netfilter, GROUP)? })
    }

    /// Forgets all that was heard. True if tables of this name lost anything but elements of sets, or more was said than the
    /// socket could keep.
    pub fn lost(&self, table: &str) -> bool {
        let mut buffer = [0u8; 8192];
        let mut lost = false;
        loop {
            match recv(&self.fd, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => lost |= replies(&buffer[..length]).iter().any(|reply| takes(reply, table)),
                Err(Errno::NOBUFS) => lost = true,
                Err(Errno::INTR) => {}
                Err(_) => return lost,
            }
        }
    }

    /// Forgets all that was heard. True if there was anything; more than the socket could keep counts.
    pub fn drain(&self) -> bool {
        let mut buffer = [0u8; 8192];
        let mut heard = false;
        loop {
            match recv(&self.fd, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok(_) | Err(Errno::NOBUFS) => heard = true,
                Err(Errno::INTR) => {}
                Err(_) => return heard,
            }
        }
    }
}

/// Whether a message tells that a table, or a chain, a rule or a set of it, is gone.
fn takes(reply: &Reply, table: &str) -> bool {
    [DELTABLE, DELCHAIN, DELRULE, DELSET].contains(&reply.kind)
        && reply.body.get(4..).and_then(|attributes| attribute(attributes, 1)).map(text).as_deref() == Some(table)
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
