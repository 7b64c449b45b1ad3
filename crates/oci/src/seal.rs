//! CVE-2019-5736: the process that enters a container runs a program that the container cannot write.
//!
//! The program is run again from a detached, read-only clone of the mount that it lies on. A container that opens
//! `/proc/PID/exe` gets a file of that mount; the mount itself is gone from every namespace once the descriptor
//! is closed, so nobody can make it writable again. Where the kernel lacks the calls: from a sealed copy in memory.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use hull_sys::mount::{self, SetAttr};
use hull_sys::process::{self, Vector};
use hull_sys::{Error, Named, Result, memfd};
use rustix::fs::{Mode, OFlags, StatVfsMountFlags};

const PROGRAM: &str = "/proc/self/exe";
const RDONLY: u64 = 0x1;

/// Returns once this process runs such a program.
pub fn enter() -> Result<()> {
    let flags = rustix::fs::statvfs(PROGRAM).named(|| format!("statvfs({PROGRAM:?})"))?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    match read_only() {
        Ok(program) => Err(again(&program)),
        Err(_) => {
            let program = open()?;
            if memfd::is_sealed(&program) {
                return Ok(());
            }
            Err(again(&memfd::sealed_copy("hull-oci", std::fs::File::from(program))?))
        }
    }
}

fn read_only() -> Result<OwnedFd> {
    let clone = mount::clone_at(Path::new(PROGRAM), false)?;
    mount::set_attributes(&clone, SetAttr { set: RDONLY, ..SetAttr::default() })?;
    Ok(clone)
}

fn open() -> Result<OwnedFd> {
    rustix::fs::open(PROGRAM, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).named(|| format!("open({PROGRAM:?})"))
}

/// The same arguments and environment. Returns only the error.
fn again(program: &OwnedFd) -> Error {
    let argv = std::env::args_os().map(|arg| c_string(arg.into_vec())).collect();
    let env = std::env::vars_os().map(|(name, value)| {
        let mut pair = name.into_vec();
        pair.push(b'=');
        pair.extend(value.into_vec());
        c_string(pair)
    });
    let errno = process::fexecve(program.as_fd(), &Vector::new(argv), &Vector::new(env.collect()));
    Error::new("execveat(read-only program)", errno)
}

/// What `execve` brought holds no NUL.
fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).unwrap_or_default()
}
