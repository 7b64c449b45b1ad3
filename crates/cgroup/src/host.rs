//! [`Host`]: what this machine offers, and the way to make, find and list cgroups.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use rustix::fs::OFlags;

use crate::devices::DeviceRule;
use crate::error::{Error, Refusal};
use crate::group::Cgroup;
use crate::kernfs::Dir;
use crate::layout::{self, Hierarchy, Layout};
use crate::limits::Limits;
use crate::parent::{self, CONTAINERS, ENGINE_LEAF, Parent, Roots, SPARE, Spare};
use crate::support::Support;
use crate::{program, reap, v1};

/// Which interface the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One tree.
    V2,
    /// One tree per controller, with or without a v2 tree beside them.
    V1,
}

/// The cgroup file systems of this machine, opened once and shared.
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    roots: Arc<Roots>,
    parents: Mutex<HashMap<String, Arc<Parent>>>,
    /// Held for writing while a parent goes, for reading while a group is made in one.
    leaving: RwLock<()>,
    support: OnceLock<Support>,
    /// The device program loaded last: nearly every container has the same rules.
    program: Mutex<Option<(Vec<DeviceRule>, Arc<OwnedFd>)>>,
}

/// Serial numbers of spare directories.
static SPARES: AtomicU64 = AtomicU64::new(0);

impl Host {
    /// Finds what is mounted, and under systemd the cgroup that was delegated to this process.
    pub fn detect() -> Result<Self, Error> {
        let read =
            |path: &str| std::fs::read_to_string(path).map_err(|source| Error::ReadHost { path: path.into(), source });
        let layout = layout::parse(&read("/proc/self/mountinfo")?).ok_or(Error::NotMounted)?;
        let roots = match layout {
            Layout::V2(mountpoint) => {
                let own = read("/proc/self/cgroup")?;
                match layout::own_v2_path(&own).and_then(|own| delegated(&mountpoint, own)) {
                    Some(unit) => Roots::V2 { base: Dir::open(&mountpoint.join(&unit))?, delegated: Some(unit) },
                    None => Roots::V2 { base: Dir::open(&mountpoint)?, delegated: None },
                }
            }
            Layout::V1(list) => Roots::v1(list)?,
        };
        Ok(Self::with_roots(roots))
    }

    /// As [`Host::detect`], but paths are counted from the mounts, whatever was delegated to this process.
    pub fn detect_whole() -> Result<Self, Error> {
        let path = "/proc/self/mountinfo";
        let text = hull_sys::proc::read(path)
            .map_err(|error| Error::ReadHost { path: path.into(), source: error.errno.into() })?;
        Ok(Self::with_roots(match layout::parse(&text).ok_or(Error::NotMounted)? {
            Layout::V2(mountpoint) => Roots::V2 { base: Dir::open(&mountpoint)?, delegated: None },
            Layout::V1(list) => Roots::v1(list)?,
        }))
    }

    /// A cgroup v2 tree at a given place, whatever else the machine has mounted.
    pub fn on_v2(mountpoint: &Path) -> Result<Self, Error> {
        Ok(Self::with_roots(Roots::V2 { base: Dir::open(mountpoint)?, delegated: None }))
    }

    pub(crate) fn with_roots(roots: Roots) -> Self {
        Self(Arc::new(Inner {
            roots: Arc::new(roots),
            parents: Mutex::default(),
            leaving: RwLock::new(()),
            support: OnceLock::new(),
            program: Mutex::default(),
        }))
    }

    /// Skips the probe of a stand-in that makes no files of its own.
    #[cfg(test)]
    pub(crate) fn assume(&self, support: Support) {
        self.0.support.set(support).unwrap();
    }

    /// Which interface is used.
    pub fn version(&self) -> Version {
        match &*self.0.roots {
            Roots::V2 { .. } => Version::V2,
            Roots::V1(_) => Version::V1,
        }
    }

    /// Whether systemd has delegated a cgroup to the engine.
    pub fn is_delegated(&self) -> bool {
        matches!(&*self.0.roots, Roots::V2 { delegated: Some(_), .. })
    }

    /// v2: the directory in which everything is made, the mount point or the delegated cgroup.
    pub fn directory(&self) -> Option<&Path> {
        match &*self.0.roots {
            Roots::V2 { base, .. } => Some(base.path()),
            Roots::V1(_) => None,
        }
    }

    /// v2: where the whole tree is mounted.
    pub fn mountpoint(&self) -> Option<&Path> {
        match &*self.0.roots {
            Roots::V2 { base, delegated } => {
                let below = delegated.as_ref().map_or(0, |unit| unit.components().count());
                base.path().ancestors().nth(below)
            }
            Roots::V1(_) => None,
        }
    }

    /// The v1 hierarchies of the host; none on v2.
    pub fn hierarchies(&self) -> impl Iterator<Item = &Hierarchy> {
        let list = match &*self.0.roots {
            Roots::V2 { .. } => &[][..],
            Roots::V1(list) => &list[..],
        };
        list.iter().map(|(hierarchy, _)| hierarchy)
    }

