//! [`Parent`]: the directory (v2) or directories (v1, one per hierarchy) that hold an instance's
//! containers, kept open so that every later operation is relative to a descriptor.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::io::Errno;

use crate::devices::DeviceRule;
use crate::error::{Error, Refusal};
use crate::kernfs::Dir;
use crate::layout::Hierarchy;

/// The mounts, open.
#[derive(Debug)]
pub(crate) enum Roots {
    /// One tree.
    V2 {
        /// The mount point, or the delegated cgroup.
        base: Dir,
        /// The path below the mount of a cgroup that systemd has given to the engine: its own unit,
        /// whose processes may be moved to a leaf.
        delegated: Option<PathBuf>,
    },
    /// One tree per hierarchy.
    V1(Vec<(Hierarchy, Dir)>),
}

/// v1 controllers whose hierarchies every container joins: for statistics, freezing, killing and
/// devices. `cpuset` and `hugetlb` are joined when a limit asks; the rest never.
const BASE: [&str; 7] = ["cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids"];

/// v2 controllers handed down for every container. `cpuset` and `hugetlb` when a limit asks.
const BASE_V2: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// What the name of the unit for containers has after that of the engine's unit.
pub(crate) const CONTAINERS: &str = "-containers";

/// The leaf that takes the processes of a delegated cgroup.
pub(crate) const ENGINE_LEAF: &str = "hull-engine";

/// Spare directories start with this; ids never do.
pub(crate) const SPARE: &str = ".spare-";

/// v1: directories that wait to become a container's.
#[derive(Debug)]
pub(crate) struct Spare {
    /// What they are called until then.
    pub name: String,
    /// The device rules that they have already.
    pub rules: Option<Vec<DeviceRule>>,
    /// Their `tasks` files by index of the tree, open for writing: as good under the new name.
    pub tasks: Vec<(usize, OwnedFd)>,
}

/// An instance's directory, made on demand.
#[derive(Debug)]
pub(crate) struct Parent {
    roots: Arc<Roots>,
    name: String,
    /// v1: per hierarchy, once it is needed. v2: one.
    dirs: Vec<OnceLock<Dir>>,
    /// v2 controllers that were handed down to here.
    enabled: Mutex<BTreeSet<&'static str>>,
    /// Spare directories, present in every base hierarchy.
    pub spares: Mutex<Vec<Spare>>,
    /// v1: the device rules asked for last. Nearly every container has the same.
    pub rules: Mutex<Option<Vec<DeviceRule>>>,
    /// Groups are made in every hierarchy, not only in those that `base` names.
    everywhere: bool,
}

/// A parent as given by the user: a path without `.` and `..`, absolute or not.
pub(crate) fn normalize(parent: &str) -> Result<String, Refusal> {
    let refused = || Refusal::Parent(parent.chars().take(100).collect());
    let parts: Vec<&str> = parent.split('/').filter(|part| !part.is_empty()).collect();
    let bad = |part: &&str| *part == "." || *part == ".." || part.len() > 255 || part.chars().any(char::is_control);
    if parts.is_empty() || parts.len() > 32 || parts.iter().any(bad) {
        return Err(refused());
    }
    Ok(parts.join("/"))
}

impl Roots {
    /// Opens every hierarchy of version 1.
    pub fn v1(list: Vec<Hierarchy>) -> Result<Self, Error> {
        let open = |hierarchy: Hierarchy| {
            let dir = Dir::open(&hierarchy.mountpoint)?;
            Ok((hierarchy, dir))
        };
        Ok(Self::V1(list.into_iter().map(open).collect::<Result<_, Error>>()?))
    }
}

impl Parent {
    /// A parent, or the root itself, whose groups are in every hierarchy: for the OCI runtime, whose callers rely on it.
    pub fn everywhere(roots: Arc<Roots>, name: String) -> Self {
        Self { everywhere: true, ..Self::new(roots, name) }
    }

    pub fn new(roots: Arc<Roots>, name: String) -> Self {
        let count = match &*roots {
            Roots::V2 { .. } => 1,
            Roots::V1(list) => list.len(),
        };
        Self {
            roots,
            name,
            dirs: (0..count).map(|_| OnceLock::new()).collect(),
            enabled: Mutex::new(BTreeSet::new()),
            spares: Mutex::new(Vec::new()),
            everywhere: false,
            rules: Mutex::new(None),
        }
    }

