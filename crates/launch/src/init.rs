//! `--init`: a process that stays PID 1 and does what a first process must: it reaps orphans,
//! forwards signals to the command, and exits as the command exits.
//!
//! It is the child itself, not a program of its own: nothing is copied into the container. It keeps
//! no descriptor open, has the container's identity, capabilities and filter, and its memory holds
//! no other container's secrets (the keeper wipes plans once they are launched).

use std::os::fd::BorrowedFd;

use hull_sys::cells::Cells;
use hull_sys::process;
use hull_sys::{Result, caps, fds, pty, signals};

const SIGCHLD: i32 = 17;
const SIGTTIN: i32 = 21;
const SIGTTOU: i32 = 22;

/// Forks. Returns in the command-to-be, which goes on to `execve`; the other one is init from now on
/// and never returns.
pub(crate) fn start(cells: &Cells) -> Result<()> {
    // ORDER: blocked before the fork, so that no signal is lost between it and the first wait.
    signals::block_all();
    // ORDER: before the fork, so that the command never sees its parent under another name.
    _ = caps::set_name(c"hull-init");
    // ORDER: behind the limits, which may leave no descriptor for more than a plain fork.
    match process::fork_single_threaded()? {
        None => {
            foreground();
            signals::reset_mask_and_pipe();
            Ok(())
        }
        Some(pid) => {
            cells.leave();
            // ORDER: the report socket too, or the keeper would never see it end.
            _ = fds::close_all();
            run(pid.as_raw_nonzero().get())
        }
    }
}

/// The command gets a process group of its own, in front if there is a terminal, as a shell would do.
fn foreground() {
    if rustix::process::setpgid(None, None).is_err() {
        return;
    }
    // SAFETY-free: fd 0 is this process's standard input.
    let stdin: BorrowedFd<'_> = rustix::stdio::stdin();
    if rustix::termios::isatty(stdin) {
        _ = pty::take_foreground(stdin);
    }
}

fn run(command: i32) -> ! {
    loop {
        match signals::wait() {
            SIGCHLD => reap(command),
            // The terminal's complaint about init itself.
            SIGTTIN | SIGTTOU => {}
            signal => _ = signals::kill(command, signal),
        }
    }
}

/// Reaps all that have exited; if the command is among them, exits as it did.
fn reap(command: i32) {
    while let Ok(Some((pid, status))) = process::reap() {
        if pid.as_raw_nonzero().get() == command {
            process::exit_now(process::exit_code(status));
        }
    }
}
