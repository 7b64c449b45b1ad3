//! The keeper: launches, reaps, holds descriptors, and starts the engine again when it dies.
//!
//! Single-threaded, synchronous, in a mount namespace of its own that holds only what a child needs
//! (`/proc`, `/sys`, a null device), exec'd from a sealed memfd. It knows no containers: a key, a
//! plan, descriptors. Whatever it must not lose it writes before it tells.
//!
//! ```text
//! run ── not sealed ──▶ copy into a memfd, seal, execve ──▶ run
//!  └─ sealed ──▶ lock, listen, own mount namespace ──▶ event loop ──▶ exit
//!                                              ▲            │ Upgrade
//!                                              └─ execve ───┘ (state in a memfd, descriptors kept)
//! ```

mod engine;
mod event_loop;
mod exits;
mod frame;
mod handover;
mod launching;
mod link;
mod outbox;
mod place;
mod protocol;
mod state;

use std::ffi::OsString;
use std::path::PathBuf;

pub use handover::{Handover, start_keeper};
pub use link::{Link, LinkError};
pub use protocol::{Child, ExitRecord, Failure, HeldName, Reply, Request, Seq, TERMINAL, Times};

/// The environment variable with the number of the engine's end of the link.
pub const KEEPER_FD: &str = "HULL_KEEPER_FD";

/// The environment variable with the number of the listening socket.
pub const LISTEN_FD: &str = "HULL_LISTEN_FD";

/// The environment variable with the number of the memfd that holds a keeper's state over `execve`.
pub const STATE_FD: &str = "HULL_KEEPER_STATE_FD";

/// The variable with the group that may connect to the socket, by number or by name.
pub const GROUP: &str = "HULL_GROUP";

/// The null device in the keeper's mount namespace.
pub(crate) const NULL_DEVICE: &str = "/null";

/// The directory of exit records, beneath the run directory.
pub const EXITS: &str = "exits";

/// What the keeper is started with. Across its own `execve`, `main` finds the same arguments again.
#[derive(Clone, Debug)]
pub struct KeeperArgs {
    /// The run directory (made if missing, 0711): `exits/`, `keeper.lock` and `keeper.pid` lie there.
    pub run: PathBuf,
    /// The unix socket the engine answers on.
    pub socket: PathBuf,
    /// The number of the group that [`GROUP`] names, which may connect besides root. The variable is in the environment that the keeper was
    /// first started with, which `main` does not see any more.
    pub socket_group: fn(&str) -> Option<u32>,
    /// The engine's arguments, without the program: it is the keeper's own.
    pub engine: Vec<OsString>,
}

/// Why the keeper cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The kernel refused a call.
    #[error(transparent)]
    Call(#[from] hull_sys::Error),
    /// The run directory is taken.
    #[error("another keeper runs with the run directory {0:?}")]
    AlreadyRunning(PathBuf),
    /// The state that an earlier program left cannot be read.
    #[error("the keeper's state, left by its former program, cannot be read")]
    BadState,
}

/// Runs the keeper. Ends the process: 0 after a stop, 1 if it could not start (said on stderr).
///
/// Must be called in a process with one thread, early in `main`.
pub fn run(args: KeeperArgs) -> ! {
    let status = match start(args) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("hull keeper: {error}");
            1
        }
    };
    std::process::exit(status)
}

fn start(args: KeeperArgs) -> Result<(), KeeperError> {
    if !place::is_sealed()? {
        return Err(place::exec_sealed()?);
    }
    let state = match state::inherited()? {
        state::Inherited::Fresh(environment) => state::Parts::fresh(&args, environment)?,
        state::Inherited::Upgraded(state) => state.restore()?,
    };
    event_loop::Keeper::new(args, state)?.run()
}

/// To the service's log.
fn log(what: &dyn std::fmt::Display) {
    eprintln!("hull keeper: {what}");
}
