//! How a command ends: an exit code, and what the user reads on stderr.

use std::io::Write;

use hull_types::{Fault, Kind};

/// The exit code of a command that did what it should.
pub(crate) type Outcome = Result<u8, Failure>;

/// The exit code of one that did not, with the reason (none if it was said already).
#[derive(Debug)]
pub(crate) struct Failure {
    /// The process's exit code.
    pub code: u8,
    /// What is said on stderr.
    pub fault: Option<Fault>,
}

impl Failure {
    /// The command line was wrong: 125, as docker's.
    pub(crate) fn usage(fault: Fault) -> Self {
        Self { code: 125, fault: Some(fault) }
    }

    /// Ends with `code`, nothing more to say.
    pub(crate) fn silent(code: u8) -> Self {
        Self { code, fault: None }
    }

    /// `run` and `start -a`: 127 and 126 if the command could not be executed, else 125.
    pub(crate) fn of_run(fault: Fault) -> Self {
        let code = match fault.kind {
            Kind::CommandNotFound => 127,
            Kind::NotExecutable => 126,
            Kind::Invalid
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::Conflict
            | Kind::NotModified
            | Kind::Unsupported
            | Kind::Unavailable
            | Kind::Internal => 125,
        };
        Self { code, fault: Some(fault) }
    }
}

/// Any other command: 1.
impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self { code: 1, fault: Some(fault) }
    }
}

/// `error:`, `cause:` and `hint:` on stderr.
pub(crate) fn report(fault: &Fault) {
    let mut text = format!("error: {}\n", fault.summary);
    if let Some(cause) = &fault.cause {
        text.push_str(&format!("  cause: {cause}\n"));
    }
    if let Some(hint) = &fault.hint {
        text.push_str(&format!("  hint:  {hint}\n"));
    }
    // stderr may be closed; there is nobody else to tell
    let _ = std::io::stderr().write_all(text.as_bytes());
}
