//! [`Watch`]: hears of every change of the namespace's ruleset.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::error::Result;

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

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
