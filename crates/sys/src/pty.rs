//! Pseudo-terminals, checked by descriptor (`TIOCGPTPEER`), never by name.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::error::{Error, Named, Result, check};
use crate::resolve::open_in_root;

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS_SUPER_MAGIC: rustix::fs::FsWord = 0x1cd1;

/// A new terminal of the devpts beneath `root`: master and peer. That it is devpts is verified.
pub fn open_in(root: impl AsFd) -> Result<(OwnedFd, OwnedFd)> {
    let master = open_in_root(root, "/dev/pts/ptmx", OFlags::RDWR | OFlags::NOCTTY)?;
    let describe = || "fstatfs(\"/dev/pts/ptmx\")".to_owned();
    if rustix::fs::fstatfs(&master).named(describe)?.f_type != DEVPTS_SUPER_MAGIC {
        return Err(Error::new("devpts expected at \"/dev/pts/ptmx\"", Errno::NOTTY));
    }
    rustix::pty::unlockpt(&master).named(|| "ioctl(TIOCSPTLCK)".to_owned())?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let peer = rustix::pty::ioctl_tiocgptpeer(&master, flags).named(|| "ioctl(TIOCGPTPEER)".to_owned())?;
    Ok((master, peer))
}

/// `TIOCSWINSZ`; zeroes are left out.
pub fn set_size(terminal: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    if rows == 0 && columns == 0 {
        return Ok(());
    }
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).named(|| format!("ioctl(TIOCSWINSZ, {rows} rows, {columns} columns)"))
}

/// Makes the terminal the controlling one of the caller's session (`TIOCSCTTY`).
pub fn make_controlling(terminal: impl AsFd) -> Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    check(i64::from(result)).map(drop).named(|| "ioctl(TIOCSCTTY)".to_owned())
}

/// Makes the caller's process group the foreground one of the terminal; SIGTTOU must be blocked.
pub fn take_foreground(terminal: impl AsFd) -> Result<()> {
    rustix::termios::tcsetpgrp(terminal, rustix::process::getpgrp()).named(|| "tcsetpgrp()".to_owned())
}
