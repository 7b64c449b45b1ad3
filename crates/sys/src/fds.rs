//! The descriptor table of the caller: closing ranges, close-on-exec, `dup`, adopting inherited ones.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use rustix::io::{Errno, FdFlags};

use crate::error::{Error, Named, Result, check};

/// What happens to a range of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// They are closed now.
    Close,
    /// They are closed by the next `execve`.
    CloseOnExec,
}

/// `close_range(first, ~0)`. KERNEL(5.9; the flag 5.11): else one by one, from `/proc/self/fd`.
///
/// With [`Range::Close`] no `OwnedFd` in the process may be used or dropped afterwards: this is for
/// a child that is about to exec or exit, or is a tiny init.
///
/// # Safety
/// The caller owns all descriptors from `first` on, and forgets what it closes.
pub unsafe fn close_from(first: RawFd, how: Range) -> Result<()> {
    let flags = match how {
        Range::Close => 0,
        Range::CloseOnExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: the caller forgets what is closed.
    let result = check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) });
    match result {
        Err(Errno::NOSYS | Errno::INVAL) => {
            // SAFETY: as above.
            unsafe { close_one_by_one(first, how) }
        }
        result => result.map(drop).named(|| format!("close_range({first}, ~0, {how:?})")),
    }
}

/// Makes every descriptor from `first` on close-on-exec.
pub fn close_on_exec_from(first: RawFd) -> Result<()> {
    // SAFETY: nothing is closed now, only a flag is set.
    unsafe { close_from(first, Range::CloseOnExec) }
}

/// Closes every descriptor, also 0, 1 and 2. Only for a process of its own that will never again
/// use or drop an `OwnedFd`, such as an init that waits for signals.
pub fn close_all() -> Result<()> {
    // SAFETY: as the doc demands; a descriptor used nevertheless is EBADF, since nothing is opened
    // by such a process.
    unsafe { close_from(0, Range::Close) }
}

/// Closes one descriptor that a freshly cloned child has from its parent's memory, and that it never again uses.
pub fn close_in_child(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the owner of this number is the parent's; the child's copy of it never runs a destructor.
    check(i64::from(unsafe { libc::close(fd.as_raw_fd()) })).map(drop).named(|| format!("close({})", fd.as_raw_fd()))
}

/// Closes every descriptor from `first` (3 or above) on that is not among `keep`. Only for a freshly cloned child that
/// never again uses or drops an `OwnedFd` of the others: the copies in its memory stand for nothing.
pub fn close_all_but(first: RawFd, keep: &[BorrowedFd<'_>]) -> Result<()> {
    let mut first = first.max(3);
    let mut keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).filter(|fd| *fd >= first).collect();
    keep.sort_unstable();
    for fd in keep {
        if first < fd {
            close_between(first, fd - 1)?;
        }
        first = fd + 1;
    }
    // SAFETY: as the doc demands.
    unsafe { close_from(first, Range::Close) }
}

/// Closes descriptors, neighbours in one call.
pub fn close_together(fds: Vec<OwnedFd>) {
    let mut numbers: Vec<RawFd> = fds.into_iter().map(IntoRawFd::into_raw_fd).collect();
    numbers.sort_unstable();
    for run in numbers.chunk_by(|before, after| before + 1 == *after) {
        if let (Some(first), Some(last)) = (run.first(), run.last()) {
            _ = close_between(*first, *last);
        }
    }
}

fn close_between(first: RawFd, last: RawFd) -> Result<()> {
    // SAFETY: the callers own them and forget them, as the docs of `close_all_but` and `close_together` say.
    let result = check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) });
    match result {
        Err(Errno::NOSYS) => {
            for fd in open_descriptors().named(|| "readdir(\"/proc/self/fd\")".to_owned())? {
                if (first..=last).contains(&fd) {
                    // SAFETY: as above.
                    unsafe { libc::close(fd) };
                }
            }
            Ok(())
        }
        result => result.map(drop).named(|| format!("close_range({first}, {last})")),
    }
}

/// # Safety
/// As [`close_from`].
unsafe fn close_one_by_one(first: RawFd, how: Range) -> Result<()> {
    for fd in open_descriptors().named(|| "readdir(\"/proc/self/fd\")".to_owned())? {
        if fd < first {
            continue;
        }
        // SAFETY: the caller forgets what is closed; a number that is not open any more is EBADF.
        unsafe {
            match how {
                Range::Close => libc::close(fd),
                Range::CloseOnExec => libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC),
            }
        };
    }
    Ok(())
}

