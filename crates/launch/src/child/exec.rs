//! The last step: `execve`, tried on each candidate, and what to say when none runs.

use std::ffi::CStr;

use hull_sys::Error;
use hull_sys::process::{self, Vector};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{CELL_EXEC, Child};
use crate::plan::STEP_EXEC;

/// How much of a file that would not run is reported: enough for `#!` lines and ELF headers.
const HEAD: usize = 1024;

/// The refusal worth reporting so far.
struct Refusal<'a> {
    path: &'a CStr,
    errno: Errno,
    rank: u8,
}

impl Child<'_> {
    /// Becomes the command (or its init), or reports why not.
    pub(super) fn execute(&mut self) {
        let exec = &self.given.plan.exec;
        let (argv, env) = (Vector::new(exec.argv.clone()), Vector::new(exec.env.clone()));
        if self.init {
            match crate::init::start(self.given.cells) {
                Ok(()) => {}
                Err(error) => return self.fail(&error, None),
            }
        }
        self.given.cells.set(self.given.cell, CELL_EXEC);
        let refusal = try_candidates(&exec.candidates, &argv, &env);
        self.given.cells.set(self.given.cell, STEP_EXEC - 1);
        let error = Error::new(format!("execve({:?})", refusal.path), refusal.errno);
        let file = (refusal.path.to_bytes().to_vec(), head(refusal.path));
        self.fail(&error, Some(file));
    }
}

/// Whether a command is there that this process may execute, by the rules of [`try_candidates`]: so that a
/// missing one is known before anybody waits for it.
pub(super) fn find(candidates: &[std::ffi::CString]) -> Result<(), Error> {
    let mut worst = (Errno::NOENT, c"");
    for path in candidates {
        let access = rustix::fs::Access::EXEC_OK;
        match rustix::fs::accessat(CWD, path.as_c_str(), access, rustix::fs::AtFlags::EACCESS) {
            Ok(()) if is_directory(path) => worst = (Errno::ACCESS, path),
            Ok(()) => return Ok(()),
            // KERNEL(5.8): without faccessat2 only execve can tell.
            Err(Errno::NOSYS | Errno::PERM) => return Ok(()),
            Err(errno) if worst.0 == Errno::NOENT => worst = (errno, path),
            Err(_) => {}
        }
    }
    Err(Error::new(format!("access({:?}, X_OK)", worst.1), worst.0))
}

fn is_directory(path: &CStr) -> bool {
    rustix::fs::stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// As execvp(3): a missing file goes on, a forbidden one is remembered and goes on, all else ends it.
/// A file that exists while its interpreter does not is `ENOENT`, too: it is preferred in the report.
fn try_candidates<'a>(candidates: &'a [std::ffi::CString], argv: &Vector, env: &Vector) -> Refusal<'a> {
    let mut worst = Refusal { path: c"", errno: Errno::NOENT, rank: 0 };
    for path in candidates {
        let errno = process::execve(path, argv, env);
        let rank = match errno {
            Errno::ACCESS => 3,
            Errno::NOENT if rustix::fs::stat(path.as_c_str()).is_ok() => 2,
            Errno::NOENT | Errno::NOTDIR => 1,
            errno => return Refusal { path, errno, rank: 4 },
        };
        if rank > worst.rank {
            worst = Refusal { path, errno, rank };
        }
    }
    worst
}

/// The first bytes of a regular file; empty if it cannot be read.
fn head(path: &CStr) -> Vec<u8> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::openat(CWD, path, flags, Mode::empty()) else {
        return Vec::new();
    };
    let regular =
        rustix::fs::fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !regular {
        return Vec::new();
    }
    let mut bytes = vec![0; HEAD];
    let n = rustix::io::read(&file, &mut bytes).unwrap_or(0);
    bytes.truncate(n);
    bytes
}
