//! Mounts, nodes and links beneath the root: resolved to a descriptor once, attached to that.

mod copy;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use hull_sys::mount::{self, FsContext, SetAttr};
use hull_sys::{Error, Named, Result, resolve};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::Child;
use crate::plan::{Attrs, Node, Slot, Target};

const RDONLY: u64 = 0x1;
const NOSUID: u64 = 0x2;
const NODEV: u64 = 0x4;
const NOEXEC: u64 = 0x8;

/// What masks lie over: made for the first masked path, cloned for the others.
#[derive(Debug, Default)]
pub(super) struct Masks {
    /// An attached, empty, read-only tmpfs.
    directory: Option<OwnedFd>,
    /// An attached, read-only null device.
    file: Option<OwnedFd>,
    /// Which of `/proc`, `/sys` and `/dev` are known to be no links.
    checked: [bool; 3],
}

/// A directory beneath the root, open.
#[derive(Debug)]
pub(super) struct Parent {
    path: PathBuf,
    fd: OwnedFd,
}

/// Options as a plan has them.
pub(super) type Options = [(String, Option<String>)];

/// The root of the mount namespace that the process is in.
pub(super) fn open_own_root() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty()).named(|| "open(\"/\")".to_owned())
}

impl Child<'_> {
    pub(super) fn attach_root(&mut self, slot: Slot) -> Result<()> {
        let mount = self.slot(slot)?;
        // Over the present root: a lookup of `/` still starts beneath it, until the pivot.
        mount::attach(mount, open_own_root()?)?;
        self.root = Some(hull_sys::fds::duplicate(mount)?);
        self.pivot_due = true;
        Ok(())
    }

    pub(super) fn pivot_root(&mut self) -> Result<()> {
        match &self.root {
            Some(root) if self.pivot_due => {
                rustix::process::fchdir(root).named(|| "fchdir(root)".to_owned())?;
                mount::pivot_root_here()?;
                self.pivot_due = false;
                self.parent = None;
                Ok(())
            }
            _ => Err(Error::new("pivot_root without a root", Errno::INVAL)),
        }
    }

    pub(super) fn change_root(&mut self) -> Result<()> {
        match &self.root {
            Some(root) if self.pivot_due => {
                rustix::process::fchdir(root).named(|| "fchdir(root)".to_owned())?;
                rustix::process::chroot(".").named(|| "chroot(root)".to_owned())?;
                self.pivot_due = false;
                rustix::process::chdir("/").named(|| "chdir(\"/\")".to_owned())
            }
            _ => Err(Error::new("chroot without a root", Errno::INVAL)),
        }
    }

    pub(super) fn attach(&mut self, slot: Slot, target: &Target, attrs: &Attrs) -> Result<()> {
        let mount = self.slot(slot)?;
        apply(mount, attrs)?;
        mount::attach(mount, self.place(target)?)
    }

    pub(super) fn new_mount(&mut self, fstype: &str, options: &Options, attrs: &Attrs, target: &Target) -> Result<()> {
        let place = self.place(target)?;
        mount::attach(new_detached(fstype, options, attrs)?, place)
    }

    pub(super) fn tmpfs_copy_up(&mut self, options: &Options, attrs: &Attrs, target: &Target) -> Result<()> {
        let place = self.place(target)?;
        // Written to first, made read-only after.
        let writable = Attrs { set: attrs.set & !RDONLY, ..*attrs };
        let mount = new_detached("tmpfs", options, &writable)?;
        copy::tree(place.as_fd(), mount.as_fd())?;
        if attrs.set & RDONLY != 0 {
            mount::set_attributes(&mount, SetAttr { set: RDONLY, ..SetAttr::default() })?;
        }
        mount::attach(mount, place)
    }

    /// The mount point, made if the plan says so.
    fn place(&mut self, target: &Target) -> Result<OwnedFd> {
        let path = &target.path;
        if target.create == Some(Node::Dir)
            && let Some(made) = self.made_beside_the_last(path)
        {
            return Ok(made);
        }
        self.refuse_linked_base(path)?;
        // ORDER: what is mounted there may cover the directory. (It cannot when the mount point is new.)
        self.parent = None;
        let place = match target.create {
            None => resolve::open_in_root(self.root()?, path, OFlags::PATH),
            Some(Node::Dir) => self.directory(path),
            Some(Node::File) => resolve::mkfile_in_root(self.root()?, path, 0o644),
        }?;
        refuse_linked_proc(self.root()?, path, &place)?;
        Ok(place)
    }

    fn directory(&mut self, path: &Path) -> Result<OwnedFd> {
        match resolve::open_in_root(self.root()?, path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(error) if error.errno == Errno::NOENT => {}
            result => return result,
        }
        if path.file_name().is_some() {
            self.parent_of(path)?;
        }
        match self.made_beside_the_last(path) {
            Some(made) => Ok(made),
            None => resolve::mkdir_in_root(self.root()?, path, 0o755),
        }
    }

    /// CVE-2019-19921 and kin: an image whose `/proc`, `/sys` or `/dev` is a link would have what is
    /// mounted there land elsewhere, and what is hidden there stay visible.
    fn refuse_linked_base(&mut self, path: &Path) -> Result<()> {
        let mut components = path.components().filter(|c| *c != Component::RootDir);
        let Some(Component::Normal(first)) = components.next() else {
            return Ok(());
        };
        let Some(index) = ["proc", "sys", "dev"].iter().position(|name| first == *name) else {
            return Ok(());
        };
        if !self.masks.checked[index] {
            // One component, looked at without following it: nothing to resolve.
            let stat = rustix::fs::statat(self.root()?, first, AtFlags::SYMLINK_NOFOLLOW);
            if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink) {
                let base = Path::new("/").join(first);
                let call = format!("mount on {path:?}: {base:?} is a symbolic link in the image");
                return Err(Error::new(call, Errno::LOOP));
            }
            self.masks.checked[index] = true;
        }
        Ok(())
    }

    pub(super) fn device(
        &mut self,
        path: &Path,
        (kind, mode): (u32, u32),
        (major, minor): (u32, u32),
        (uid, gid): (u32, u32),
    ) -> Result<()> {
        self.refuse_linked_base(path)?;
        let (parent, name) = self.parent_of(path)?;
        let describe = || format!("mknod({path:?}, {kind:#o}, {major}:{minor})");
        let dev = rustix::fs::makedev(major, minor);
        let kind = FileType::from_raw_mode(kind);
        let bits = Mode::from_raw_mode(mode);
        let make = || rustix::fs::mknodat(parent, name, kind, bits, dev);
        if let Err(errno) = make() {
            let stat = match errno {
                Errno::EXIST => rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).named(describe)?,
                errno => return Err(errno).named(describe),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                there if there == kind && (stat.st_rdev == dev || kind == FileType::Fifo) => {}
                FileType::RegularFile if stat.st_size == 0 => {
                    rustix::fs::unlinkat(parent, name, AtFlags::empty()).named(describe)?;
                    make().named(describe)?;
                }
                _ => return Err(errno).named(describe),
            }
        }
        if (uid, gid) != (0, 0) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .named(|| format!("chown({path:?})"))?;
        }
        Ok(())
    }

    /// The directory that holds the last component of `path`, and that component.
    fn parent_of<'p>(&mut self, path: &'p Path) -> Result<(BorrowedFd<'_>, &'p OsStr)> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::new(format!("open the parent of {path:?}"), Errno::INVAL));
        };
        if self.parent.as_ref().is_none_or(|known| known.path != directory) {
            let (fd, _) = resolve::parent_in_root(self.root()?, path)?;
            self.parent = Some(Parent { path: directory.to_owned(), fd });
        }
        Ok((self.parent.as_ref().expect("just set").fd.as_fd(), name))
    }

    /// A new directory where the last thing was made. `None`: another place, or something is there.
    fn made_beside_the_last(&mut self, path: &Path) -> Option<OwnedFd> {
        let known = self.parent.as_ref().filter(|known| path.parent() == Some(&known.path))?;
        let name = path.file_name()?;
        rustix::fs::mkdirat(&known.fd, name, Mode::from_raw_mode(0o755)).ok()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&known.fd, name, flags, Mode::empty()).ok()
    }

    pub(super) fn symlink(&mut self, path: &Path, to: &Path) -> Result<()> {
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::symlinkat(to, parent, name) {
            Err(Errno::EXIST) => Ok(()),
            result => result.named(|| format!("symlink({to:?}, {path:?})")),
        }
    }

    pub(super) fn readonly_path(&mut self, path: &Path) -> Result<()> {
        self.parent = None;
        let Some(place) = self.existing(path)? else { return Ok(()) };
        let clone = mount::clone_tree(&place, true)?;
        let attrs = SetAttr { set: RDONLY, recursive: true, ..SetAttr::default() };
        mount::set_attributes(&clone, attrs)?;
        mount::attach(clone, place)
    }

    pub(super) fn masked_path(&mut self, path: &Path) -> Result<()> {
        self.parent = None;
        let Some(place) = self.existing(path)? else { return Ok(()) };
        let stat = rustix::fs::fstat(&place).named(|| format!("stat({path:?})"))?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let masks = &mut self.masks;
        let slot = if directory { &mut masks.directory } else { &mut masks.file };
        if let Some(mask) = slot {
            return mount::attach(mount::clone_tree(mask, false)?, place);
        }
        let mask = if directory { empty_directory()? } else { null_device()? };
        mount::attach(&mask, place)?;
        *slot = Some(mask);
        Ok(())
    }

    pub(super) fn remount(&mut self, path: &Path, attrs: &Attrs) -> Result<()> {
        let place = resolve::open_in_root(self.root()?, path, OFlags::PATH)?;
        apply(place.as_fd(), attrs)
    }

    /// What is at `path`, or `None`.
    fn existing(&mut self, path: &Path) -> Result<Option<OwnedFd>> {
        match resolve::open_in_root(self.root()?, path, OFlags::PATH) {
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => Ok(None),
            result => result.map(Some),
        }
    }
}

