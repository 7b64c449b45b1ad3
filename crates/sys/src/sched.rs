//! How the kernel schedules the calling thread: `sched_setattr`, `ioprio_set`, `sched_setaffinity`, and its
//! `personality`.

use crate::error::{Error, Named, Result, check};

/// `struct sched_attr`, first version (linux/sched/types.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SchedAttr {
    /// The structure's size; filled in by [`set_scheduler`].
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// Nice value.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// Nanoseconds, `SCHED_DEADLINE` only.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// `sched_setattr` of the caller.
pub fn set_scheduler(mut attr: SchedAttr) -> Result<()> {
    attr.size = size_of::<SchedAttr>() as u32;
    // SAFETY: the kernel reads `size` bytes of `attr`.
    let result = check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) });
    result.map(drop).named(|| format!("sched_setattr({attr:?})"))
}

/// `ioprio_set` of the caller.
pub fn set_io_priority(class: u16, level: u16) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    let value = u32::from(class) << 13 | u32::from(level);
    // SAFETY: integers only.
    let result = check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) });
    result.map(drop).named(|| format!("ioprio_set(class {class}, level {level})"))
}

/// `personality`.
pub fn set_personality(persona: u32) -> Result<()> {
    // SAFETY: an integer only.
    check(i64::from(unsafe { libc::personality(libc::c_ulong::from(persona)) }))
        .map(drop)
        .named(|| format!("personality({persona:#x})"))
}

/// `sched_setaffinity` of the caller.
pub fn set_affinity(cpus: &[u32]) -> Result<()> {
    let describe = || format!("sched_setaffinity({cpus:?})");
    let mut words = vec![0u64; cpus.iter().max().map_or(1, |last| *last as usize / 64 + 1)];
    for cpu in cpus {
        if *cpu >= 1 << 16 {
            return Err(Error::new(describe(), rustix::io::Errno::INVAL));
        }
        words[*cpu as usize / 64] |= 1 << (cpu % 64);
    }
    // SAFETY: length and pointer describe `words`.
    let result = check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, words.len() * 8, words.as_ptr()) });
    result.map(drop).named(describe)
}