    /// The name below the roots.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is below the mounts, as `/proc/PID/cgroup` shows it.
    pub fn path(&self) -> PathBuf {
        let above = match &*self.roots {
            Roots::V2 { delegated: Some(unit), .. } => Path::new("/").join(unit),
            _ => PathBuf::from("/"),
        };
        above.join(&self.name)
    }

    /// Whether this is version 2.
    pub fn is_v2(&self) -> bool {
        matches!(&*self.roots, Roots::V2 { .. })
    }

    /// The v1 hierarchy at an index.
    pub fn hierarchy(&self, index: usize) -> Option<&Hierarchy> {
        match &*self.roots {
            Roots::V2 { .. } => None,
            Roots::V1(list) => list.get(index).map(|(hierarchy, _)| hierarchy),
        }
    }

    /// The index of the tree that carries a controller: always 0 on v2.
    pub fn index_of(&self, controller: &str) -> Option<usize> {
        match &*self.roots {
            Roots::V2 { .. } => Some(0),
            Roots::V1(list) => list.iter().position(|(h, _)| h.carries(controller)),
        }
    }

    /// The trees that every container is in.
    pub fn base(&self) -> Vec<usize> {
        match &*self.roots {
            Roots::V2 { .. } => vec![0],
            Roots::V1(list) if self.everywhere => (0..list.len()).collect(),
            Roots::V1(list) => (0..list.len()).filter(|index| BASE.iter().any(|c| list[*index].0.carries(c))).collect(),
        }
    }

    /// All trees.
    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.dirs.len()
    }

    /// The open parent directory in a tree; made if it is missing.
    pub fn dir(&self, index: usize) -> Result<&Dir, Error> {
        if self.name.is_empty() {
            return Ok(self.root(index));
        }
        if let Some(dir) = self.dirs[index].get() {
            return Ok(dir);
        }
        let made = self.make(index)?;
        Ok(self.dirs[index].get_or_init(|| made))
    }

    /// The open parent directory, only if it exists already.
    pub fn existing(&self, index: usize) -> Result<Option<&Dir>, Error> {
        if self.name.is_empty() {
            return Ok(Some(self.root(index)));
        }
        if self.dirs[index].get().is_none() {
            match self.root(index).child(&self.name) {
                Ok(dir) => drop(self.dirs[index].set(dir)),
                Err(Error::Missing { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.dirs[index].get())
    }

    /// Its directory in a tree, whole path, whether it is there or not.
    pub fn place(&self, index: usize) -> PathBuf {
        self.root(index).at(&self.name)
    }

    fn root(&self, index: usize) -> &Dir {
        match &*self.roots {
            Roots::V2 { base, .. } => base,
            Roots::V1(list) => &list[index].1,
        }
    }

    /// Each directory from the root to the parent, as paths below the root.
    fn steps(&self) -> impl Iterator<Item = PathBuf> {
        let mut path = PathBuf::new();
        self.name.split('/').filter(|part| !part.is_empty()).map(move |part| {
            path.push(part);
            path.clone()
        })
    }

    fn make(&self, index: usize) -> Result<Dir, Error> {
        let root = self.root(index);
        let mut above = PathBuf::new();
        for step in self.steps() {
            if root.make(&step.to_string_lossy())? {
                if !self.everywhere {
                    crate::abandoned::mark_made(root, &step);
                }
                if self.hierarchy(index).is_some_and(|h| h.carries("cpuset")) {
                    inherit_cpuset(root, &above, &step)?;
                }
            }
            above = step;
        }
        let dir = root.child(&self.name)?;
        if self.is_v2() {
            let kind = dir.read_if_any("cgroup.type")?.unwrap_or_default();
            if ["threaded", "domain invalid"].contains(&kind.trim()) {
                return Err(Error::Threaded { path: dir.path().to_owned() });
            }
        }
        Ok(dir)
    }

    /// v2: hands the controllers that every container uses, and those asked for, down to the parent.
    pub fn hand_down(&self, asked: &[&'static str]) -> Result<(), Error> {
        let Roots::V2 { base, delegated } = &*self.roots else {
            return Ok(());
        };
        let mut enabled = self.enabled.lock().unwrap_or_else(|e| e.into_inner());
        let wanted = |c: &&&'static str| !enabled.contains(**c);
        let missing: Vec<&'static str> = BASE_V2.iter().chain(asked).filter(wanted).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.dir(0)?;
        let mut above = PathBuf::from(".");
        for step in self.steps() {
            hand_down_at(base, &above, &missing, delegated.is_some())?;
            above = step;
        }
        hand_down_at(base, &above, &missing, false)?;
        enabled.extend(missing);
        Ok(())
    }

    /// Removes what was made for the parent, from the last directory up, as long as nothing is in it in any tree; whether the
    /// parent itself is gone.
    pub fn leave(&self) -> bool {
        let steps: Vec<PathBuf> = self.steps().collect();
        let went = |step: &&PathBuf| {
            let roots = self.all().map(|index| self.root(index));
            let made: Vec<&Dir> = roots.filter(|root| crate::abandoned::is_made(root, step)).collect();
            let is_empty = |root: &&Dir| root.directories(step).is_ok_and(|names| names.is_empty());
            let all_go = !made.is_empty() && made.iter().all(is_empty);
            all_go && made.iter().all(|root| matches!(root.remove(step), Ok(()) | Err(Errno::NOENT)))
        };
        steps.iter().rev().take_while(went).count() > 0
    }

    /// Removes the parent where nothing is left in it; whether it is gone everywhere.
    pub fn remove(&self) -> Result<bool, Error> {
        let mut gone = true;
        for index in self.all() {
            let root = self.root(index);
            match root.remove(&self.name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::BUSY | Errno::NOTEMPTY) => gone = false,
                Err(errno) => {
                    return Err(Error::Remove { path: root.at(&self.name), errno });
                }
            }
        }
        Ok(gone)
    }
}

/// KERNEL: a v1 cpuset takes no process while its lists are empty, and a new one has them empty (or, with
/// `cgroup.clone_children`, just these).
pub(crate) fn inherit_cpuset(root: &Dir, above: &Path, below: &Path) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let value = root.read_value(above.join(file))?;
        root.write(below.join(file), &[value.trim()])?;
    }
    Ok(())
}

