//! The error of this crate: a system call with its operands, and what the kernel answered.

use hull_types::{Fault, Kind};
use rustix::io::Errno;

use crate::errno::errno_text;

/// A system call that failed. Prints as `openat2("/etc/passwd", O_RDONLY): no such file or directory`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {}", errno_text(*.errno))]
pub struct Error {
    /// The call with its operands.
    pub call: String,
    /// What the kernel answered.
    pub errno: Errno,
}

/// The result of a system call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `call`.
    pub fn new(call: impl Into<String>, errno: Errno) -> Self {
        Self { call: call.into(), errno }
    }

    /// The class of refusal that this errno usually is.
    pub fn kind(&self) -> Kind {
        match self.errno {
            Errno::NOENT => Kind::NotFound,
            Errno::NOSYS | Errno::OPNOTSUPP => Kind::Unsupported,
            Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::AGAIN => Kind::Unavailable,
            _ => Kind::Internal,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        Self::new(kind, error.to_string())
    }
}

/// Adds the call to the kernel's answer. The text is only made when the call failed.
pub trait Named<T> {
    /// Names the call, with operands.
    fn named(self, call: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Named<T> for rustix::io::Result<T> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error { call: call(), errno })
    }
}

impl<T> Named<T> for std::io::Result<T> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error { call: call(), errno: Errno::from_io_error(&error).unwrap_or(Errno::IO) })
    }
}

/// Turns the result of `libc::syscall` into a `Result`.
pub(crate) fn check(result: libc::c_long) -> rustix::io::Result<libc::c_long> {
    if result < 0 {
        // SAFETY: errno is thread-local and was just set by the failed call.
        let errno = unsafe { *libc::__errno_location() };
        Err(Errno::from_raw_os_error(errno))
    } else {
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_the_call_with_its_operands() {
        let error = Error::new("openat2(\"/x\")", Errno::NOENT);
        assert_eq!(error.to_string(), "openat2(\"/x\"): no such file or directory");
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(Error::new("clone3()", Errno::AGAIN).kind(), Kind::Unavailable);
    }
}
