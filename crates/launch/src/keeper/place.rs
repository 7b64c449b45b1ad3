//! Where the keeper lives: a sealed copy of its own program, and a mount namespace that holds next to
//! nothing, so that cloning it is cheap and the host's mounts are not pinned.
//!
//! The namespace: a small tmpfs as `/`, an unobstructed `/proc` and `/sys` (the kernel lets a user
//! namespace mount these only where one is fully visible already), and `/null` (char 1:3).

use std::ffi::{CString, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use hull_sys::mount::{self, FsContext};
use hull_sys::process::{self, Vector};
use hull_sys::{Error, Named, Result, fds, memfd, resolve};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::state::Environment;
use super::{KeeperError, NULL_DEVICE, STATE_FD};

/// `CLONE_NEWNS`.
const NEW_MOUNT_NAMESPACE: u32 = 0x0002_0000;

/// This program, as a descriptor.
pub(super) fn own_program() -> Result<OwnedFd> {
    rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .named(|| "open(\"/proc/self/exe\")".to_owned())
}

/// CVE-2019-5736: whether nothing can write to the program this process runs.
pub(super) fn is_sealed() -> Result<bool> {
    Ok(memfd::is_sealed(own_program()?))
}

/// Replaces this process by a sealed copy of the program on disk. Returns only the error.
pub(super) fn exec_sealed() -> Result<KeeperError> {
    let program = memfd::sealed_copy("hull", std::fs::File::from(own_program()?))?;
    let environment: Environment =
        std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec())).collect();
    let state = super::state::write_environment(&environment)?;
    Ok(exec(&program, &state).into())
}

/// `execve` of a sealed program with the same arguments and nothing in the environment but the number
/// of the state's descriptor. Returns only the error.
pub(super) fn exec(program: &OwnedFd, state: &OwnedFd) -> Error {
    let argv = std::env::args_os().map(c_string).collect();
    let number = std::os::fd::AsRawFd::as_raw_fd(state);
    let env = vec![c_string(OsString::from(format!("{STATE_FD}={number}")))];
    if let Err(error) = fds::set_close_on_exec(state, false) {
        return error;
    }
    let errno = process::fexecve(std::os::fd::AsFd::as_fd(program), &Vector::new(argv), &Vector::new(env));
    Error::new("execveat(sealed memfd)", errno)
}

/// Arguments and environment never hold a NUL: they came from `execve` themselves.
pub(super) fn c_string(text: OsString) -> CString {
    CString::new(text.as_bytes()).unwrap_or_default()
}

/// Enters the keeper's own mount namespace. The caller kept what it needs of the host as descriptors.
pub(super) fn enter_own_mounts() -> Result<()> {
    process::unshare(NEW_MOUNT_NAMESPACE)?;
    mount::make_all_private()?;
    let context = FsContext::open("tmpfs")?;
    for (key, value) in [("source", "hull"), ("size", "64k"), ("mode", "755")] {
        context.string(key, value)?;
    }
    let base = context.mount(0)?;
    fill(&base)?;
    let root =
        rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).named(|| "open(\"/\")".to_owned())?;
    mount::attach(&base, root)?;
    // ORDER: proc and sysfs are attached once their place is in this namespace.
    for (fstype, path) in [("proc", "/proc"), ("sysfs", "/sys")] {
        let place = resolve::open_in_root(&base, path, OFlags::PATH | OFlags::DIRECTORY)?;
        let context = FsContext::open(fstype)?;
        context.string("source", fstype)?;
        mount::attach(context.mount(0)?, place)?;
    }
    rustix::process::fchdir(&base).named(|| "fchdir(keeper's root)".to_owned())?;
    match mount::pivot_root_here() {
        // An initramfs cannot be pivoted away from: it stays beneath, out of reach.
        Err(error) if error.errno == Errno::INVAL => {
            rustix::process::chroot(".").named(|| "chroot(\".\")".to_owned())?;
            rustix::process::chdir("/").named(|| "chdir(\"/\")".to_owned())
        }
        result => result,
    }
}

fn fill(base: &OwnedFd) -> Result<()> {
    for name in ["proc", "sys"] {
        rustix::fs::mkdirat(base, name, Mode::from_raw_mode(0o755)).named(|| format!("mkdir({name:?})"))?;
    }
    let name = NULL_DEVICE.trim_start_matches('/');
    let device = rustix::fs::makedev(1, 3);
    let mode = Mode::from_raw_mode(0o666);
    match rustix::fs::mknodat(base, name, FileType::CharacterDevice, mode, device) {
        // Without CAP_MKNOD there is none: masking a file will say so.
        Err(Errno::PERM) => Ok(()),
        result => {
            result.named(|| "mknod(\"/null\", 1:3)".to_owned())?;
            // The umask took bits away.
            rustix::fs::chmodat(base, name, mode, rustix::fs::AtFlags::empty()).named(|| "chmod(\"/null\")".to_owned())
        }
    }
}

/// The procfs of the keeper's namespace, held open: it shows the keeper's pid namespace.
pub(super) fn own_proc() -> Result<hull_sys::proc::Proc> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, "/proc", flags, Mode::empty()).named(|| "open(\"/proc\")".to_owned())?;
    hull_sys::proc::Proc::verified(fd)
}