fn hand_down_at(base: &Dir, at: &Path, wanted: &[&'static str], may_move: bool) -> Result<(), Error> {
    let words = |file: &str| -> Result<BTreeSet<String>, Error> {
        let text = base.read(at.join(file))?;
        Ok(text.split_whitespace().map(String::from).collect())
    };
    let (offered, on) = (words("cgroup.controllers")?, words("cgroup.subtree_control")?);
    let missing: Vec<String> =
        wanted.iter().filter(|c| offered.contains(**c) && !on.contains(**c)).map(|c| format!("+{c}")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let control = at.join("cgroup.subtree_control");
    let mut result = base.write(&control, &[missing.join(" ")]);
    if may_move && is_errno(&result, Errno::BUSY) {
        move_to_leaf(base)?;
        result = base.write(&control, &[missing.join(" ")]);
    }
    if is_errno(&result, Errno::BUSY) {
        let path = base.at(at);
        return Err(Error::InternalProcesses { path });
    }
    if is_errno(&result, Errno::OPNOTSUPP) {
        let path = base.at(at);
        return Err(Error::Threaded { path });
    }
    result
}

fn is_errno(result: &Result<(), Error>, wanted: Errno) -> bool {
    matches!(result, Err(Error::Write { errno, .. }) if *errno == wanted)
}

/// Moves the processes of a delegated cgroup (the keeper, the engine) into a leaf: a v2 cgroup that
/// hands controllers down may have none of its own.
fn move_to_leaf(base: &Dir) -> Result<(), Error> {
    base.make(ENGINE_LEAF)?;
    let leaf = Path::new(ENGINE_LEAF).join("cgroup.procs");
    // A process may fork while it is moved; a few rounds catch every child.
    for _ in 0..16 {
        let pids = base.read("cgroup.procs")?;
        if pids.trim().is_empty() {
            return Ok(());
        }
        for pid in pids.split_whitespace() {
            match base.write(&leaf, &[pid]) {
                Err(Error::Write { errno: Errno::SRCH, .. }) => {}
                result => result?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_stay_below_the_root() {
        for (given, want) in [("hull", "hull"), ("/hull", "hull"), ("//a//b/", "a/b"), ("system.slice", "system.slice")]
        {
            assert_eq!(normalize(given).as_deref(), Ok(want));
        }
        for bad in ["", "/", "..", "/a/../b", "a/./b", "a\nb", "a\0b"] {
            assert!(normalize(bad).is_err(), "{bad:?}");
        }
    }
}
