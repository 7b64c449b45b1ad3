//! Signals of the CLI while it is attached: forwarded, or used to leave in good order.

use hull_sys::signals::SignalFd;
use hull_types::{Fault, Signal};

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGTERM: i32 = 15;
pub(crate) const SIGWINCH: i32 = 28;

/// Never forwarded: not catchable, our own faults, the terminal's job control, or about the CLI itself.
/// ILL TRAP ABRT BUS FPE KILL SEGV PIPE CHLD STOP TTIN TTOU URG WINCH, and glibc's 32 and 33.
const OWN: [i32; 16] = [4, 5, 6, 7, 8, 9, 11, 13, 17, 19, 21, 22, 23, SIGWINCH, 32, 33];

/// The signals to take through a descriptor.
pub(crate) fn open(forward: bool) -> Result<SignalFd, Fault> {
    let mut wanted = vec![SIGWINCH];
    if forward {
        wanted.extend((1..=64).filter(|signal| !OWN.contains(signal)));
    } else {
        wanted.extend([SIGHUP, SIGINT, SIGQUIT, SIGTERM]);
    }
    SignalFd::new(&wanted).map_err(|e| Fault::internal("cannot receive signals").cause(e))
}

/// The name that the API takes.
pub(crate) fn name(signal: i32) -> String {
    Signal::from_number(signal).map_or_else(|_| signal.to_string(), |signal| signal.to_string())
}