/// The numbers of the open descriptors, as `/proc/self/fd` lists them; where there is no procfs, all
/// numbers below the limit.
fn open_descriptors() -> std::io::Result<Vec<RawFd>> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        return Ok((0..limit.current.unwrap_or(65536).min(1 << 20) as RawFd).collect());
    };
    let mut fds = Vec::new();
    for entry in entries {
        fds.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    Ok(fds)
}

/// Whether `execve` closes the descriptor.
pub fn set_close_on_exec(fd: impl AsFd, on: bool) -> Result<()> {
    let flags = if on { FdFlags::CLOEXEC } else { FdFlags::empty() };
    rustix::io::fcntl_setfd(fd.as_fd(), flags)
        .named(|| format!("fcntl({}, F_SETFD, {flags:?})", fd.as_fd().as_raw_fd()))
}

/// `dup3(fd, number)` without close-on-exec; when they are the same, only the flag is cleared.
/// What `number` was before is closed: for the standard streams.
pub fn place(fd: impl AsFd, number: RawFd) -> Result<()> {
    let raw = fd.as_fd().as_raw_fd();
    if raw == number {
        return set_close_on_exec(fd, false);
    }
    if !(0..=2).contains(&number) {
        return Err(Error::new(format!("dup3({raw}, {number})"), Errno::INVAL));
    }
    // SAFETY: only 0, 1 or 2 is replaced, which no OwnedFd of this project owns.
    let result = check(i64::from(unsafe { libc::dup3(raw, number, 0) }));
    result.map(drop).named(|| format!("dup3({raw}, {number})"))
}

/// A close-on-exec duplicate with a number of at least 3.
pub fn duplicate(fd: impl AsFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), 3)
        .named(|| format!("fcntl({}, F_DUPFD_CLOEXEC)", fd.as_fd().as_raw_fd()))
}

/// Takes ownership of a descriptor that this process inherited by number (named in its environment
/// or arguments), and makes it close-on-exec. Fails if no such descriptor is open.
///
/// # Safety
/// Nothing else in the process owns that number.
pub unsafe fn adopt(number: RawFd) -> Result<OwnedFd> {
    let describe = || format!("fcntl({number}, F_GETFD)");
    if number < 0 {
        return Err(Error::new(describe(), Errno::BADF));
    }
    // SAFETY: asking for the flags of any number is harmless.
    check(i64::from(unsafe { libc::fcntl(number, libc::F_GETFD) })).named(describe)?;
    // SAFETY: it is open, and the caller vouches that nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    set_close_on_exec(&fd, true)?;
    Ok(fd)
}

/// Whether a descriptor of this number is open.
pub fn is_open(number: RawFd) -> bool {
    // SAFETY: asking for the flags of any number is harmless.
    check(i64::from(unsafe { libc::fcntl(number, libc::F_GETFD) })).is_ok()
}

/// Takes the inherited descriptor whose number stands in the environment variable `name`, once, and
/// makes it close-on-exec. `None` if the variable is absent.
///
/// Called at start-up by the one owner of that variable.
pub fn adopt_from_env(name: &str) -> Result<Option<OwnedFd>> {
    let Some(value) = std::env::var_os(name) else {
        return Ok(None);
    };
    let bad = || Error::new(format!("{name}={value:?}"), Errno::BADF);
    let number: RawFd = value.to_str().and_then(|v| v.parse().ok()).ok_or_else(bad)?;
    adopt_inherited(number).map(Some)
}

/// Takes an inherited descriptor by number, once: a number that was taken before, and 0 to 2, are
/// refused. Only for numbers that whoever started this process has told it.
pub fn adopt_inherited(number: RawFd) -> Result<OwnedFd> {
    use std::sync::Mutex;
    static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if number <= 2 || taken.contains(&number) {
        return Err(Error::new(format!("inherited descriptor {number}"), Errno::BADF));
    }
    taken.push(number);
    // SAFETY: the number came from whoever started this process and is handed out once.
    unsafe { adopt(number) }
}

/// Leaves the descriptor open, owned by nobody: for one that an `execve` is to inherit.
pub fn leak(fd: OwnedFd) -> RawFd {
    fd.into_raw_fd()
}
