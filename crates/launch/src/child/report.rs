//! What a child tells the keeper: one message per packet, the largest 64 KiB.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::{Error, Named, Result, fdpass};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::keeper::Failure;
use crate::plan::Point;

/// A packet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// With the pty's master.
    Terminal,
    /// A step that was not required was refused.
    Warning(Failure),
    /// The process goes on as its copy. With the copy's pidfd.
    Reborn { pid: i32 },
    /// It waits to be told to go on.
    Sync(Point),
    /// It is about to load a filter with a listener.
    Listening { step: u32 },
    /// The last packet of a child that gives up.
    Failed(Failure),
}

/// Room for any packet: a call's text is cut before it is sent.
const PACKET: usize = 32 << 10;
const LONGEST_CALL: usize = 8 << 10;
/// How often a report is tried.
const ATTEMPTS: u32 = 20;

fn send(socket: BorrowedFd<'_>, report: &Report, fds: &[BorrowedFd<'_>]) -> Result<()> {
    let packet = postcard::to_allocvec(report).expect("plain data encodes into memory");
    let mut attempts = 0;
    loop {
        match fdpass::send(socket, &packet, fds) {
            // Untold, the failure would have no words: the kernel may have memory again in a moment.
            Err(Error { errno: Errno::NOMEM | Errno::NOBUFS | Errno::TOOMANYREFS, .. }) if attempts < ATTEMPTS => {
                attempts += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            sent => return sent.map(drop),
        }
    }
}

fn describe(step: u32, error: &Error, file: Option<(Vec<u8>, Vec<u8>)>) -> Failure {
    let mut call = error.call.clone();
    if call.len() > LONGEST_CALL {
        let end = (0..=LONGEST_CALL).rev().find(|i| call.is_char_boundary(*i)).unwrap_or(0);
        call.truncate(end);
        call.push('…');
    }
    Failure { step, errno: error.errno.raw_os_error(), call, file }
}

/// The child gives up. If nobody listens, there is nobody to tell.
pub(super) fn failure(socket: BorrowedFd<'_>, step: u32, error: &Error, file: Option<(Vec<u8>, Vec<u8>)>) {
    _ = send(socket, &Report::Failed(describe(step, error, file)), &[]);
}

/// A refusal that does not matter enough.
pub(super) fn warning(socket: BorrowedFd<'_>, step: u32, error: &Error) {
    _ = send(socket, &Report::Warning(describe(step, error, None)), &[]);
}

/// Hands over the master.
pub(super) fn terminal(socket: BorrowedFd<'_>, master: &OwnedFd) -> Result<()> {
    send(socket, &Report::Terminal, &[master.as_fd()])
}

/// Names the copy.
pub(super) fn reborn(socket: BorrowedFd<'_>, pid: i32, pidfd: &OwnedFd) -> Result<()> {
    send(socket, &Report::Reborn { pid }, &[pidfd.as_fd()])
}

/// Says where the walk is held.
pub(super) fn sync(socket: BorrowedFd<'_>, point: Point) -> Result<()> {
    send(socket, &Report::Sync(point), &[])
}

/// Says that a listener will be there.
pub(super) fn listening(socket: BorrowedFd<'_>, step: u32) -> Result<()> {
    send(socket, &Report::Listening { step }, &[])
}

/// Whether the keeper still has its end.
pub(super) fn is_heard(socket: BorrowedFd<'_>) -> bool {
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    let received = rustix::net::recv(socket, &mut [0u8; 1], flags);
    !matches!(received, Ok((0, _)) | Err(Errno::CONNRESET))
}

/// Waits until the keeper has written the id maps.
pub(super) fn await_go(socket: BorrowedFd<'_>) -> Result<()> {
    let mut byte = [0u8; 1];
    loop {
        match rustix::io::read(socket, &mut byte) {
            Err(Errno::INTR) => {}
            Ok(1) => return Ok(()),
            Ok(_) => return Err(Error::new("read(keeper)", Errno::PIPE)),
            Err(errno) => return Err(errno).named(|| "read(keeper)".to_owned()),
        }
    }
}

/// What the keeper hears of a child.
pub(crate) enum Heard {
    /// Nothing for now.
    Nothing,
    /// A packet, with its descriptors.
    Packet(Report, Vec<OwnedFd>),
    /// The end: it became its command, or is gone.
    End,
}

/// The keeper's side: reads once, never blocks.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> Result<Heard> {
    let mut packet = [0u8; PACKET];
    let received = loop {
        match fdpass::recv(socket, &mut packet) {
            Err(error) if error.errno == Errno::AGAIN => return Ok(Heard::Nothing),
            // The child ended with something of ours unread: said once, before what it had sent.
            Err(error) if error.errno == Errno::CONNRESET => {}
            received => break received?,
        }
    };
    if received.bytes == 0 {
        return Ok(Heard::End);
    }
    if received.lost {
        return Err(Error::new("recvmsg(a report's descriptors)", Errno::MFILE));
    }
    let report = postcard::from_bytes(&packet[..received.bytes])
        .map_err(|_| Error::new("a report of the child", Errno::BADMSG))?;
    Ok(Heard::Packet(report, received.fds))
}
