//! [`Fault`]: what a user reads when something cannot be done.
//!
//! Each crate has its own error enum; the engine turns it into a `Fault` once, at its edge. A front
//! end maps [`Kind`] to an HTTP status, a gRPC code or an exit code, exhaustively, in one file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What class of refusal this is. Front ends map it exhaustively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The request itself is wrong (HTTP 400).
    Invalid,
    /// The caller may not do this (HTTP 403).
    Forbidden,
    /// The named object does not exist (HTTP 404).
    NotFound,
    /// The object is in a state that forbids this (HTTP 409).
    Conflict,
    /// The object already is as asked (HTTP 304).
    NotModified,
    /// hull does not support this option or operation (HTTP 501).
    Unsupported,
    /// Something needed is temporarily absent (HTTP 503).
    Unavailable,
    /// The container's command could not be executed: exit code 126 (HTTP 400).
    NotExecutable,
    /// The container's command was not found: exit code 127 (HTTP 400).
    CommandNotFound,
    /// The kernel or the disk refused; the user did nothing wrong (HTTP 500).
    Internal,
}

/// A refusal in the user's words: one sentence, the cause below it, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The class of refusal.
    pub kind: Kind,
    /// One sentence without a full stop, lower case, operands in backticks.
    pub summary: String,
    /// The underlying error, as its source printed it.
    pub cause: Option<String>,
    /// What the user can do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault with neither cause nor hint.
    pub fn new(kind: Kind, summary: impl Into<String>) -> Self {
        Self { kind, summary: summary.into(), cause: None, hint: None }
    }

    /// Shorthand for [`Kind::Invalid`].
    pub fn invalid(summary: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, summary)
    }

    /// Shorthand for [`Kind::NotFound`].
    pub fn not_found(summary: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, summary)
    }

    /// Shorthand for [`Kind::Conflict`].
    pub fn conflict(summary: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, summary)
    }

    /// Shorthand for [`Kind::Unsupported`].
    pub fn unsupported(summary: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, summary)
    }

    /// Shorthand for [`Kind::Internal`].
    pub fn internal(summary: impl Into<String>) -> Self {
        Self::new(Kind::Internal, summary)
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.summary)?;
        if let Some(cause) = &self.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
