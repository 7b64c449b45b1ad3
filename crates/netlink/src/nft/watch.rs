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

    /// Forgets all that was heard, and tells what it was, but for what the socket with the address `own` has done. `table`: of
    /// this name.
    pub fn hear(&self, table: &str, own: Option<u32>) -> Heard {
        let mut buffer = [0u8; 8192];
        let mut heard = Heard::default();
        loop {
            match recv(&self.fd, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    for reply in replies(&buffer[..length]).iter().filter(|reply| Some(reply.port) != own) {
                        heard.anything = true;
                        heard.loss |= takes(reply, table);
                    }
                }
                // More was said than the socket could keep.
                Err(Errno::NOBUFS) => heard = Heard { anything: true, loss: true },
                Err(Errno::INTR) => {}
                Err(_) => return heard,
            }
        }
    }
}

/// What others have done to the ruleset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Something.
    pub anything: bool,
    /// Tables of the name that was asked about lost more than elements of sets.
    pub loss: bool,
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
