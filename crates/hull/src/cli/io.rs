//! Writing to stdout: a reader that went away ends the command quietly.

use std::io::{ErrorKind, Write};

use hull_types::Fault;

use super::failure::Failure;

/// Writes `text` to stdout and flushes it.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::silent(0)),
        Err(error) => Err(Fault::internal("cannot write to standard output").cause(error).into()),
    }
}

/// Writes one line to stdout.
pub(crate) fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    print(&format!("{line}\n"))
}
