//! [`Log`]: hears the packets that a rule's `log group` hands out. linux/netfilter/nfnetlink_log.h.

use std::os::fd::{AsFd, BorrowedFd};

use hull_sys::net::Netlink;

use crate::error::Result;
use crate::message::{Message, attribute};
use crate::socket::Socket;

/// `NFNL_SUBSYS_ULOG`, and in it `NFULNL_MSG_PACKET` and `NFULNL_MSG_CONFIG`.
const PACKET: u16 = 4 << 8;
const CONFIG: u16 = PACKET | 1;

const CMD: u16 = 1;
const MODE: u16 = 2;
const THRESHOLD: u16 = 5;
const BIND: u8 = 1;
const COPY_PACKET: u8 = 2;
const PAYLOAD: u16 = 9;

/// The one listener of a group.
#[derive(Debug)]
pub struct Log {
    socket: Socket,
}

impl Log {
    /// Binds a group of the calling thread's namespace; each packet is told at once.
    ///
    /// # Errors
    /// No socket; a group that somebody else has is EBUSY.
    pub fn bind(group: u16) -> Result<Self> {
        let mut socket = Socket::open(Netlink::Netfilter)?;
        let [high, low] = group.to_be_bytes();
        let what = |what: &'static str| move || format!("{what} the log group {group}");
        let message = || Message::new(CONFIG, 0, &[0, 0, high, low]);
        let mut bind = message();
        bind.put(CMD, &[BIND]);
        socket.ask(bind, what("bind"))?;
        let mut mode = message();
        // `struct nfulnl_msg_config_mode`: how many bytes, and that packets are wanted.
        mode.put(MODE, &[0, 0, 0xff, 0xff, COPY_PACKET, 0]).put_be32(THRESHOLD, 1);
        socket.ask(mode, what("set"))?;
        Ok(Self { socket })
    }

    /// Waits for packets, from their network header on.
    ///
    /// # Errors
    /// The socket's; ENOBUFS says that some were lost.
    pub fn receive(&mut self) -> Result<Vec<Vec<u8>>> {
        let replies = self.socket.receive(|| "packets of a log group".to_owned())?;
        let packets = replies.iter().filter(|reply| reply.kind == PACKET);
        Ok(packets.filter_map(|reply| Some(attribute(reply.body.get(4..)?, PAYLOAD)?.to_vec())).collect())
    }
}

impl AsFd for Log {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
