//! What a container changed: its upper directory beside the layers below.
//!
//! Docker compares whole trees. An overlay's upper directory holds exactly what may differ, so that only
//! this is walked; the answer is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_archive::{Packing, Step, Visit, pack_as, walk};
use hull_mount::{MountFd, Overlay};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::{Base, Error, Places, Result, Snapshots, dir};

/// From an owner (user, group) on the disk to the one that the container sees.
pub type Owner<'a> = &'a (dyn Fn(u32, u32) -> (u32, u32) + Sync);

/// A container's root file system, as it stands.
#[derive(Clone, Copy)]
pub struct Changed<'a> {
    /// What lies below.
    pub base: &'a Base,
    /// The place of its changes.
    pub slot: &'a str,
    /// Translates owners, if it has a user namespace of its own.
    pub owner: Option<Owner<'a>>,
    /// Paths, without a leading slash, that were made for mounts: left out while nothing is in them.
    pub mountpoints: &'a [&'a str],
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is another one, or something in it is.
    Modified,
    /// It was not there.
    Added,
    /// It is no longer there.
    Deleted,
}

/// The directories that a comparison needs.
struct Sides {
    upper: Option<OwnedFd>,
    lower: MountFd,
}

impl Snapshots {
    /// Every path that a container changed, with a leading slash, sorted.
    ///
    /// # Errors
    /// [`Error::InMemory`], [`Error::MissingLayer`], [`Error::Mount`], [`Error::File`].
    pub fn changes(&self, of: &Changed<'_>) -> Result<BTreeMap<Vec<u8>, ChangeKind>> {
        let sides = self.sides(of)?;
        let Some(upper) = &sides.upper else { return Ok(BTreeMap::new()) };
        let ghosts = self.ghosts(upper, &sides.lower, of);
        let mut comparing = Comparing { of, lower: Lower::new(&sides.lower), opaque: None, found: BTreeMap::new() };
        walk(upper.as_fd(), |visit| match ghosts.contains(visit.path) {
            true => Ok(Step::Over),
            false => comparing.visit(visit),
        })?;
        Ok(with_parents(comparing.found))
    }

    /// Writes what a container changed as a layer; how many entries it has.
    ///
    /// # Errors
    /// As [`Snapshots::changes`], and [`Error::Archive`].
    pub fn pack_changes(&self, of: &Changed<'_>, to: impl Write) -> Result<u64> {
        let sides = self.sides(of)?;
        let Some(upper) = &sides.upper else {
            return Ok(pack_as(
                dir::open(&sides.lower, ".")?.as_fd(),
                to,
                &Packing { without_root: true, skip: Some(&|_| true), ..Packing::default() },
            )?
            .1);
        };
        let ghosts = self.ghosts(upper, &sides.lower, of);
        let stat = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).map_err(Error::file("stat", "/"));
        let (mine, theirs) = (stat(upper.as_fd())?, stat(sides.lower.as_fd())?);
        let how = Packing {
            whiteouts: true,
            without_root: look(&mine, of.owner, false) == look(&theirs, None, false),
            owner: of.owner.map(|owner| owner as &dyn Fn(u32, u32) -> (u32, u32)),
            skip: Some(&|path| ghosts.contains(path)),
            ..Packing::default()
        };
        Ok(pack_as(upper.as_fd(), to, &how)?.1)
    }

    /// Writes everything that a container sees, or would, without what is mounted in it.
    ///
    /// # Errors
    /// As [`Snapshots::pack_changes`].
    pub fn pack_merged(&self, of: &Changed<'_>, to: impl Write) -> Result<()> {
        let sides = self.sides(of)?;
        let how =
            Packing { owner: of.owner.map(|owner| owner as &dyn Fn(u32, u32) -> (u32, u32)), ..Packing::default() };
        let pack = |root: BorrowedFd<'_>| -> Result<()> {
            pack_as(dir::open(root, ".")?.as_fd(), to, &how)?;
            Ok(())
        };
        match &sides.upper {
            Some(upper) => pack(self.read_only(of.base, Some(upper))?.as_fd()),
            None => self.look(of.base, false, pack)?,
        }
    }

    fn sides(&self, of: &Changed<'_>) -> Result<Sides> {
        crate::slots::check(of.slot)?;
        let upper = match dir::open_path(&self.inner.slots, of.slot) {
            Ok(slot) => match dir::open_path(&slot, "upper") {
                Ok(_) => Some(dir::open(&slot, "upper")?),
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(Error::file("open", of.slot)(errno)),
            },
            // It never started.
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(Error::file("open", of.slot)(errno)),
        };
        Ok(Sides { upper, lower: self.read_only(of.base, None)? })
    }

    fn ghosts(&self, upper: &OwnedFd, lower: &MountFd, of: &Changed<'_>) -> BTreeSet<Vec<u8>> {
        ghosts(upper, lower, of, self.inner.places.get().copied().unwrap_or_default())
    }

    /// The layers as one tree that nobody can write to, with `top` above them.
    fn read_only(&self, base: &Base, top: Option<&OwnedFd>) -> Result<MountFd> {
        let Base::Layers(layers) = base else { return Err(Error::InMemory) };
        let mut lowers: Vec<OwnedFd> = Vec::new();
        for chain_id in layers.iter().rev() {
            lowers.push(self.layer_fs(&self.inner.layers, chain_id)?);
        }
        if lowers.is_empty() {
            lowers.push(dir::open_path(&self.inner.slots, ".empty").map_err(Error::file("open", ".empty"))?);
        }
        let lowers: Vec<BorrowedFd<'_>> =
            top.iter().map(|top| top.as_fd()).chain(lowers.iter().map(AsFd::as_fd)).collect();
        Ok(hull_mount::overlay(&Overlay { lowers: &lowers, ..Overlay::default() })?)
    }
}

