//! Loading a seccomp filter.

use rustix::io::Errno;

use crate::error::{Error, Named, Result, check};

const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;

/// Loads a classic BPF program: each word is a packed `struct sock_filter`, native endian. The
/// caller needs no-new-privileges or `CAP_SYS_ADMIN` in its user namespace.
pub fn load(program: &[u64], flags: u32) -> Result<()> {
    let describe = || format!("seccomp(SET_MODE_FILTER, {} instructions, {flags:#x})", program.len());
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(Error::new(describe(), Errno::INVAL));
    };
    let header = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: sock_filter is 8 bytes with alignment 4; `header` describes `program`, which the
    // kernel only reads.
    let result = check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const header) });
    match result {
        // With TSYNC the kernel answers the thread that refused; it is not asked for here.
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::new(describe(), Errno::INVAL)),
        Err(errno) => Err(errno).named(describe),
    }
}
