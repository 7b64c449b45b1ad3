//! Capability sets of the calling thread, as bit sets, and the other attributes that `prctl` keeps.

use rustix::io::Errno;

use crate::error::{Error, Named, Result, check};

/// The permitted, effective and inheritable sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// Effective.
    pub effective: u64,
    /// Permitted.
    pub permitted: u64,
    /// Inheritable.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION_3: u32 = 0x2008_0522;

/// `capget` of the caller.
pub fn get() -> Result<Sets> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 writes two data words.
    let result = check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) });
    result.named(|| "capget()".to_owned())?;
    let join = |of: fn(&Data) -> u32| u64::from(of(&data[0])) | u64::from(of(&data[1])) << 32;
    Ok(Sets {
        effective: join(|d| d.effective),
        permitted: join(|d| d.permitted),
        inheritable: join(|d| d.inheritable),
    })
}

/// `capset` of the caller.
pub fn set(sets: Sets) -> Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let word = |shift: u32| Data {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let data = [word(0), word(32)];
    // SAFETY: version 3 reads two data words.
    let result = check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) });
    result.map(drop).named(|| {
        format!(
            "capset(effective {:#x}, permitted {:#x}, inheritable {:#x})",
            sets.effective, sets.permitted, sets.inheritable
        )
    })
}

fn prctl(option: i32, a: u64, b: u64) -> rustix::io::Result<i64> {
    // SAFETY: only options that take integers are passed by this module.
    check(i64::from(unsafe { libc::prctl(option, a, b, 0u64, 0u64) }))
}

/// Drops from the bounding set all that `keep` does not contain.
pub fn limit_bounding(keep: u64) -> Result<()> {
    for capability in 0..64 {
        if keep & (1 << capability) != 0 {
            continue;
        }
        // Dropping what is not there succeeds; past the last capability the number is refused.
        match prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Err(Errno::INVAL) => break,
            result => _ = result.named(|| format!("prctl(PR_CAPBSET_DROP, {capability})"))?,
        }
    }
    Ok(())
}

/// The highest capability that the running kernel knows.
pub fn last() -> u32 {
    (0..64).take_while(|c| prctl(libc::PR_CAPBSET_READ, *c, 0).is_ok()).last().unwrap_or(0) as u32
}

/// Makes the ambient set exactly `wanted` (its bits must be permitted and inheritable).
pub fn set_ambient(wanted: u64) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)
        .named(|| "prctl(PR_CAP_AMBIENT_CLEAR_ALL)".to_owned())?;
    for capability in (0..64).filter(|c| wanted & (1 << c) != 0) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, capability)
            .named(|| format!("prctl(PR_CAP_AMBIENT_RAISE, {capability})"))?;
    }
    Ok(())
}

/// Keeps the permitted set over the change of uid that follows (`PR_SET_KEEPCAPS`).
pub fn keep_over_setuid() -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop).named(|| "prctl(PR_SET_KEEPCAPS)".to_owned())
}

/// `PR_SET_NO_NEW_PRIVS`.
pub fn set_no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop).named(|| "prctl(PR_SET_NO_NEW_PRIVS)".to_owned())
}

/// `PR_SET_DUMPABLE`: whether processes with the same ids may trace this one and see its `/proc`.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, u64::from(dumpable), 0)
        .map(drop)
        .named(|| format!("prctl(PR_SET_DUMPABLE, {dumpable})"))
}

/// `PR_SET_NAME`, at most 15 bytes.
pub fn set_name(name: &std::ffi::CStr) -> Result<()> {
    // SAFETY: a NUL-terminated string; the kernel copies at most 16 bytes of it.
    let result = unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0u64, 0u64, 0u64) };
    check(i64::from(result)).map(drop).named(|| format!("prctl(PR_SET_NAME, {name:?})"))
}

/// The caller becomes the reaper of its orphaned descendants (`PR_SET_CHILD_SUBREAPER`).
pub fn set_subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).map(drop).named(|| "prctl(PR_SET_CHILD_SUBREAPER)".to_owned())
}

/// `setgroups`, `setresgid`, `setresuid` of the calling thread (raw calls: no other thread changes).
pub fn set_identity(uid: u32, gid: u32, groups: &[u32]) -> Result<()> {
    // (id_t)-1 means "leave as it is" to the kernel: it can never be asked for.
    if uid == u32::MAX || gid == u32::MAX || groups.contains(&u32::MAX) {
        return Err(Error::new(format!("setresuid({uid}), setresgid({gid})"), Errno::INVAL));
    }
    // SAFETY: the length is that of the slice.
    let result = check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) });
    result.named(|| format!("setgroups({groups:?})"))?;
    // SAFETY: integers only.
    let result = check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) });
    result.named(|| format!("setresgid({gid})"))?;
    // SAFETY: integers only.
    let result = check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) });
    result.map(drop).named(|| format!("setresuid({uid})"))
}

/// `setfsgid`, `setfsuid` of the calling thread: the ids with which it makes files. Unlike the bare
/// calls, the effective capabilities stay.
pub fn set_fs_identity(uid: u32, gid: u32) -> Result<()> {
    let before = get()?;
    for (call, name, id) in [(libc::SYS_setfsgid, "setfsgid", gid), (libc::SYS_setfsuid, "setfsuid", uid)] {
        // SAFETY: integers only. The call answers with the old id, whether it did anything or not; a
        // second one with an impossible id changes nothing and so tells.
        let now = unsafe {
            libc::syscall(call, id);
            libc::syscall(call, u32::MAX)
        };
        if now != i64::from(id) {
            return Err(Error::new(format!("{name}({id})"), Errno::PERM));
        }
    }
    set(before)
}
