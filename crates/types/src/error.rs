//! What can be wrong with a value's text. Each variant quotes the text, cut to a readable length.

use crate::fault::{Fault, Kind};

/// Why a text is not the value it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not 64 lower-case hexadecimal digits.
    #[error("invalid container id {0}: it must have 64 lower-case hexadecimal digits")]
    Id(String),
    /// Outside docker's name grammar.
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    Name(String),
    /// Longer than any file system or screen can show.
    #[error("container name of {0} bytes is too long: the limit is {max} bytes", max = crate::name::MAX_LEN)]
    NameLength(usize),
    /// Not `sha256:` and 64 hexadecimal digits.
    #[error("invalid digest {0}: it must be `sha256:` and 64 lower-case hexadecimal digits")]
    Digest(String),
    /// Outside the reference grammar.
    #[error("invalid reference format: {text}: {why}")]
    Reference {
        /// The reference as given.
        text: String,
        /// Which part is wrong.
        why: &'static str,
    },
    /// Not a number with an optional unit.
    #[error("invalid size: '{0}'")]
    Size(String),
    /// Not a Go duration.
    #[error("time: invalid duration \"{0}\"")]
    Duration(String),
    /// Not `os[/arch[/variant]]`.
    #[error("invalid platform {0}: it must be os, os/arch or os/arch/variant")]
    Platform(String),
    /// No such signal.
    #[error("invalid signal: {0}")]
    Signal(String),
    /// Neither RFC 3339 nor seconds since 1970.
    #[error("invalid time {0}: it must be RFC 3339 or seconds since 1970")]
    Time(String),
}

impl Error {
    /// Every one of these is a mistake in the request.
    pub fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let hint = match &error {
            Error::Size(_) => Some("write a number with an optional unit: b, k, m, g, t, as in 64m"),
            Error::Duration(_) => Some("write numbers with units: ns, us, ms, s, m, h, as in 1m30s"),
            Error::Signal(_) => Some("write a name such as TERM or SIGTERM, or a number from 1 to 64"),
            _ => None,
        };
        let fault = Fault::new(error.kind(), error.to_string());
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

/// The text as an error shows it: at most 64 characters, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        out.push('…');
    }
    out
}
