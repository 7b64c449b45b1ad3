//! Making processes and ending them: `clone3`, `execve`, `wait`, namespaces of the caller.
//!
//! [`clone3`] returns twice, as `fork` does. It never shares memory (`CLONE_VM`): a process that may
//! trace the child must not read the parent. The caller must be single-threaded, or the child may
//! only do what is async-signal-safe.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::process::Pid;

use crate::error::{Error, Named, Result, check};

/// What `clone3` is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneArgs<'a> {
    /// `CLONE_NEW*`, `CLONE_PARENT`; memory, files and signal handlers are never shared.
    pub flags: u64,
    /// v2 cgroup to be born into (`CLONE_INTO_CGROUP`).
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// The two returns of [`clone3`].
#[derive(Debug)]
pub enum Cloned {
    /// In the caller.
    Parent {
        /// The child's pid, as the caller sees it.
        pid: Pid,
        /// Its pidfd.
        pidfd: OwnedFd,
    },
    /// In the child.
    Child,
}

/// `CLONE_INTO_CGROUP`; libc's constant is too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Signal bits and flags that this wrapper refuses or sets itself.
const NOT_ALLOWED: u64 = (libc::CLONE_VM
    | libc::CLONE_FILES
    | libc::CLONE_FS
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_VFORK
    | libc::CLONE_SETTLS) as u64;

/// `clone3`, with a pidfd. Where the kernel (or a filter) lacks it: `clone`, then without
/// `CLONE_INTO_CGROUP` (that is an error there).
///
/// # Safety
/// The process must have a single thread, or the child may call async-signal-safe functions only
/// until it execs or exits.
pub unsafe fn clone3(args: CloneArgs<'_>) -> Result<Cloned> {
    let describe = || format!("clone3({:#x})", args.flags);
    if args.flags & NOT_ALLOWED != 0 {
        return Err(Error::new(describe(), Errno::INVAL));
    }
    let mut pidfd: libc::c_int = -1;
    let mut flags = args.flags | libc::CLONE_PIDFD as u64;
    let parent = args.flags & libc::CLONE_PARENT as u64 != 0;
    let mut raw = libc::clone_args {
        flags: 0,
        pidfd: &raw mut pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: if parent { 0 } else { libc::SIGCHLD as u64 },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = args.cgroup {
        flags |= CLONE_INTO_CGROUP;
        raw.cgroup = cgroup.as_raw_fd() as u64;
    }
    raw.flags = flags;
    // SAFETY: `raw` and `pidfd` outlive the call; without CLONE_VM and a stack the child returns
    // here on its own copy of this stack, as after fork.
    let result = check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut raw, size_of::<libc::clone_args>()) });
    let pid = match result {
        Err(Errno::NOSYS) if args.cgroup.is_none() => {
            // SAFETY: as above.
            unsafe { clone_without_clone3(args.flags, &mut pidfd) }.named(describe)?
        }
        result => result.named(describe)?,
    };
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel stored a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => Ok(Cloned::Parent { pid, pidfd }),
        None => Err(Error::new(describe(), Errno::RANGE)),
    }
}

/// [`clone3`] for a process that has a single thread, which is checked: with more it is refused.
pub fn clone_single_threaded(args: CloneArgs<'_>) -> Result<Cloned> {
    if THREADS_KNOWN_SINGLE.load(Ordering::Relaxed) || count_threads() == 1 {
        THREADS_KNOWN_SINGLE.store(true, Ordering::Relaxed);
        // SAFETY: there is one thread; this project's single-threaded roles never start another.
        unsafe { clone3(args) }
    } else {
        Err(Error::new("clone3() in a process with threads", Errno::DEADLK))
    }
}

