//! The size of terminals.

use std::os::fd::OwnedFd;
use std::sync::PoisonError;

use hull_types::Fault;
use rustix::termios::Winsize;

use crate::container::Container;
use crate::core::Core;
use crate::error::Error;

/// Sets a terminal's size; its foreground process gets SIGWINCH.
pub(crate) fn apply(master: &OwnedFd, height: u16, width: u16) -> Result<(), Fault> {
    let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master, size)
        .map_err(|source| Fault::from(Error::System { call: format!("ioctl TIOCSWINSZ {height}x{width}"), source }))
}

/// Of a container: now if it runs, else from its next start on.
pub(crate) fn container(core: &Core, container: &Container, height: u16, width: u16) -> Result<(), Fault> {
    let view = container.view();
    // COMPAT(docker 28): nothing happens where there is no terminal.
    if !view.definition.config.tty {
        return Ok(());
    }
    *container.terminal.lock().unwrap_or_else(PoisonError::into_inner) = (height, width);
    match container.live().as_deref().and_then(|live| live.master.as_ref()) {
        Some(master) => apply(master, height, width)?,
        None => return Ok(()),
    }
    core.announce(&view.definition, "resize", &[("height", height.to_string()), ("width", width.to_string())]);
    Ok(())
}
