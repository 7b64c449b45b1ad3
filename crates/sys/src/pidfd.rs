//! Processes as descriptors.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};

use crate::error::{Error, Named, Result, check};

/// `pidfd_open`. Only a process (not a thread) can be named.
pub fn open(pid: Pid) -> Result<OwnedFd> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).named(|| format!("pidfd_open({})", pid.as_raw_nonzero()))
}

/// `pidfd_send_signal`, with any signal number (0 only checks).
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> Result<()> {
    // SAFETY: a null siginfo means that the kernel fills it in as kill(2) does.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    });
    result.map(drop).named(|| format!("pidfd_send_signal({signal})"))
}

/// `pidfd_getfd`: a duplicate of a descriptor of that process.
pub fn take(pidfd: impl AsFd, number: i32) -> Result<OwnedFd> {
    rustix::process::pidfd_getfd(pidfd, number, rustix::process::PidfdGetfdFlags::empty())
        .named(|| format!("pidfd_getfd({number})"))
}

/// `struct pidfd_info` of linux/pidfd.h, first version.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::c_ulong = (3 << 30) | ((size_of::<PidfdInfo>() as libc::c_ulong) << 16) | (0xFF << 8) | 11;

/// The raw wait status of the process, also after it was reaped.
/// `None`: it has not exited, or the kernel cannot tell (KERNEL(6.15)).
pub fn exit_status(pidfd: impl AsFd) -> Result<Option<i32>> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the size in the request number is that of `info`.
    let result =
        check(i64::from(unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO as _, &raw mut info) }));
    match result {
        Ok(_) if info.mask & PIDFD_INFO_EXIT != 0 => Ok(Some(info.exit_code)),
        Ok(_) | Err(Errno::NOTTY | Errno::INVAL | Errno::SRCH) => Ok(None),
        Err(errno) => Err(Error::new("ioctl(PIDFD_GET_INFO)", errno)),
    }
}

/// The pid as the caller's own `/proc` counts: 0 if the process is in no namespace below, -1 if it is
/// gone. A pid that another process reports may be counted in that one's namespace.
pub fn number(pidfd: impl AsFd) -> Result<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(&path).named(|| format!("read({path:?})"))?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.ok_or_else(|| Error::new(format!("read({path:?})"), Errno::INVAL))
}

/// Whether the process has exited (it may not have been reaped).
pub fn has_exited(pidfd: impl AsFd) -> Result<bool> {
    let fd = pidfd.as_fd();
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = rustix::event::poll(&mut fds, Some(&zero)).named(|| "poll(pidfd)".to_owned())?;
    Ok(ready > 0)
}