    /// Which limits this kernel can enforce. The first call makes and removes a probe directory.
    pub fn support(&self) -> &Support {
        let inner = &self.0;
        inner.support.get_or_init(|| Support::detect(&inner.roots))
    }

    /// Makes the cgroup `id` below `parent` and writes the limits. Undone as a whole on failure.
    ///
    /// A directory of that name without processes is a leftover and replaced.
    pub fn create(&self, parent: &str, id: &str, limits: &Limits) -> Result<Cgroup, Error> {
        check_id(id)?;
        let _stays = self.0.leaving.read().unwrap_or_else(PoisonError::into_inner);
        let parent = self.parent(parent)?;
        Cgroup::create(self.clone(), parent, id, limits)
    }

    /// As [`Host::create`], at a path below the mounts, in every hierarchy.
    pub fn create_at(&self, path: &str, limits: &Limits) -> Result<Cgroup, Error> {
        let (parent, id) = split(path)?;
        Cgroup::create(self.clone(), self.parent_or_root(&parent), &id, limits)
    }

    /// As [`Host::create_at`], where somebody else has made the group for this.
    pub fn adopt_at(&self, path: &str, limits: &Limits) -> Result<Cgroup, Error> {
        let (parent, id) = split(path)?;
        Cgroup::adopt(self.clone(), self.parent_or_root(&parent), &id, limits)
    }

    /// As [`Host::open`], at a path below the mounts.
    pub fn open_at(&self, path: &str) -> Result<Cgroup, Error> {
        let (parent, id) = split(path)?;
        Cgroup::open(self.clone(), self.parent_or_root(&parent), &id)
    }

    /// The parent of that name, or the root where it has none.
    fn parent_or_root(&self, name: &str) -> Arc<Parent> {
        Arc::new(Parent::everywhere(self.0.roots.clone(), name.to_owned()))
    }

    /// Finds an existing cgroup; [`Error::Missing`] if there is none.
    pub fn open(&self, parent: &str, id: &str) -> Result<Cgroup, Error> {
        check_id(id)?;
        Cgroup::open(self.clone(), self.parent(parent)?, id)
    }

    /// One that is not there, as [`Host::create`] would make it: for telling. What it is asked for that the kernel would have to
    /// tell is [`Error::Missing`].
    pub fn to_come(&self, parent: &str, id: &str, limits: &Limits) -> Result<Cgroup, Error> {
        check_id(id)?;
        Cgroup::to_come(self.clone(), self.parent(parent)?, id, limits)
    }

    /// The ids below a parent, in any hierarchy, sorted.
    pub fn list(&self, parent: &str) -> Result<Vec<String>, Error> {
        let parent = self.parent(parent)?;
        let mut ids: Vec<String> = names(&parent)?.into_iter().filter(|name| !name.starts_with('.')).collect();
        ids.sort();
        Ok(ids)
    }

    /// Removes the directories of a parent that this or an earlier engine made for it, from the last one up, as far as nothing
    /// is in them: a user's parent ends with the last container in it. What was there before stays.
    ///
    /// # Errors
    /// The name is none.
    pub fn leave_parent(&self, parent: &str) -> Result<(), Error> {
        let _alone = self.0.leaving.write().unwrap_or_else(PoisonError::into_inner);
        let parent = self.parent(parent)?;
        if parent.leave() {
            self.0.lock_parents().remove(parent.name());
        }
        Ok(())
    }

    /// Removes the parent if nothing is in it, spare directories aside. `false`: something is left.
    pub fn remove_parent(&self, parent: &str) -> Result<bool, Error> {
        let parent = self.parent(parent)?;
        self.0.lock_parents().remove(parent.name());
        parent.lock_spares().clear();
        for name in names(&parent)? {
            if name.starts_with(SPARE) {
                reap::remove_everywhere(&parent, &name)?;
            }
        }
        parent.remove()
    }

