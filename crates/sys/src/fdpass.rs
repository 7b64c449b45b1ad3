//! Descriptors over unix sockets (`SCM_RIGHTS`).

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::error::{Error, Named, Result};

/// The most descriptors one message can carry (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

/// Room for [`MAX_FDS`] descriptors.
const SPACE: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// What a received message was.
#[derive(Debug)]
pub struct Received {
    /// Bytes stored; 0 with no descriptors is the end of the stream.
    pub bytes: usize,
    /// Descriptors, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// Some descriptors are lost: this process may open no more.
    pub lost: bool,
}

/// `sendmsg`, with at most [`MAX_FDS`] descriptors, and no signal if the peer is gone. Returns how
/// many bytes went; the descriptors went with the first of them.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Error::new(format!("sendmsg({} fds)", fds.len()), rustix::io::Errno::INVAL));
    }
    loop {
        let sent = rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
        match sent {
            Err(rustix::io::Errno::INTR) => {}
            sent => {
                return sent.named(|| format!("sendmsg({} bytes, {} fds)", bytes.len(), fds.len()));
            }
        }
    }
}

/// `recvmsg`.
pub fn recv(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received> {
    let size = buffer.len();
    let describe = || format!("recvmsg({size} bytes)");
    let mut space = [MaybeUninit::uninit(); SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let message =
            rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC);
        match message {
            Err(rustix::io::Errno::INTR) => {}
            message => break message.named(describe)?,
        }
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    let lost = message.flags.contains(ReturnFlags::CTRUNC);
    Ok(Received { bytes: message.bytes, fds, lost })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn descriptors_arrive_with_the_bytes() {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let fds: Vec<_> = (0..MAX_FDS).map(|_| a.as_fd()).collect();
        assert_eq!(send(&a, b"hello", &fds).unwrap(), 5);
        let mut buffer = [0; 16];
        let received = recv(&b, &mut buffer).unwrap();
        assert_eq!((received.bytes, received.fds.len()), (5, MAX_FDS));
        assert!(send(&a, b"x", &vec![a.as_fd(); MAX_FDS + 1]).is_err());
        drop((a, received));
        assert_eq!(recv(&b, &mut buffer).unwrap().bytes, 0);
    }
}
