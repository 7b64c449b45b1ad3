//! The loop: engine's stream ↔ stdin, stdout, stderr, and the signals beside it.
//!
//! Nothing in it blocks but `poll`: a stalled reader of stdout holds back the stream, never the
//! signals. Output already taken from the stream is written before the loop ends.

use std::io::{self, Stdin};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};

use hull_client::{Demux, Hijacked};
use hull_sys::signals::SignalFd;
use hull_wire::StdStream;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::escape::Escape;
use super::outlet::{Outlet, Reader};
use super::signals::SIGWINCH;

const CHUNK: usize = 64 * 1024;

/// What the loop asks of the engine beside the stream. Failures are not the loop's concern.
pub(crate) trait Control {
    /// The process should get this signal.
    fn signal(&self, number: i32);
    /// The terminal has another size now.
    fn resize(&self);
}

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The engine closed the stream.
    Closed,
    /// The detach keys were typed.
    Detached,
    /// Nobody reads our stdout or stderr any more.
    ReaderGone,
    /// A signal that is not forwarded asked the CLI to go.
    Killed(i32),
}

/// stdout and stderr with what was delivered of each; outlives one connection.
pub(crate) struct Outputs<'a> {
    stdout: Outlet<'a>,
    stderr: Outlet<'a>,
    /// Bytes of stdout and stderr received so far, over all connections.
    received: [u64; 2],
    /// Bytes of a replayed stream still to be passed over.
    skip: [u64; 2],
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(stdout: BorrowedFd<'a>, stderr: BorrowedFd<'a>) -> Self {
        Self { stdout: Outlet::new(stdout), stderr: Outlet::new(stderr), received: [0; 2], skip: [0; 2] }
    }

    /// The next stream begins at the process's first byte: pass over what was received already.
    pub(crate) fn expect_replay(&mut self) {
        self.skip = self.received;
    }

    fn push(&mut self, stream: StdStream, bytes: &[u8]) {
        let at = usize::from(stream == StdStream::Stderr);
        let passed = self.skip[at].min(bytes.len() as u64);
        self.skip[at] -= passed;
        let new = &bytes[passed as usize..];
        self.received[at] += new.len() as u64;
        if at == 0 { self.stdout.push(new) } else { self.stderr.push(new) }
    }

    fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty()
    }
}

/// One attached stream.
pub(crate) struct Relay<'a, 'o> {
    link: &'a Hijacked,
    demux: Option<Demux>,
    outputs: &'a mut Outputs<'o>,
    /// Absent when stdin is not attached or has ended.
    stdin: Option<Stdin>,
    escape: Option<&'a mut Escape>,
    input: Vec<u8>,
    signals: &'a SignalFd,
    forward: bool,
    control: &'a dyn Control,
}

/// What takes part besides the stream.
pub(crate) struct Sides<'a> {
    pub stdin: bool,
    pub escape: Option<&'a mut Escape>,
    pub signals: &'a SignalFd,
    pub forward: bool,
    pub control: &'a dyn Control,
}

/// What `poll` said, by participant.
#[derive(Default)]
struct Ready {
    readable: bool,
    writable: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    signals: bool,
}

impl<'a, 'o> Relay<'a, 'o> {
    pub(crate) fn new(link: &'a Hijacked, outputs: &'a mut Outputs<'o>, sides: Sides<'a>) -> Self {
        Self {
            link,
            demux: link.multiplexed.then(Demux::new),
            outputs,
            stdin: sides.stdin.then(io::stdin),
            escape: sides.escape,
            input: Vec::new(),
            signals: sides.signals,
            forward: sides.forward,
            control: sides.control,
        }
    }