/// `fork` for a process that has a single thread: `None` in the child. It needs no descriptor, so that it also works where the limit of
/// open files leaves none.
pub fn fork_single_threaded() -> Result<Option<Pid>> {
    let single = THREADS_KNOWN_SINGLE.load(Ordering::Relaxed) || count_threads() == 1;
    if !single {
        return Err(Error::new("fork() in a process with threads", Errno::DEADLK));
    }
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: there is one thread; a null stack means a copy of the caller's, as after fork, and nothing is stored.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD as u64, null, null, null, 0u64) });
    let pid = pid.named(|| "clone(SIGCHLD)".to_owned())?;
    match i32::try_from(pid).ok() {
        Some(0) => Ok(None),
        pid => match pid.and_then(Pid::from_raw) {
            Some(pid) => Ok(Some(pid)),
            None => Err(Error::new("clone(SIGCHLD)", Errno::RANGE)),
        },
    }
}

/// Set once the process was seen to have one thread and has asked to clone on that ground.
static THREADS_KNOWN_SINGLE: AtomicBool = AtomicBool::new(false);

/// One, or more than one. The kernel refuses to take a thread out of its group if there are others, and
/// does nothing if there are none: one call where /proc would take five.
fn count_threads() -> usize {
    // SAFETY: in a process with one thread nothing changes; else the call is refused.
    match check(i64::from(unsafe { libc::unshare(libc::CLONE_THREAD) })) {
        Ok(_) => 1,
        Err(Errno::PERM | Errno::NOSYS) => std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count),
        Err(_) => 2,
    }
}

/// KERNEL(5.3): the old `clone`, for filters that answer ENOSYS to `clone3`.
///
/// # Safety
/// As [`clone3`].
unsafe fn clone_without_clone3(flags: u64, pidfd: &mut libc::c_int) -> rustix::io::Result<i64> {
    let signal = if flags & libc::CLONE_PARENT as u64 != 0 { 0 } else { libc::SIGCHLD as u64 };
    let flags = flags | libc::CLONE_PIDFD as u64 | signal;
    // SAFETY: a null stack means a copy of the caller's; the argument order (flags, stack,
    // parent_tid) is the same on x86-64 and aarch64, and CLONE_PIDFD stores through parent_tid.
    check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags,
            std::ptr::null_mut::<libc::c_void>(),
            std::ptr::from_mut(pidfd),
            std::ptr::null_mut::<libc::c_void>(),
            0u64,
        )
    })
}

/// An argument vector as `execve` wants it: made before a clone, so that the child need not allocate.
#[derive(Debug)]
pub struct Vector {
    strings: Vec<CString>,
}

impl Vector {
    /// Owns the strings.
    pub fn new(strings: Vec<CString>) -> Self {
        Self { strings }
    }

    fn pointers(&self) -> Vec<*const libc::c_char> {
        let mut pointers: Vec<_> = self.strings.iter().map(|s| s.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    }
}

/// `execve`. Returns only to say why it failed.
pub fn execve(path: &CStr, argv: &Vector, envp: &Vector) -> Errno {
    let (argv, envp) = (argv.pointers(), envp.pointers());
    // SAFETY: NUL-terminated strings in null-terminated arrays that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    last_errno()
}

/// `execveat(fd, "", AT_EMPTY_PATH)`. Returns only to say why it failed.
pub fn fexecve(file: BorrowedFd<'_>, argv: &Vector, envp: &Vector) -> Errno {
    let (argv, envp) = (argv.pointers(), envp.pointers());
    // SAFETY: as in `execve`.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}

fn last_errno() -> Errno {
    // SAFETY: errno is thread-local.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// `_exit`: ends the process now, running no destructors and flushing nothing.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: always sound.
    unsafe { libc::_exit(status) }
}

/// Reaps one child that has exited, if any: its pid and raw wait status.
pub fn reap() -> Result<Option<(Pid, i32)>> {
    wait_raw(-1, libc::WNOHANG)
}

/// Waits for one child to exit: its pid and raw wait status.
pub fn wait_any() -> Result<(Pid, i32)> {
    Ok(wait_raw(-1, 0)?.expect("a blocking wait returns a child"))
}

/// Waits for that child to exit.
pub fn wait_for(pid: Pid) -> Result<i32> {
    Ok(wait_raw(pid.as_raw_nonzero().get(), 0)?.expect("a blocking wait returns a child").1)
}

fn wait_raw(pid: i32, options: i32) -> Result<Option<(Pid, i32)>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        let result = check(i64::from(unsafe { libc::waitpid(pid, &raw mut status, options) }));
        match result {
            Err(Errno::INTR) => {}
            Err(Errno::CHILD) if options & libc::WNOHANG != 0 => return Ok(None),
            result => {
                let pid = result.named(|| format!("waitpid({pid})"))?;
                return Ok(i32::try_from(pid).ok().and_then(Pid::from_raw).map(|p| (p, status)));
            }
        }
    }
}