/// What was made in the upper directory only for something to be mounted on, or since every container has it, and
/// directories that are there for nothing else.
fn ghosts(upper: &OwnedFd, lower: &MountFd, of: &Changed<'_>, made: Places) -> BTreeSet<Vec<u8>> {
    let (mut above, mut below) = (Lower::new(upper), Lower::new(lower));
    let mut ghosts = BTreeSet::new();
    let mut candidates: BTreeSet<Vec<u8>> = of.mountpoints.iter().map(|path| path.as_bytes().to_vec()).collect();
    // Deeper ones first: a directory that holds nothing but ghosts may be one.
    while let Some(path) = candidates.pop_last() {
        let Some(mine) = above.stat(&path) else { continue };
        let theirs = below.stat(&path);
        let hollow = match FileType::from_raw_mode(mine.st_mode) {
            FileType::RegularFile => mine.st_size == 0 && theirs.is_none(),
            FileType::Symlink => {
                theirs.is_none() && above.link(&path).is_some_and(|text| made.has_link(&path, text.to_bytes()))
            }
            FileType::Directory => {
                let inside = above.names(&path).unwrap_or_default();
                // What lies below and differs in nothing but its time was touched by what was made in it.
                let unchanged = theirs.is_none_or(|theirs| look(&mine, of.owner, false) == look(&theirs, None, false));
                unchanged
                    && inside.iter().all(|name| ghosts.contains(&join(&path, name)))
                    && (theirs.is_none() || !inside.is_empty())
            }
            _ => false,
        };
        if hollow {
            if let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
                candidates.insert(path[..slash].to_vec());
            }
            ghosts.insert(path);
        }
    }
    ghosts
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, b"/", name].concat() }
}

struct Comparing<'a> {
    of: &'a Changed<'a>,
    lower: Lower<'a>,
    /// The outermost opaque directory that is being visited: nothing below shows in it.
    opaque: Option<Vec<u8>>,
    found: BTreeMap<Vec<u8>, ChangeKind>,
}

