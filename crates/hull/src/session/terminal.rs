//! The user's terminal: raw while attached, restored on every way out.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

use hull_types::Fault;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Raw mode of stdin's terminal; dropping it restores what was before.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Makes the terminal raw.
    pub(crate) fn enter() -> Result<Self, Fault> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).map_err(|e| Fault::internal("cannot read the terminal's mode").cause(e))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)
            .map_err(|e| Fault::internal("cannot make the terminal raw").cause(e))?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // the terminal may be gone; nothing is left to restore then
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Whether stdin is a terminal.
pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// Rows and columns of the first of stdout, stdin, stderr that is a terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let (stdout, stdin, stderr) = (io::stdout(), io::stdin(), io::stderr());
    let fds: [BorrowedFd<'_>; 3] = [stdout.as_fd(), stdin.as_fd(), stderr.as_fd()];
    fds.into_iter().find_map(|fd| {
        let size = tcgetwinsize(fd).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
    })
}

/// docker's refusal of `-t` with input that is no terminal.
pub(crate) fn require_terminal(stdin: bool, tty: bool) -> Result<(), Fault> {
    if stdin && tty && !stdin_is_terminal() {
        return Err(Fault::invalid("the input device is not a TTY").hint("leave out -t, or run it from a terminal"));
    }
    Ok(())
}