/// CVE-2025-52881: what does not lie in the container's `/proc` by name must not come to lie there by a
/// link of the image: labels and sysctls are written there.
fn refuse_linked_proc(root: BorrowedFd<'_>, path: &Path, place: &OwnedFd) -> Result<()> {
    let describe = || format!("mount on {path:?}: a link leads into /proc");
    let on_procfs = rustix::fs::fstatfs(place).named(describe)?.f_type == hull_sys::proc::PROC_SUPER_MAGIC;
    if !on_procfs || path.starts_with("/proc") {
        return Ok(());
    }
    let own = resolve::open_in_root(root, "/proc", OFlags::PATH)?;
    let device = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| stat.st_dev).named(describe);
    if device(&own)? == device(place)? {
        return Err(Error::new(describe(), Errno::LOOP));
    }
    Ok(())
}

fn apply(mount: BorrowedFd<'_>, attrs: &Attrs) -> Result<()> {
    if attrs.set == 0 && attrs.clear == 0 && attrs.propagation == 0 {
        return Ok(());
    }
    let attrs = SetAttr {
        set: attrs.set,
        clear: attrs.clear,
        propagation: attrs.propagation,
        idmap: None,
        recursive: attrs.recursive,
    };
    mount::set_attributes(mount, attrs)
}