impl Comparing<'_> {
    fn visit(&mut self, visit: &Visit<'_>) -> Result<Step> {
        let below = self.lower.stat(visit.path);
        if visit.is_whiteout() {
            if below.is_some() {
                self.tell(visit.path, ChangeKind::Deleted);
            }
            return Ok(Step::Over);
        }
        let Some(below) = below else {
            self.tell(visit.path, ChangeKind::Added);
            return Ok(Step::In);
        };
        let is_directory = visit.kind() == FileType::Directory;
        let was_directory = FileType::from_raw_mode(below.st_mode) == FileType::Directory;
        if is_directory && was_directory {
            self.vanished(visit)?;
        }
        if look(&visit.stat, self.of.owner, true) != look(&below, None, true) || self.capability_differs(visit) {
            self.tell(visit.path, ChangeKind::Modified);
        }
        Ok(Step::In)
    }

    /// Names that an opaque directory no longer has.
    fn vanished(&mut self, visit: &Visit<'_>) -> Result<()> {
        let inside = |outer: &Vec<u8>| visit.path.strip_prefix(&outer[..]).is_some_and(|rest| rest.starts_with(b"/"));
        let opened = visit.open(OFlags::RDONLY | OFlags::DIRECTORY);
        let upper = match opened {
            Ok(upper) => upper,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(Error::file("open", String::from_utf8_lossy(visit.path))(errno)),
        };
        if !self.opaque.as_ref().is_some_and(inside) {
            let mut value = [0; 1];
            let opaque =
                matches!(rustix::fs::fgetxattr(&upper, "trusted.overlay.opaque", &mut value), Ok(1)) && value == *b"y";
            self.opaque = opaque.then(|| visit.path.to_vec());
        }
        if self.opaque.is_none() {
            return Ok(());
        }
        let here: BTreeSet<Vec<u8>> = names(&upper).unwrap_or_default().into_iter().collect();
        for name in self.lower.names(visit.path).unwrap_or_default() {
            if !here.contains(&name) {
                self.tell(&join(visit.path, &name), ChangeKind::Deleted);
            }
        }
        Ok(())
    }

    fn capability_differs(&mut self, visit: &Visit<'_>) -> bool {
        if visit.kind() != FileType::RegularFile {
            return false;
        }
        let read = |fd: std::result::Result<OwnedFd, Errno>| {
            let mut value = [0; 64];
            let length = fd.and_then(|fd| rustix::fs::fgetxattr(&fd, "security.capability", &mut value)).unwrap_or(0);
            value[..length].to_vec()
        };
        read(visit.open(OFlags::RDONLY | OFlags::NONBLOCK)) != read(self.lower.open(visit.path))
    }

    fn tell(&mut self, path: &[u8], kind: ChangeKind) {
        self.found.insert([b"/", path].concat(), kind);
    }
}

/// COMPAT(docker 28): a directory is modified when something in it is; `/` is never told.
fn with_parents(mut found: BTreeMap<Vec<u8>, ChangeKind>) -> BTreeMap<Vec<u8>, ChangeKind> {
    let mut parents = BTreeSet::new();
    for path in found.keys() {
        let slashes = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
        parents.extend(slashes.map(|(at, _)| path[..at].to_vec()));
    }
    for parent in parents {
        found.entry(parent).or_insert(ChangeKind::Modified);
    }
    found
}

/// What docker compares: type and mode, owner, device; with `times` also the time, and a file's size.
fn look(stat: &Stat, owner: Option<Owner<'_>>, times: bool) -> (u32, (u32, u32), u64, i64, i64, i64) {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let owner = owner.map_or((stat.st_uid, stat.st_gid), |owner| owner(stat.st_uid, stat.st_gid));
    let device = if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) { stat.st_rdev } else { 0 };
    let size = if kind == FileType::Directory || !times { 0 } else { stat.st_size };
    let (secs, nanos) = if times { (stat.st_mtime, stat.st_mtime_nsec as i64) } else { (0, 0) };
    (stat.st_mode, owner, device, size, secs, nanos)
}

/// A tree that is looked at by path, directory after directory, without following links.
struct Lower<'a> {
    root: BorrowedFd<'a>,
    /// The directory that was asked for last; `None` if there is no such directory.
    last: Option<(Vec<u8>, Option<OwnedFd>)>,
}

impl<'a> Lower<'a> {
    fn new(root: &'a impl AsFd) -> Self {
        Self { root: root.as_fd(), last: None }
    }

    fn directory(&mut self, path: &[u8]) -> Option<BorrowedFd<'_>> {
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            self.last = Some((path.to_vec(), self.walk(path)));
        }
        self.last.as_ref().and_then(|(_, fd)| fd.as_ref()).map(AsFd::as_fd)
    }

    fn walk(&self, path: &[u8]) -> Option<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut current = rustix::fs::openat(self.root, ".", flags, Mode::empty()).ok()?;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            current = rustix::fs::openat(&current, name, flags, Mode::empty()).ok()?;
        }
        Some(current)
    }

    fn stat(&mut self, path: &[u8]) -> Option<Stat> {
        let (dir, name) = split(path);
        rustix::fs::statat(self.directory(dir)?, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// What a link says.
    fn link(&mut self, path: &[u8]) -> Option<CString> {
        let (dir, name) = split(path);
        rustix::fs::readlinkat(self.directory(dir)?, name, Vec::new()).ok()
    }

    fn open(&mut self, path: &[u8]) -> std::result::Result<OwnedFd, Errno> {
        let (dir, name) = split(path);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.directory(dir).ok_or(Errno::NOENT)?, name, flags, Mode::empty())
    }

    fn names(&mut self, path: &[u8]) -> Option<Vec<Vec<u8>>> {
        names(self.directory(path)?).ok()
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn names(dir: impl AsFd) -> std::result::Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}
