//! procfs by descriptor: what is written through it is verified to be procfs, and lies beneath it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FsWord, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Error, Named, Result};
use crate::mount::FsContext;

/// `PROC_SUPER_MAGIC`.
pub const PROC_SUPER_MAGIC: FsWord = 0x9fa0;

/// A file of the caller's `/proc`, whose size cannot be known ahead, in few reads.
pub fn read(path: &str) -> Result<String> {
    let describe = || format!("read({path:?})");
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).named(describe)?;
    let mut bytes = vec![0; 16 << 10];
    let mut filled = 0;
    loop {
        if filled == bytes.len() {
            bytes.resize(filled * 2, 0);
        }
        match rustix::io::read(&file, &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).named(describe),
        }
    }
    bytes.truncate(filled);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// When a process began, in ticks of a hundredth of a second since the machine did, rounded down: field 22 of proc_pid_stat(5). One
/// that has ended and is not reaped is none.
pub fn began(pid: u32) -> Option<u64> {
    began_by(&read(&format!("/proc/{pid}/stat")).ok()?)
}

fn began_by(stat: &str) -> Option<u64> {
    // A process may have brackets in its name.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    match fields.next() {
        Some("Z" | "X") | None => None,
        Some(_) => fields.nth(18)?.parse().ok(),
    }
}

/// A directory of a procfs, verified.
#[derive(Debug)]
pub struct Proc(OwnedFd);

impl Proc {
    /// A new procfs of the caller's pid namespace, attached nowhere.
    pub fn new_detached() -> Result<Self> {
        let attrs = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
        Self::verified(FsContext::open("proc")?.mount(attrs)?)
    }

    /// Takes a descriptor of a procfs root.
    pub fn verified(fd: OwnedFd) -> Result<Self> {
        if rustix::fs::fstatfs(&fd).named(|| "fstatfs(procfs)".to_owned())?.f_type == PROC_SUPER_MAGIC {
            Ok(Self(fd))
        } else {
            Err(Error::new("procfs expected", Errno::INVAL))
        }
    }

    /// Opens a file beneath it. Nothing mounted over a part of it is crossed; `self` and
    /// `thread-self` are the only links followed.
    pub fn open(&self, path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd> {
        let path = path.as_ref();
        let describe = || format!("open(\"/proc\" {path:?})");
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let fd = match rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS) => rustix::fs::openat(&self.0, path, flags, Mode::empty()),
            result => result,
        }
        .named(describe)?;
        if rustix::fs::fstatfs(&fd).named(describe)?.f_type != PROC_SUPER_MAGIC {
            return Err(Error::new(describe(), Errno::XDEV));
        }
        Ok(fd)
    }

    /// Writes a file beneath it in one call.
    pub fn write(&self, path: impl AsRef<Path>, value: &str) -> Result<()> {
        let path = path.as_ref();
        let file = self.open(path, OFlags::WRONLY)?;
        rustix::io::write(&file, value.as_bytes()).map(drop).named(|| format!("write(\"/proc\" {path:?}, {value:?})"))
    }
}

impl AsFd for Proc {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_begun_unless_it_has_ended() {
        let rest = "1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(began_by(&format!("7 (a) b) S {rest}")), Some(4711));
        assert_eq!(began_by(&format!("7 (a) Z {rest}")), None);
        assert!(began(std::process::id()).is_some() && began(0).is_none());
    }
}
