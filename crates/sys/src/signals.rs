//! Signal masks, dispositions and `signalfd`.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Named, Result, check};

/// A signal that came through a [`SignalFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// The sender, for signals sent by a process.
    pub pid: u32,
}

/// Signals as a readable descriptor, non-blocking. The signals are blocked in the calling thread
/// (and in threads it makes afterwards).
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set; sigaddset refuses numbers out of range.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

impl SignalFd {
    /// Blocks the signals and opens the descriptor.
    pub fn new(signals: &[i32]) -> Result<Self> {
        let set = set_of(signals);
        // SAFETY: both pointers are valid or null.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        // SAFETY: -1 asks for a new descriptor.
        let fd =
            check(i64::from(unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) }))
                .named(|| format!("signalfd({signals:?})"))?;
        // SAFETY: a new descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// The next signal, if one is pending.
    pub fn next(&self) -> Option<Received> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer has room for one siginfo; zeroed is a valid value of it.
        let n = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if n != size as isize {
            return None;
        }
        // SAFETY: fully written.
        let info = unsafe { info.assume_init() };
        Some(Received { signal: info.ssi_signo as i32, pid: info.ssi_pid })
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Blocks every signal in the calling thread.
pub fn block_all() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset initialises the set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Gives every signal its default action; the mask stays. For a process that was started by someone
/// who ignored some (nohup), and whose children shall not inherit that.
pub fn default_actions() {
    // Past the C library, which keeps 32 and 33 for itself and so cannot undo that they are ignored.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: all zeroes is the kernel's sigaction with SIG_DFL; SIGKILL and SIGSTOP are refused.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null_mut::<u64>(), 8) };
    }
}

/// Blocks these signals in the calling thread, in threads that it makes afterwards, and in the program that replaces it.
pub fn block(signals: &[i32]) {
    change_mask(libc::SIG_BLOCK, signals);
}

/// Lets the calling thread have these signals, those that came meanwhile first.
pub fn unblock(signals: &[i32]) {
    change_mask(libc::SIG_UNBLOCK, signals);
}

fn change_mask(how: i32, signals: &[i32]) {
    let set = set_of(signals);
    // SAFETY: the set is initialised, and null asks for no answer.
    unsafe { libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()) };
}

/// Unblocks every signal and gives SIGPIPE, which Rust's runtime ignores, its default action: for a
/// child of a process that called [`default_actions`] and ignored nothing else since. (Handlers go by exec.)
pub fn reset_mask_and_pipe() {
    reset_pipe_and_block_only(&[]);
}

/// The same, but that these signals stay blocked, or are from now on.
pub fn reset_pipe_and_block_only(signals: &[i32]) {
    let set = set_of(signals);
    // SAFETY: SIG_DFL is no function of ours; the set is initialised.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
    }
}

/// Ignores SIGPIPE: a write to a closed pipe is an error, not the end.
pub fn ignore_pipe() {
    // SAFETY: SIG_IGN is no function of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Waits for any blocked signal and takes it.
pub fn wait() -> i32 {
    let mut set = MaybeUninit::uninit();
    loop {
        let mut signal = 0;
        // SAFETY: sigfillset initialises the set; `signal` outlives the call.
        let result = unsafe {
            libc::sigfillset(set.as_mut_ptr());
            libc::sigwait(set.as_ptr(), &raw mut signal)
        };
        if result == 0 {
            return signal;
        }
    }
}

/// `kill`, with any signal number.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: integers only.
    check(i64::from(unsafe { libc::kill(pid, signal) })).map(drop).named(|| format!("kill({pid}, {signal})"))
}
