//! Mounts, nodes and links beneath the root: resolved to a descriptor once, attached to that.

mod copy;
mod old;
mod parents;

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use hull_sys::mount::{self, FsContext, SetAttr};
use hull_sys::{Error, Named, Result, resolve};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::Child;
use crate::plan::{Attrs, Node, Slot, Target};
use parents::Known;
pub(super) use parents::{Parents, Spent};

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

/// Options as a plan has them.
pub(super) type Options = [(String, Option<String>)];

/// The root of the mount namespace that the process is in.
pub(super) fn open_own_root() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", flags, Mode::empty()).named(|| "open(\"/\")".to_owned())
}

impl Child<'_> {
    pub(super) fn attach_root(&mut self, slot: Slot, attrs: &Attrs) -> Result<()> {
        let mount = self.slot(slot)?;
        self.root = Some(hull_sys::fds::duplicate(mount)?);
        // Over the present root: a lookup of `/` still starts beneath it, until the pivot.
        self.attach_with(mount, open_own_root()?.as_fd(), &[set_attr(attrs)])?;
        self.pivot_due = true;
        Ok(())
    }

    pub(super) fn pivot_root(&mut self) -> Result<()> {
        match &self.root {
            Some(root) if self.pivot_due => {
                rustix::process::fchdir(root).named(|| "fchdir(root)".to_owned())?;
                mount::pivot_root_here()?;
                self.pivot_due = false;
                self.parents = Parents::default();
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

    pub(super) fn attach(&mut self, slot: Slot, target: &Target, (attrs, then): (&Attrs, &[Attrs])) -> Result<()> {
        let mount = self.slot(slot)?;
        let place = self.place(target)?;
        let all: Vec<_> = std::iter::once(attrs).chain(then).map(set_attr).collect();
        self.attach_with(mount, place.as_fd(), &all)?;
        self.spent.keep(place);
        Ok(())
    }

    pub(super) fn new_mount(&mut self, fstype: &str, options: &Options, attrs: &Attrs, target: &Target) -> Result<()> {
        let (place, plain) = self.plain_place(target)?;
        let mount = new_detached(fstype, options, attrs.set, &mut self.spent)?;
        let spread = SetAttr { propagation: attrs.propagation, ..SetAttr::default() };
        self.attach_with(mount.as_fd(), place.as_fd(), &[spread])?;
        self.spent.keep(place);
        if fstype == "tmpfs" && plain {
            // What comes next is often made in it.
            self.parents.add(Known { path: target.path.clone(), fd: mount, plain, mounted: true });
        } else {
            self.spent.keep(mount);
        }
        Ok(())
    }

    pub(super) fn tmpfs_copy_up(&mut self, options: &Options, attrs: &Attrs, target: &Target) -> Result<()> {
        let place = self.place(target)?;
        // Written to first, made read-only after.
        let mount = new_detached("tmpfs", options, attrs.set & !RDONLY, &mut self.spent)?;
        copy::tree(place.as_fd(), mount.as_fd())?;
        let seal = SetAttr { set: attrs.set & RDONLY, propagation: attrs.propagation, ..SetAttr::default() };
        self.attach_with(mount.as_fd(), place.as_fd(), &[seal])
    }

    /// The mount point, made if the plan says so.
    fn place(&mut self, target: &Target) -> Result<OwnedFd> {
        self.plain_place(target).map(|(place, _)| place)
    }

    /// Also, whether the way to it is known to be without links.
    fn plain_place(&mut self, target: &Target) -> Result<(OwnedFd, bool)> {
        let path = &target.path;
        if target.create == Some(Node::Dir)
            && let Some(made) = self.made_in_a_known(path)
        {
            return Ok(made);
        }
        let flags = if target.create == Some(Node::Dir) { OFlags::DIRECTORY } else { OFlags::empty() };
        if let Some(place) = resolve::open_direct(self.root()?, path, OFlags::PATH | flags) {
            // ORDER: what is mounted there covers what is known beneath it.
            self.parents.cover(path);
            return Ok((place, true));
        }
        self.refuse_linked_base(path)?;
        // ORDER: as above; by a link it may be any.
        self.parents = Parents::default();
        let place = match target.create {
            None => resolve::open_in_root(self.root()?, path, OFlags::PATH),
            Some(Node::Dir) => self.directory(path),
            Some(Node::File) => resolve::mkfile_in_root(self.root()?, path, 0o644),
        }?;
        refuse_linked_proc(self.root()?, path, &place)?;
        Ok((place, false))
    }

    fn directory(&mut self, path: &Path) -> Result<OwnedFd> {
        match resolve::open_in_root(self.root()?, path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(error) if error.errno == Errno::NOENT => {}
            result => return result,
        }
        if path.file_name().is_some() {
            self.parent_of(path)?;
        }
        match self.made_in_a_known(path) {
            Some((made, _)) => Ok(made),
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
        if self.parents.find(directory).is_none() {
            let direct = resolve::open_direct(self.root()?, directory, OFlags::PATH | OFlags::DIRECTORY);
            let plain = direct.is_some();
            let fd = match direct {
                Some(fd) => fd,
                None => resolve::parent_in_root(self.root()?, path)?.0,
            };
            self.parents.add(Known { path: directory.to_owned(), fd, plain, mounted: false });
        }
        Ok((self.parents.find(directory).expect("just added").fd.as_fd(), name))
    }

    /// A new directory in a known one. `None`: another place, or something is there.
    fn made_in_a_known(&self, path: &Path) -> Option<(OwnedFd, bool)> {
        let Known { fd, plain, .. } = self.parents.find(path.parent()?)?;
        let name = path.file_name()?;
        rustix::fs::mkdirat(fd, name, Mode::from_raw_mode(0o755)).ok()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Some((rustix::fs::openat(fd, name, flags, Mode::empty()).ok()?, *plain))
    }

    pub(super) fn symlink(&mut self, path: &Path, to: &Path) -> Result<()> {
        let (parent, name) = self.parent_of(path)?;
        match rustix::fs::symlinkat(to, parent, name) {
            Err(Errno::EXIST) => Ok(()),
            result => result.named(|| format!("symlink({to:?}, {path:?})")),
        }
    }

    pub(super) fn readonly_path(&mut self, path: &Path) -> Result<()> {
        self.parents = Parents::default();
        let Some(place) = self.existing(path)? else { return Ok(()) };
        let clone = mount::clone_tree(&place, true)?;
        let attrs = SetAttr { set: RDONLY, recursive: true, ..SetAttr::default() };
        self.attach_with(clone.as_fd(), place.as_fd(), &[attrs])?;
        self.spent.keep(clone);
        self.spent.keep(place);
        Ok(())
    }

    pub(super) fn masked_path(&mut self, path: &Path) -> Result<()> {
        self.parents = Parents::default();
        let Some(place) = self.existing(path)? else { return Ok(()) };
        let stat = rustix::fs::fstat(&place).named(|| format!("stat({path:?})"))?;
        let directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let known = if directory { &self.masks.directory } else { &self.masks.file };
        if let Some(mask) = known {
            let mask = mount::clone_tree(mask, false)?;
            mount::attach(&mask, &place)?;
            self.spent.keep(mask);
            self.spent.keep(place);
            return Ok(());
        }
        let (mask, attrs) = if directory {
            (empty_directory(&mut self.spent)?, SetAttr::default())
        } else {
            (null_device()?, SetAttr { set: RDONLY | NOSUID | NOEXEC, ..SetAttr::default() })
        };
        self.attach_with(mask.as_fd(), place.as_fd(), &[attrs])?;
        self.spent.keep(place);
        let known = if directory { &mut self.masks.directory } else { &mut self.masks.file };
        *known = Some(mask);
        Ok(())
    }

    pub(super) fn remount(&mut self, path: &Path, attrs: &Attrs) -> Result<()> {
        let attrs = set_attr(attrs);
        let known = self.parents.find(path).filter(|known| known.mounted).map(|known| known.fd.as_fd());
        let place = match (known, path == Path::new("/")) {
            (Some(mount), _) => hull_sys::fds::duplicate(mount)?,
            (None, true) => hull_sys::fds::duplicate(self.root()?)?,
            (None, false) => resolve::open_in_root(self.root()?, path, OFlags::PATH)?,
        };
        match mount::set_attributes(&place, attrs) {
            Err(error) if error.errno == Errno::NOSYS => self.change_attached(place.as_fd(), &attrs)?,
            result => result?,
        }
        self.spent.keep(place);
        Ok(())
    }

    /// Attaches a detached mount that has these attributes.
    fn attach_with(&mut self, mount: BorrowedFd<'_>, place: BorrowedFd<'_>, all: &[SetAttr<'_>]) -> Result<()> {
        let mut all = all.iter().filter(|attrs| (attrs.set, attrs.clear, attrs.propagation) != (0, 0, 0)).peekable();
        while let Some(attrs) = all.peek() {
            match mount::set_attributes(mount, **attrs) {
                // KERNEL(5.12): the older way needs it attached.
                Err(error) if error.errno == Errno::NOSYS => break,
                result => result?,
            }
            all.next();
        }
        mount::attach(mount, place)?;
        all.try_for_each(|attrs| self.change_attached(mount, attrs))
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

fn set_attr(attrs: &Attrs) -> SetAttr<'static> {
    let Attrs { set, clear, propagation, recursive } = *attrs;
    SetAttr { set, clear, propagation, idmap: None, recursive }
}

fn new_detached(fstype: &str, options: &Options, attrs: u64, spent: &mut Spent) -> Result<OwnedFd> {
    let context = match FsContext::open(fstype) {
        // KERNEL(5.2)
        Err(error) if error.errno == Errno::NOSYS => return mount::old::detached(fstype, options, attrs),
        context => context?,
    };
    if options.iter().all(|(key, _)| key != "source") {
        context.string("source", fstype)?;
    }
    for (key, value) in options {
        match value {
            Some(value) => context.string(key, value)?,
            None => context.flag(key)?,
        }
    }
    let (mount, context) = context.mount_and_keep(attrs)?;
    spent.keep(context);
    Ok(mount)
}

fn empty_directory(spent: &mut Spent) -> Result<OwnedFd> {
    let option = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
    let options = [option("size", "4k"), option("nr_inodes", "1"), option("mode", "755"), ("ro".to_owned(), None)];
    new_detached("tmpfs", &options, RDONLY | NOSUID | NODEV | NOEXEC, spent)
}

/// CVE-2025-31133: the null device is the keeper's, verified by descriptor, never the image's.
fn null_device() -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for path in [crate::keeper::NULL_DEVICE, "/dev/null"] {
        let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) else { continue };
        let stat = rustix::fs::fstat(&fd).named(|| format!("stat({path:?})"))?;
        let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if device && stat.st_rdev == rustix::fs::makedev(1, 3) {
            return mount::clone_tree(&fd, false);
        }
    }
    Err(Error::new("open(null device 1:3)", Errno::NODEV))
}
