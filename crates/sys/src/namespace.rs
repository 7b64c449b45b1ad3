//! Namespaces as descriptors: new network and user namespaces, made on the side.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};

use crate::error::{Error, Named, Result};
use crate::process::{self, CloneArgs, Cloned};

/// Opens a namespace of the calling thread: `net`, `mnt`, `user`, `pid`, `uts`, `ipc`, `cgroup`, `time`.
pub fn own(kind: &str) -> Result<OwnedFd> {
    open(&format!("/proc/thread-self/ns/{kind}"))
}

/// Opens a namespace of another process.
pub fn of(pid: rustix::process::Pid, kind: &str) -> Result<OwnedFd> {
    open(&format!("/proc/{}/ns/{kind}", pid.as_raw_nonzero()))
}

fn open(path: &str) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).named(|| format!("open({path:?})"))
}

/// Runs `work` on a thread of its own, which may change its namespaces and root freely. A panic of
/// it is reported as EIO.
pub fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("hull-ns".into()).spawn_scoped(scope, work);
        thread
            .named(|| "clone(thread)".to_owned())?
            .join()
            .unwrap_or_else(|_| Err(Error::new("namespace thread", rustix::io::Errno::IO)))
    })
}

/// A new, empty network namespace. Its `lo` is down; see [`crate::net::loopback_up`].
pub fn new_network() -> Result<OwnedFd> {
    on_own_thread(|| {
        process::unshare(libc::CLONE_NEWNET as u32)?;
        own("net")
    })
}

/// A line of a uid or gid map: inside, outside, length.
pub type MapLine = (u32, u32, u32);

/// A new user namespace with these maps. A child is made for it and gone when this returns; safe in a
/// process with threads.
pub fn new_user(uids: &[MapLine], gids: &[MapLine]) -> Result<OwnedFd> {
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).named(|| "pipe2()".to_owned())?;
    let args = CloneArgs { flags: libc::CLONE_NEWUSER as u64, cgroup: None };
    // SAFETY: the child only reads from a pipe and exits.
    match unsafe { process::clone3(args) }? {
        Cloned::Child => {
            drop(pipe.1);
            let mut byte = [0u8; 1];
            _ = rustix::io::read(&pipe.0, &mut byte);
            process::exit_now(0)
        }
        Cloned::Parent { pid, pidfd: _pidfd } => {
            let result = write_maps(pid, uids, gids).and_then(|()| of(pid, "user"));
            drop(pipe);
            process::wait_for(pid)?;
            result
        }
    }
}

/// A new network namespace with `lo` up that a user namespace owns. A child is made for it and gone when
/// this returns; safe in a process with threads.
pub fn new_network_of(userns: BorrowedFd<'_>) -> Result<OwnedFd> {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).named(|| "pipe2()".to_owned());
    let (made, stay) = (pipe()?, pipe()?);
    let args = CloneArgs { flags: 0, cgroup: None };
    // SAFETY: the child makes system calls only, and exits.
    match unsafe { process::clone3(args) }? {
        Cloned::Child => {
            drop((made.0, stay.1));
            let kind = Some(rustix::thread::LinkNameSpaceType::User);
            let ready = rustix::thread::move_into_link_name_space(userns, kind).is_ok()
                && process::unshare(libc::CLONE_NEWNET as u32).is_ok()
                && crate::net::loopback_up().is_ok();
            _ = rustix::io::write(&made.1, &[u8::from(ready)]);
            _ = rustix::io::read(&stay.0, &mut [0u8; 1]);
            process::exit_now(0)
        }
        Cloned::Parent { pid, pidfd: _pidfd } => {
            drop((made.1, stay.0));
            let mut byte = [0u8; 1];
            let ready = rustix::io::retry_on_intr(|| rustix::io::read(&made.0, &mut byte)).is_ok_and(|read| read == 1);
            let result = if ready && byte[0] == 1 {
                of(pid, "net")
            } else {
                Err(Error::new("unshare(CLONE_NEWNET) in a user namespace", rustix::io::Errno::PERM))
            };
            drop(stay.1);
            process::wait_for(pid)?;
            result
        }
    }
}

/// Writes the maps of a process that was just made with `CLONE_NEWUSER`.
pub fn write_maps(pid: rustix::process::Pid, uids: &[MapLine], gids: &[MapLine]) -> Result<()> {
    for (file, lines) in [("uid_map", uids), ("gid_map", gids)] {
        let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
        let text: String = lines.iter().map(|(inside, outside, len)| format!("{inside} {outside} {len}\n")).collect();
        std::fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut f| std::io::Write::write_all(&mut f, text.as_bytes()))
            .named(|| format!("write({path:?}, {:?})", text.trim_end()))?;
    }
    Ok(())
}

/// Which kind of namespace a descriptor is, as its `CLONE_NEW*` bit (`NS_GET_NSTYPE`).
pub fn kind(fd: impl std::os::fd::AsFd) -> Result<u32> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: this request takes no argument.
    let result = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()), NS_GET_NSTYPE as _) };
    crate::error::check(i64::from(result)).map(|kind| kind as u32).named(|| "ioctl(NS_GET_NSTYPE)".to_owned())
}