    /// Moves bytes until there is a reason to stop.
    pub(crate) fn run(mut self) -> io::Result<End> {
        let mut buffer = vec![0; CHUNK];
        let mut open = self.take(&self.link.buffered.clone())?;
        loop {
            if !open && self.outputs.is_empty() {
                return Ok(End::Closed);
            }
            let ready = self.wait(open)?;
            if ready.signals
                && let Some(end) = self.signalled()
            {
                return Ok(end);
            }
            let gone = |reader| reader == Reader::Gone;
            if (ready.stdout && gone(self.outputs.stdout.write_some()))
                || (ready.stderr && gone(self.outputs.stderr.write_some()))
            {
                return Ok(End::ReaderGone);
            }
            if ready.readable {
                match recv(&self.link.stream, &mut buffer[..], RecvFlags::DONTWAIT) {
                    Ok((0, _)) | Err(Errno::CONNRESET) => open = false,
                    Ok((count, _)) => open = self.take(&buffer[..count])?,
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if ready.stdin && self.read_input(&mut buffer)? {
                return Ok(End::Detached);
            }
            if ready.writable {
                self.write_input();
            }
        }
    }

    fn wait(&self, open: bool) -> io::Result<Ready> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(5);
        let signals = add(&mut fds, self.signals.as_fd(), PollFlags::IN);
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, open && self.outputs.is_empty());
        wanted.set(PollFlags::OUT, open && !self.input.is_empty());
        let link = (!wanted.is_empty()).then(|| add(&mut fds, self.link.stream.as_fd(), wanted));
        let stdin = match &self.stdin {
            Some(stdin) if open && self.input.is_empty() => Some(add(&mut fds, stdin.as_fd(), PollFlags::IN)),
            _ => None,
        };
        let out = (!self.outputs.stdout.is_empty()).then(|| add(&mut fds, self.outputs.stdout.fd(), PollFlags::OUT));
        let err = (!self.outputs.stderr.is_empty()).then(|| add(&mut fds, self.outputs.stderr.fd(), PollFlags::OUT));
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let said = |at: Option<usize>| at.map_or(PollFlags::empty(), |at| fds[at].revents());
        let any = |at| !said(at).is_empty();
        let link_said = said(link);
        Ok(Ready {
            readable: wanted.contains(PollFlags::IN)
                && link_said.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR),
            writable: wanted.contains(PollFlags::OUT) && !link_said.difference(PollFlags::IN).is_empty(),
            stdin: any(stdin),
            stdout: any(out),
            stderr: any(err),
            signals: any(Some(signals)),
        })
    }

    fn signalled(&self) -> Option<End> {
        while let Some(received) = self.signals.next() {
            match received.signal {
                SIGWINCH => self.control.resize(),
                number if self.forward => self.control.signal(number),
                number => return Some(End::Killed(number)),
            }
        }
        None
    }

    /// Takes bytes of the engine's stream apart; always true: the stream is open.
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        match &mut self.demux {
            None => self.outputs.push(StdStream::Stdout, bytes),
            Some(demux) => {
                while let Some((stream, piece)) = demux.next(&mut bytes)? {
                    self.outputs.push(stream, piece);
                }
            }
        }
        Ok(true)
    }

    /// Reads stdin; true if the detach keys were in it.
    fn read_input(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let Some(stdin) = &self.stdin else { return Ok(false) };
        match rustix::io::read(stdin, &mut *buffer) {
            Err(Errno::INTR | Errno::AGAIN) => Ok(false),
            // A closed or foreign terminal, a directory: there is no input to be had.
            Ok(0) | Err(_) => {
                self.stdin = None;
                self.end_input();
                Ok(false)
            }
            Ok(count) => {
                let (bytes, detached) = match &mut self.escape {
                    Some(escape) => escape.filter(&buffer[..count]),
                    None => (buffer[..count].to_vec(), false),
                };
                self.input = bytes;
                self.write_input();
                Ok(detached)
            }
        }
    }

    fn write_input(&mut self) {
        match send(&self.link.stream, &self.input, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => drop(self.input.drain(..count)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The process reads no more; its output goes on.
            Err(_) => {
                self.input.clear();
                self.stdin = None;
            }
        }
    }

    fn end_input(&self) {
        // fails only if the engine has closed the stream, which the next read will say
        let _ = self.link.stream.shutdown(Shutdown::Write);
    }
}

/// The place of a descriptor in what is polled.
fn add<'f>(fds: &mut Vec<PollFd<'f>>, fd: BorrowedFd<'f>, flags: PollFlags) -> usize {
    fds.push(PollFd::from_borrowed_fd(fd, flags));
    fds.len() - 1
}
