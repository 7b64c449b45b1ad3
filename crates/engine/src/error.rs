//! What the engine itself refuses, in docker's words where clients match on them.

use hull_types::{Fault, Kind};

use crate::container::step::Refusal;

/// A refusal of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No container has this name or id.
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    /// More than one id begins so.
    #[error("Multiple IDs found with provided prefix: {0}")]
    AmbiguousId(String),
    /// The name is taken.
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to remove (or \
         rename) that container to be able to reuse that name."
    )]
    NameInUse {
        /// The name.
        name: String,
        /// The id of the container that has it.
        owner: String,
    },
    /// The container's state forbids it.
    #[error("{}", refusal_text(*why, name, id))]
    Refused {
        /// What forbids it.
        why: RefusalKind,
        /// The container's name.
        name: String,
        /// The container's id.
        id: String,
    },
    /// No exec has this id.
    #[error("No such exec instance: {0}")]
    NoSuchExec(String),
    /// The exec was already started.
    #[error("Exec command {0} is already running")]
    ExecStarted(String),
    /// The exec has ended.
    #[error("Exec command {0} has already run")]
    ExecOver(String),
    /// The process that was meant is not there.
    #[error("exec {0} is not running")]
    ExecNotRunning(String),
    /// `none` keeps nothing to read.
    #[error("configured logging driver does not support reading")]
    LogsNotKept,
    /// Neither stdout nor stderr was chosen.
    #[error("Bad parameters: you must choose at least one stream")]
    NoStream,
    /// The detach keys cannot be read.
    #[error("Invalid detach keys ({0}) provided")]
    DetachKeys(String),
    /// The keeper is gone or does not answer.
    #[error("the keeper does not answer")]
    KeeperGone {
        /// What was attempted.
        cause: String,
    },
    /// The container's task ended before it answered.
    #[error("the container was removed meanwhile")]
    Removed,
    /// A file system operation of the engine itself failed.
    #[error("{attempt} {path}: {source}")]
    File {
        /// The verb.
        attempt: &'static str,
        /// The file.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A system call of the engine itself failed.
    #[error("{call}: {source}")]
    System {
        /// The call with its operands.
        call: String,
        /// What the kernel said.
        source: rustix::io::Errno,
    },
    /// `top` got options that it does not know.
    #[error("ps option `{0}` is not supported")]
    PsOption(String),
}

/// Why a container's state forbids what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusalKind(pub(crate) Refusal);

fn refusal_text(why: RefusalKind, name: &str, id: &str) -> String {
    match why.0 {
        Refusal::AlreadyStarted => format!("container {name} is already started"),
        Refusal::AlreadyStopped => format!("container {name} is already stopped"),
        Refusal::NotRunning => format!("container {id} is not running"),
        Refusal::NotPaused => format!("Container {id} is not paused"),
        Refusal::AlreadyPaused => format!("Container {id} is already paused"),
        Refusal::PausedCannotStart => "cannot start a paused container, try unpause instead".to_owned(),
        Refusal::Restarting => format!("Container {id} is restarting, wait until the container is running"),
        Refusal::Busy => format!("Container {id} is starting or stopping, try again"),
        Refusal::RemoveRunning => format!(
            "cannot remove container \"{name}\": container is running: stop the container before removing or force \
             remove"
        ),
        Refusal::RemovePaused => {
            format!("cannot remove container \"{name}\": container is paused and must be unpaused first")
        }
        Refusal::RemoveRestarting => format!(
            "cannot remove container \"{name}\": container is restarting: stop the container before removing or \
             force remove"
        ),
        Refusal::RemovalInProgress => format!("removal of container {name} is already in progress"),
    }
}

impl Error {
    /// The class of this error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchContainer(_) | Self::NoSuchExec(_) => Kind::NotFound,
            Self::AmbiguousId(_) | Self::NoStream | Self::DetachKeys(_) | Self::PsOption(_) => Kind::Invalid,
            Self::Refused { why, .. } => match why.0 {
                Refusal::AlreadyStarted | Refusal::AlreadyStopped => Kind::NotModified,
                _ => Kind::Conflict,
            },
            Self::NameInUse { .. }
            | Self::ExecStarted(_)
            | Self::ExecOver(_)
            | Self::ExecNotRunning(_)
            | Self::Removed => Kind::Conflict,
            Self::LogsNotKept => Kind::Unsupported,
            Self::KeeperGone { .. } => Kind::Unavailable,
            Self::File { .. } | Self::System { .. } => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Self::new(error.kind(), error.to_string());
        match error {
            Error::KeeperGone { cause } => {
                fault.cause(cause).hint("`hull engine status` shows whether it runs; starting the engine starts it")
            }
            Error::PsOption(_) => {
                fault.hint("use the format of `ps -ef`, or `-o` with column names such as pid,user,args")
            }
            Error::AmbiguousId(_) => fault.hint("write more digits of the id"),
            _ => fault,
        }
    }
}
