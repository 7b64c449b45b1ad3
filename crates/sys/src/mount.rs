//! The mount API on descriptors: `fsopen`, `fsconfig`, `fsmount`, `open_tree`, `move_mount`,
//! `mount_setattr`, `pivot_root`. Nothing here attaches to a path by name except on request.

pub mod old;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use crate::error::{Named, Result, check};

/// `AT_RECURSIVE`.
const AT_RECURSIVE: libc::c_int = 0x8000;

/// A file system that is being configured.
#[derive(Debug)]
pub struct FsContext {
    fd: OwnedFd,
    fstype: String,
}

impl FsContext {
    /// `fsopen`.
    pub fn open(fstype: &str) -> Result<Self> {
        let fd = rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).named(|| format!("fsopen({fstype:?})"))?;
        Ok(Self { fd, fstype: fstype.to_owned() })
    }

    /// `fsconfig` of a flag.
    pub fn flag(&self, key: &str) -> Result<()> {
        rustix::mount::fsconfig_set_flag(&self.fd, key).named(|| self.failed(key, ""))
    }

    /// `fsconfig` of a string, at most 255 bytes.
    pub fn string(&self, key: &str, value: &str) -> Result<()> {
        rustix::mount::fsconfig_set_string(&self.fd, key, value).named(|| self.failed(key, value))
    }

    /// `fsconfig` of a descriptor.
    pub fn fd(&self, key: &str, value: impl AsFd) -> Result<()> {
        rustix::mount::fsconfig_set_fd(&self.fd, key, value).named(|| self.failed(key, "<fd>"))
    }

    /// Creates the superblock and its detached mount with `MOUNT_ATTR_*` bits.
    pub fn mount(self, attrs: u64) -> Result<OwnedFd> {
        self.mount_and_keep(attrs).map(|(mount, _)| mount)
    }

    /// As [`FsContext::mount`], for a process that leaves the closing to its `execve`: with the context's descriptor.
    pub fn mount_and_keep(self, attrs: u64) -> Result<(OwnedFd, OwnedFd)> {
        rustix::mount::fsconfig_create(&self.fd).named(|| self.failed("create", ""))?;
        let attrs = MountAttrFlags::from_bits_retain(attrs as u32);
        let mount = rustix::mount::fsmount(&self.fd, FsMountFlags::FSMOUNT_CLOEXEC, attrs)
            .named(|| format!("fsmount({:?}, {attrs:?}){}", self.fstype, self.log()))?;
        Ok((mount, self.fd))
    }

    fn failed(&self, key: &str, value: &str) -> String {
        let equals = if value.is_empty() { "" } else { "=" };
        format!("fsconfig({:?}, {key}{equals}{value}){}", self.fstype, self.log())
    }

    /// What the file system said about it, if anything.
    fn log(&self) -> String {
        let mut text = String::new();
        let mut buffer = [0u8; 512];
        while let Ok(n) = rustix::io::read(&self.fd, &mut buffer[..]) {
            let line = String::from_utf8_lossy(&buffer[..n]);
            text.push_str("; ");
            text.push_str(line.trim().trim_start_matches("e ").trim_start_matches("w "));
        }
        if text.is_empty() { text } else { format!(" [{}]", &text[2..]) }
    }
}

/// A detached clone of the mount (or with `recursive` the tree) at the descriptor. The descriptor
/// must belong to the caller's mount namespace.
pub fn clone_tree(fd: impl AsFd, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(fd.as_fd(), "", flags)
        .named(|| format!("open_tree({}, {flags:?})", describe_fd(fd.as_fd().as_raw_fd())))
}

/// As [`clone_tree`], of what is at `path`, whose links are followed. It need not be opened before.
pub fn clone_at(path: &Path, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(rustix::fs::CWD, path, flags).named(|| format!("open_tree({path:?}, {flags:?})"))
}

/// Attaches a detached mount at the place that `target` is a descriptor of.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount.as_fd(), "", target.as_fd(), "", flags)
        .named(|| format!("move_mount(to {})", describe_fd(target.as_fd().as_raw_fd())))
}

/// What `mount_setattr` changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetAttr<'a> {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` or 0.
    pub propagation: u64,
    /// The user namespace of an idmapped mount.
    pub idmap: Option<std::os::fd::BorrowedFd<'a>>,
    /// The whole tree.
    pub recursive: bool,
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// `MOUNT_ATTR_IDMAP`.
const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
/// `MOUNT_ATTR__ATIME`.
const MOUNT_ATTR_ATIME: u64 = 0x70;

/// `mount_setattr` on the mount of the descriptor.
pub fn set_attributes(fd: impl AsFd, attrs: SetAttr<'_>) -> Result<()> {
    let mut raw =
        MountAttr { attr_set: attrs.set, attr_clr: attrs.clear, propagation: attrs.propagation, userns_fd: 0 };
    if attrs.set & MOUNT_ATTR_ATIME != 0 {
        raw.attr_clr |= MOUNT_ATTR_ATIME;
    }
    if let Some(userns) = attrs.idmap {
        raw.attr_set |= MOUNT_ATTR_IDMAP;
        raw.userns_fd = userns.as_raw_fd() as u64;
    }
    let flags = libc::AT_EMPTY_PATH | if attrs.recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: `raw` is a mount_attr of the size that is passed.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const raw,
            size_of::<MountAttr>(),
        )
    });
    result.map(drop).named(|| {
        format!(
            "mount_setattr({}, set {:#x}, clear {:#x}, propagation {:#x}, idmap {}, recursive {})",
            describe_fd(fd.as_fd().as_raw_fd()),
            raw.attr_set,
            raw.attr_clr,
            raw.propagation,
            attrs.idmap.is_some(),
            attrs.recursive
        )
    })
}

/// Makes the mount that the working directory is the root of the root mount, and detaches the old
/// root: `pivot_root(".", ".")`, `umount2(".", MNT_DETACH)`, `chdir("/")`.
pub fn pivot_root_here() -> Result<()> {
    rustix::process::pivot_root(".", ".").named(|| "pivot_root(\".\", \".\")".to_owned())?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).named(|| "umount2(\".\", MNT_DETACH)".to_owned())?;
    rustix::process::chdir("/").named(|| "chdir(\"/\")".to_owned())
}

/// Makes every mount of the caller's namespace a slave: it hears of the host's mounts, and the host not of its.
pub fn make_all_slave() -> Result<()> {
    let flags = rustix::mount::MountPropagationFlags::DOWNSTREAM | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).named(|| "mount(\"/\", MS_SLAVE | MS_REC)".to_owned())
}

/// Makes every mount of the caller's namespace private.
pub fn make_all_private() -> Result<()> {
    let flags = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).named(|| "mount(\"/\", MS_PRIVATE | MS_REC)".to_owned())
}

/// Detaches the mount at `path` (`MNT_DETACH`, not following a link).
pub fn detach(path: &Path) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
        .named(|| format!("umount2({path:?}, MNT_DETACH)"))
}

/// What a descriptor says it is, for messages: the path behind it as the kernel prints it.
pub fn describe_fd(fd: i32) -> String {
    match std::fs::read_link(format!("/proc/self/fd/{fd}")) {
        Ok(path) => format!("{path:?}"),
        Err(_) => format!("fd {fd}"),
    }
}