    /// v1: keeps `count` empty directories ready, with the device rules asked for last, so that [`Host::create`]
    /// renames (4 µs per hierarchy) instead of making them (15, and 110 for memory). Nothing on v2, which
    /// cannot rename.
    pub fn refill(&self, parent: &str, count: usize) -> Result<(), Error> {
        if self.version() == Version::V2 {
            return Ok(());
        }
        let parent = self.parent(parent)?;
        while parent.lock_spares().len() < count {
            let serial = SPARES.fetch_add(1, Ordering::Relaxed);
            let name = format!("{SPARE}{}-{serial}", std::process::id());
            match spare(&parent, &name) {
                Ok(spare) => parent.lock_spares().push(spare),
                Err(error) => {
                    let _ = reap::remove_everywhere(&parent, &name);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Removes the spare directories that an earlier engine left. Part of recovery.
    pub fn sweep_spares(&self, parent: &str) -> Result<(), Error> {
        let parent = self.parent(parent)?;
        for name in names(&parent)? {
            if name.starts_with(SPARE) && !parent.lock_spares().iter().any(|spare| spare.name == name) {
                reap::remove_everywhere(&parent, &name)?;
            }
        }
        Ok(())
    }

    /// The roots themselves.
    pub(crate) fn top(&self) -> Arc<Parent> {
        self.parent_or_root("")
    }

    pub(crate) fn parent(&self, name: &str) -> Result<Arc<Parent>, Error> {
        let name = parent::normalize(name)?;
        let mut parents = self.0.lock_parents();
        let found = parents.entry(name.clone()).or_insert_with(|| Arc::new(Parent::new(self.0.roots.clone(), name)));
        Ok(found.clone())
    }

    /// Drops the cached descriptors of a parent that somebody has removed behind our back.
    pub(crate) fn reopen(&self, stale: &Parent) -> Result<Arc<Parent>, Error> {
        self.0.lock_parents().remove(stale.name());
        self.parent(stale.name())
    }

    /// The loaded device program for the rules.
    pub(crate) fn device_program(&self, rules: &[DeviceRule]) -> Result<Arc<OwnedFd>, hull_sys::Error> {
        let mut last = lock(&self.0.program);
        if let Some((known, fd)) = &*last
            && known == rules
        {
            return Ok(fd.clone());
        }
        let fd = Arc::new(hull_sys::bpf::load_device_program(&program::compile(rules))?);
        *last = Some((rules.to_vec(), fd.clone()));
        Ok(fd)
    }
}

impl Inner {
    fn lock_parents(&self) -> MutexGuard<'_, HashMap<String, Arc<Parent>>> {
        lock(&self.parents)
    }
}

impl Parent {
    pub(crate) fn lock_spares(&self) -> MutexGuard<'_, Vec<Spare>> {
        lock(&self.spares)
    }

    pub(crate) fn lock_rules(&self) -> MutexGuard<'_, Option<Vec<DeviceRule>>> {
        lock(&self.rules)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes one. What was made of it is left to the caller if it fails.
fn spare(parent: &Parent, name: &str) -> Result<Spare, Error> {
    let rules = parent.lock_rules().clone();
    let mut tasks = Vec::new();
    for index in parent.base() {
        let dir = parent.dir(index)?;
        dir.make(name)?;
        if let (Some(rules), true) = (&rules, parent.index_of("devices") == Some(index)) {
            for write in v1::device_writes(rules) {
                dir.write(Path::new(name).join(&write.file), &write.values)?;
            }
        }
        tasks.push((index, dir.file(Path::new(name).join("tasks"), OFlags::WRONLY)?));
    }
    Ok(Spare { name: name.to_owned(), rules, tasks })
}

/// Every directory below the parent, in any hierarchy.
fn names(parent: &Parent) -> Result<std::collections::BTreeSet<String>, Error> {
    let mut found = std::collections::BTreeSet::new();
    for index in parent.all() {
        if let Some(dir) = parent.existing(index)? {
            match dir.directories(".") {
                Ok(names) => found.extend(names.into_iter().filter_map(|n| n.into_string().ok())),
                // Somebody else has removed it since it was opened.
                Err(Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

/// A path as its parent, possibly empty, and its last part.
fn split(path: &str) -> Result<(String, String), Refusal> {
    let path = parent::normalize(path)?;
    let (parent, id) = path.rsplit_once('/').unwrap_or(("", &path));
    Ok((parent.to_owned(), id.to_owned()))
}

/// An id is one path component that cannot be taken for a file of the kernel or a spare.
fn check_id(id: &str) -> Result<(), Refusal> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if id.is_empty() || id.len() > 128 || !id.bytes().all(plain) {
        return Err(Refusal::Name(id.chars().take(100).collect()));
    }
    Ok(())
}

/// The cgroup that systemd has delegated to this process, below the mount: that of the unit for
/// containers beside its own (`hull-containers.service` of `hull.service`), else its own unit's.
fn delegated(mountpoint: &Path, own: &Path) -> Option<PathBuf> {
    let unit = match own.file_name() {
        Some(name) if name == ENGINE_LEAF => own.parent()?,
        Some(_) => own,
        None => return None,
    };
    let beside = unit.file_name().and_then(|name| name.to_str()?.strip_suffix(".service"));
    let beside = beside.map(|name| unit.with_file_name(format!("{name}{CONTAINERS}.service")));
    beside.into_iter().chain([unit.to_owned()]).find(|unit| is_delegated(&mountpoint.join(unit)))
}

/// `Delegate=` sets an extended attribute.
fn is_delegated(path: &Path) -> bool {
    let is_set = |name: &str| {
        let mut value = [0; 8];
        let read = rustix::fs::getxattr(path, name, &mut value);
        read.is_ok_and(|n| value[..n.min(8)] == *b"1")
    };
    is_set("trusted.delegate") || is_set("user.delegate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_plain_component() {
        assert!(check_id(&"a1".repeat(32)).is_ok());
        for bad in ["", ".", "..", "a/b", "a.b", ".spare-1", "a b", "a\n"] {
            assert!(check_id(bad).is_err(), "{bad:?}");
        }
    }
}
