//! One netlink socket: requests that are acknowledged, dumps, and batches.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::error::{Error, Result};
use crate::message::{ACK, DUMP, HEADER, Message, Reply, attribute, replies, text, u32_at};

/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLMSGERR_ATTR_MSG`: the kernel's own words.
const ERROR_WORDS: u16 = 1;
/// The largest datagram that the kernel makes for a dump.
const DATAGRAM: usize = 64 * 1024;
/// How often a dump that was interrupted by a change is asked for again.
const AGAIN: usize = 8;

/// A socket of the namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one for a family (`NETLINK_ROUTE`, `NETLINK_NETFILTER`).
    pub(crate) fn open(family: hull_sys::net::Netlink) -> Result<Self> {
        Ok(Self { fd: hull_sys::net::netlink(family)?, sequence: 0, buffer: vec![0; DATAGRAM] })
    }

    /// Sends one request and waits for the kernel's acknowledgement.
    pub(crate) fn ask(&mut self, message: Message, what: impl Fn() -> String) -> Result<()> {
        let sequence = self.next();
        self.send(&message.finish(sequence, ACK), &what)?;
        loop {
            for reply in self.receive(&what)? {
                if reply.sequence == sequence && reply.kind == ERROR {
                    return verdict(&reply, what);
                }
            }
        }
    }

    /// Sends several requests in one datagram and hears each one's acknowledgement. They are carried out in order, each by
    /// itself; the first refusal is returned.
    pub(crate) fn ask_all(&mut self, messages: Vec<Message>, what: impl Fn() -> String) -> Result<()> {
        let first = self.sequence.wrapping_add(1);
        let mut open = messages.len();
        let mut bytes = Vec::new();
        for message in messages {
            bytes.extend(message.finish(self.next(), ACK));
        }
        self.send(&bytes, &what)?;
        let (count, mut result) = (open, Ok(()));
        while open > 0 {
            for reply in self.receive(&what)? {
                if reply.kind == ERROR && (reply.sequence.wrapping_sub(first) as usize) < count {
                    open -= 1;
                    result = result.and(verdict(&reply, &what));
                }
            }
        }
        result
    }

    /// Sends one request whose answer is one message.
    pub(crate) fn get(&mut self, message: Message, what: impl Fn() -> String) -> Result<Reply> {
        let sequence = self.next();
        self.send(&message.finish(sequence, 0), &what)?;
        loop {
            for reply in self.receive(&what)? {
                if reply.sequence == sequence {
                    return if reply.kind == ERROR { verdict(&reply, &what).map(|()| reply) } else { Ok(reply) };
                }
            }
        }
    }

    /// All messages of a dump. One that changed under way is asked for again.
    pub(crate) fn dump(&mut self, message: &Message, what: impl Fn() -> String) -> Result<Vec<Reply>> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.dump_once(message.clone(), &what) {
                Err(Error::Refused { errno: Errno::INTR | Errno::AGAIN, .. }) if tries < AGAIN => {}
                result => return result,
            }
        }
    }

    fn dump_once(&mut self, message: Message, what: &impl Fn() -> String) -> Result<Vec<Reply>> {
        let sequence = self.next();
        self.send(&message.finish(sequence, DUMP), what)?;
        let mut out = Vec::new();
        let mut interrupted = false;
        loop {
            for reply in self.receive(what)? {
                if reply.sequence != sequence {
                    continue;
                }
                interrupted |= reply.interrupted;
                match reply.kind {
                    ERROR => return verdict(&reply, what).map(|()| out),
                    // The end carries a code as an error does.
                    DONE if interrupted => {
                        return Err(Error::Refused { request: what(), errno: Errno::INTR, message: None });
                    }
                    DONE => return verdict(&reply, what).map(|()| out),
                    _ => out.push(reply),
                }
            }
        }
    }

    /// Sends messages in one datagram, so that nftables takes all or none. Each that asks for an
    /// acknowledgement is heard out; the first refusal is returned, with its own words.
    pub(crate) fn batch(&mut self, messages: Vec<Message>, what: &[String]) -> Result<()> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let last = messages.len() - 1;
        for (index, message) in messages.into_iter().enumerate() {
            let sequence = self.next();
            // ORDER: the last change asks for an answer, which comes when all have been taken or one was refused.
            let ack = if index + 1 == last { ACK } else { 0 };
            bytes.extend(message.finish(sequence, ack));
        }
        let of = |sequence: u32| {
            let index = sequence.wrapping_sub(first) as usize;
            what.get(index.saturating_sub(1)).cloned().unwrap_or_else(|| "nftables batch".to_owned())
        };
        let whole = || "nftables batch".to_owned();
        self.send(&bytes, whole)?;
        let acknowledged = first.wrapping_add(last as u32).wrapping_sub(1);
        loop {
            for reply in self.receive(whole)? {
                if reply.kind != ERROR || reply.sequence.wrapping_sub(first) as usize > last {
                    continue;
                }
                let result = verdict(&reply, || of(reply.sequence));
                if result.is_err() || reply.sequence == acknowledged {
                    return result;
                }
            }
        }
    }

    /// Its address, which the kernel notes at what it tells others of this socket's requests.
    pub(crate) fn port(&self) -> Option<u32> {
        let address = rustix::net::getsockname(&self.fd).ok()?;
        Some(rustix::net::netlink::SocketAddrNetlink::try_from(address).ok()?.pid())
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&mut self, bytes: &[u8], what: impl FnOnce() -> String) -> Result<()> {
        let sent = rustix::io::retry_on_intr(|| send(&self.fd, bytes, SendFlags::empty()));
        sent.map(drop).map_err(|errno| Error::Refused { request: what(), errno, message: None })
    }

    /// What has come; waits for it.
    pub(crate) fn receive(&mut self, what: impl FnOnce() -> String) -> Result<Vec<Reply>> {
        let received = rustix::io::retry_on_intr(|| recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::TRUNC));
        match received {
            Ok((_, length)) if length >= HEADER && length <= self.buffer.len() => Ok(replies(&self.buffer[..length])),
            Ok((_, length)) => Err(Error::Answer { request: what(), length }),
            Err(errno) => Err(Error::Refused { request: what(), errno, message: None }),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What an `NLMSG_ERROR` says: zero is the acknowledgement.
fn verdict(reply: &Reply, what: impl FnOnce() -> String) -> Result<()> {
    let Some(code) = u32_at(&reply.body, 0).map(|code| code as i32) else {
        return Err(Error::Answer { request: what(), length: reply.body.len() });
    };
    if code == 0 {
        return Ok(());
    }
    // The request's header follows, capped to it, and then the kernel's attributes.
    let words = reply.body.get(4 + HEADER..).and_then(|rest| attribute(rest, ERROR_WORDS)).map(text);
    Err(Error::Refused { request: what(), errno: Errno::from_raw_os_error(-code), message: words })
}
