//! Loading a seccomp filter.

use rustix::io::Errno;

use crate::error::{Error, Named, Result, check};

const SECCOMP_SET_MODE_FILTER: libc::c_uint = 1;

/// Loads a classic BPF program: each word is a packed `struct sock_filter`, native endian. The
/// caller needs no-new-privileges or `CAP_SYS_ADMIN` in its user namespace.
pub fn load(program: &[u64], flags: u32) -> Result<()> {
    match set_filter(program, flags)? {
        // With TSYNC the kernel answers the thread that refused; it is not asked for here.
        0 => Ok(()),
        _ => Err(Error::new(describe(program, flags), Errno::INVAL)),
    }
}

/// As [`load`], with `SECCOMP_FILTER_FLAG_NEW_LISTENER` among the flags: the listener's number. It is not
/// wrapped, since the filter may stop any call that this process makes with it.
pub fn load_with_listener(program: &[u64], flags: u32) -> Result<i32> {
    Ok(set_filter(program, flags)? as i32)
}

fn describe(program: &[u64], flags: u32) -> String {
    format!("seccomp(SET_MODE_FILTER, {} instructions, {flags:#x})", program.len())
}

fn set_filter(program: &[u64], flags: u32) -> Result<i64> {
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(Error::new(describe(program, flags), Errno::INVAL));
    };
    let header = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: sock_filter is 8 bytes with alignment 4; `header` describes `program`, which the
    // kernel only reads.
    let result = check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const header) });
    result.named(|| describe(program, flags))
}
