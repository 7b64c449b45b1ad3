//! A foreground command between its caller and its process: signals go in, the terminal goes both ways, the exit
//! code comes out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_sys::signals::SignalFd;
use hull_sys::{pidfd, process};
use rustix::event::{PollFd, PollFlags};
use rustix::process::Pid;
use rustix::termios::{OptionalActions, Termios};

use crate::error::Result;

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;
/// Not forwarded: they are about this process, or cannot be caught. SIGURG is Go's own, and runc leaves it out.
const OWN: [i32; 7] = [SIGCHLD, 9, 19, 23, 21, 22, 13];

/// Signals are kept for the process from here on. Before it is cloned: none is lost.
pub fn catch() -> Result<SignalFd> {
    let all: Vec<i32> = (1..=64).filter(|signal| !matches!(signal, 9 | 19 | 13 | 32 | 33)).collect();
    Ok(SignalFd::new(&all)?)
}

/// Waits for the process to end, relaying meanwhile. Returns its raw wait status.
pub fn attend(pid: i32, process: BorrowedFd<'_>, signals: &SignalFd, master: Option<OwnedFd>) -> i32 {
    let terminal = master.map(Relay::new);
    let mut relay = terminal;
    loop {
        if let Some(relay) = &mut relay {
            relay.move_waiting();
        }
        if wait(process, signals, relay.as_ref()) {
            break;
        }
        while let Some(signal) = signals.next() {
            forward(process, signal.signal, relay.as_ref());
        }
    }
    if let Some(relay) = &mut relay {
        relay.drain();
    }
    Pid::from_raw(pid).and_then(|pid| process::wait_for(pid).ok()).unwrap_or(0)
}

/// Until something is to be done; whether the process has ended.
fn wait(process: BorrowedFd<'_>, signals: &SignalFd, relay: Option<&Relay>) -> bool {
    let mut fds = vec![PollFd::new(&process, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
    let stdin = rustix::stdio::stdin();
    if let Some(relay) = relay {
        fds.push(PollFd::new(&relay.master, PollFlags::IN));
        if !relay.stdin_ended {
            fds.push(PollFd::new(&stdin, PollFlags::IN));
        }
    }
    _ = rustix::event::poll(&mut fds, None);
    !fds[0].revents().is_empty()
}

fn forward(process: BorrowedFd<'_>, signal: i32, relay: Option<&Relay>) {
    if signal == SIGWINCH
        && let Some(relay) = relay
    {
        return relay.copy_size();
    }
    if !OWN.contains(&signal) {
        _ = pidfd::send_signal(process, signal);
    }
}

/// The caller's terminal, raw, and the container's.
struct Relay {
    master: OwnedFd,
    before: Option<Termios>,
    stdin_ended: bool,
}

impl Relay {
    fn new(master: OwnedFd) -> Self {
        let stdin = rustix::stdio::stdin();
        let before = rustix::termios::tcgetattr(stdin).ok();
        if let Some(mut raw) = before.clone() {
            raw.make_raw();
            _ = rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw);
        }
        let relay = Self { master, before, stdin_ended: false };
        relay.copy_size();
        relay
    }

    fn copy_size(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
            _ = rustix::termios::tcsetwinsize(&self.master, size);
        }
    }

    /// Whatever can be read now, in both directions.
    fn move_waiting(&mut self) {
        if readable(self.master.as_fd()) {
            _ = copy(self.master.as_fd(), rustix::stdio::stdout());
        }
        let stdin = rustix::stdio::stdin();
        if !self.stdin_ended && readable(stdin) {
            match copy(stdin, self.master.as_fd()) {
                Some(n) if n > 0 => {}
                _ => self.stdin_ended = true,
            }
        }
    }

    /// What the process had still written.
    fn drain(&mut self) {
        while readable(self.master.as_fd()) && copy(self.master.as_fd(), rustix::stdio::stdout()).is_some_and(|n| n > 0)
        {
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            _ = rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&zero)).is_ok_and(|n| n > 0) && fds[0].revents().contains(PollFlags::IN)
}

fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Option<usize> {
    let mut buffer = [0u8; 16 << 10];
    let n = rustix::io::read(from, &mut buffer).ok()?;
    let mut rest = &buffer[..n];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                _ = rustix::event::poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(_) => return None,
        }
    }
    Some(n)
}