fn new_detached(fstype: &str, options: &Options, attrs: &Attrs) -> Result<OwnedFd> {
    let context = FsContext::open(fstype)?;
    if options.iter().all(|(key, _)| key != "source") {
        context.string("source", fstype)?;
    }
    for (key, value) in options {
        match value {
            Some(value) => context.string(key, value)?,
            None => context.flag(key)?,
        }
    }
    let mount = context.mount(attrs.set)?;
    if attrs.propagation != 0 {
        let attrs = SetAttr { propagation: attrs.propagation, ..SetAttr::default() };
        mount::set_attributes(&mount, attrs)?;
    }
    Ok(mount)
}

fn empty_directory() -> Result<OwnedFd> {
    let context = FsContext::open("tmpfs")?;
    context.string("source", "tmpfs")?;
    context.string("size", "4k")?;
    context.string("nr_inodes", "1")?;
    context.string("mode", "755")?;
    context.flag("ro")?;
    context.mount(RDONLY | NOSUID | NODEV | NOEXEC)
}

/// CVE-2025-31133: the null device is the keeper's, verified by descriptor, never the image's.
fn null_device() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for path in [crate::keeper::NULL_DEVICE, "/dev/null"] {
        let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) else { continue };
        let stat = rustix::fs::fstat(&fd).named(|| format!("stat({path:?})"))?;
        let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if device && stat.st_rdev == rustix::fs::makedev(1, 3) {
            let clone = mount::clone_tree(&fd, false)?;
            let attrs = SetAttr { set: RDONLY | NOSUID | NOEXEC, ..SetAttr::default() };
            mount::set_attributes(&clone, attrs)?;
            return Ok(clone);
        }
    }
    Err(Error::new("open(null device 1:3)", Errno::NODEV))
}