/// The exit code a shell would show for a raw wait status: the code, or 128 + the signal.
pub fn exit_code(status: i32) -> i32 {
    if libc::WIFSIGNALED(status) { 128 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// The signal that a raw wait status tells of, and whether a memory image was left; `None`: it ended by itself.
pub fn ended_by(status: i32) -> Option<(i32, bool)> {
    libc::WIFSIGNALED(status).then(|| (libc::WTERMSIG(status), libc::WCOREDUMP(status)))
}

/// `setns`: a namespace fd with its kind (0: any), or a pidfd with a set of `CLONE_NEW*`.
pub fn setns(fd: impl AsFd, namespaces: u32) -> Result<()> {
    // SAFETY: a plain system call on an open descriptor.
    let result = unsafe { libc::setns(fd.as_fd().as_raw_fd(), namespaces as libc::c_int) };
    check(i64::from(result)).map(drop).named(|| format!("setns({namespaces:#x})"))
}

/// `unshare` of namespaces (`CLONE_NEW*`) and nothing else.
pub fn unshare(namespaces: u32) -> Result<()> {
    let describe = || format!("unshare({namespaces:#x})");
    if namespaces & NOT_ALLOWED as u32 != 0 {
        return Err(Error::new(describe(), Errno::INVAL));
    }
    // SAFETY: only namespaces of the calling thread change; descriptors and memory stay shared.
    check(i64::from(unsafe { libc::unshare(namespaces as libc::c_int) })).map(drop).named(describe)
}

/// Gives the calling thread its own root and working directory (`CLONE_FS`), which `setns` of a
/// mount namespace needs in a process with threads.
pub fn unshare_fs() -> Result<()> {
    // SAFETY: only the calling thread's fs_struct is copied.
    let result = unsafe { libc::unshare(libc::CLONE_FS) };
    check(i64::from(result)).map(drop).named(|| "unshare(CLONE_FS)".to_owned())
}

/// `setdomainname`.
pub fn set_domainname(name: &str) -> Result<()> {
    // SAFETY: pointer and length describe `name`.
    let result = unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) };
    check(i64::from(result)).map(drop).named(|| format!("setdomainname({name:?})"))
}

/// Joins a new session keyring: an anonymous one, or that of this name. `Ok(false)` where the kernel has no keyrings.
pub fn new_session_keyring(name: Option<&str>) -> Result<bool> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    let name = name.map(|name| CString::new(name).unwrap_or_default());
    let pointer = name.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
    // SAFETY: a null name asks for an anonymous keyring; another one ends with NUL and outlives the call.
    let result = check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, pointer) });
    match result {
        Err(Errno::NOSYS) => Ok(false),
        result => result.map(|_| true).named(|| "keyctl(JOIN_SESSION_KEYRING)".to_owned()),
    }
}

/// `prlimit` on the caller.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` outlives the call; 0 is the caller; no old value is asked for.
    let result = check(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, std::ptr::null_mut::<libc::rlimit64>())
    });
    result.map(drop).named(|| format!("prlimit({resource}, soft {soft}, hard {hard})"))
}
