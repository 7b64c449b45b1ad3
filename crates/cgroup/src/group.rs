//! [`Cgroup`]: one container's group, in one tree (v2) or several (v1).
//!
//! It holds no descriptors of its own: each operation opens the file it needs, relative to the
//! parent's descriptors. So an idle container costs none.

mod writes;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::host::Host;
use crate::kernfs::{self, Dir};
use crate::layout::Hierarchy;
use crate::limits::Limits;
use crate::parent::{self, Parent, Spare};
use crate::{devices, reap};

/// How a new process enters the group.
#[derive(Debug)]
pub enum Join {
    /// The directory, for `CLONE_INTO_CGROUP`.
    V2(OwnedFd),
    /// The `tasks` file of each hierarchy, open for writing: the process writes `0` to each.
    V1(Vec<OwnedFd>),
}

/// A container's cgroup.
#[derive(Clone, Debug)]
pub struct Cgroup {
    host: Host,
    parent: Arc<Parent>,
    id: String,
    /// Indexes of the trees in which it has a directory.
    trees: Vec<usize>,
    /// What a spare had already.
    ahead: Ahead,
}

/// What was done when the directories were still spare ones.
#[derive(Clone, Debug, Default)]
struct Ahead {
    /// The device rules are written.
    devices: bool,
    /// Open `tasks` files by index of the tree.
    tasks: Vec<(usize, Arc<OwnedFd>)>,
}

impl Cgroup {
    pub(crate) fn create(host: Host, parent: Arc<Parent>, id: &str, limits: &Limits) -> Result<Self, Error> {
        if let (Some(rules), false) = (&limits.devices, parent.is_v2()) {
            devices::check_v1(rules)?;
        }
        let mut group = Self { host, parent, id: id.to_owned(), trees: Vec::new(), ahead: Ahead::default() };
        let mut made = group.make(limits);
        if group.trees.is_empty() && matches!(&made, Err(Error::Make { errno: Errno::NOENT | Errno::NODEV, .. })) {
            // Somebody removed the parent behind our back.
            group.parent = group.host.reopen(&group.parent)?;
            made = group.make(limits);
        }
        if let Err(error) = made.and_then(|()| group.apply(limits, true)) {
            // Only what was made here: the name may be that of a living group.
            let _ = reap::remove_from(&group.parent, id, group.trees.iter().copied());
            return Err(error);
        }
        Ok(group)
    }

    pub(crate) fn open(host: Host, parent: Arc<Parent>, id: &str) -> Result<Self, Error> {
        let mut trees = Vec::new();
        for index in parent.all() {
            if parent.existing(index)?.is_some_and(|dir| dir.has(id)) {
                trees.push(index);
            }
        }
        if trees.is_empty() {
            return Err(Error::Missing { path: parent.path().join(id) });
        }
        Ok(Self { host, parent, id: id.to_owned(), trees, ahead: Ahead::default() })
    }

    /// One that nobody has made, with the directories that [`Cgroup::create`] would make.
    pub(crate) fn to_come(host: Host, parent: Arc<Parent>, id: &str, limits: &Limits) -> Result<Self, Error> {
        let trees = trees_of(&parent, limits)?;
        Ok(Self { host, parent, id: id.to_owned(), trees, ahead: Ahead::default() })
    }

    pub(crate) fn adopt(host: Host, parent: Arc<Parent>, id: &str, limits: &Limits) -> Result<Self, Error> {
        let group = Self::open(host, parent, id)?;
        group.parent.hand_down(&optional_controllers(limits))?;
        group.apply(limits, true)?;
        Ok(group)
    }

    /// The id, which is the directory's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The path below each hierarchy's root, as `/proc/PID/cgroup` shows it: `/hull/<id>`, and in a
    /// delegated cgroup `/system.slice/hull.service/hull/<id>`.
    pub fn path(&self) -> PathBuf {
        self.parent.path().join(&self.id)
    }

    /// The v1 hierarchies in which the group exists; none on v2.
    pub fn hierarchies(&self) -> impl Iterator<Item = &Hierarchy> {
        self.trees.iter().filter_map(|i| self.parent.hierarchy(*i))
    }

    /// What a child needs to enter. The descriptors are made anew by each call.
    pub fn join(&self) -> Result<Join, Error> {
        if self.parent.is_v2() {
            return Ok(Join::V2(self.parent.dir(0)?.child(&self.id)?.into_fd()));
        }
        let tasks = self.trees.iter().map(|index| {
            let open = self.ahead.tasks.iter().find(|(at, _)| at == index);
            match open.and_then(|(_, file)| file.try_clone().ok()) {
                Some(file) => Ok(file),
                None => self.parent.dir(*index)?.file(self.file("tasks"), OFlags::WRONLY),
            }
        });
        Ok(Join::V1(tasks.collect::<Result<_, Error>>()?))
    }

    /// v2: whether it hands controllers down, so that the kernel lets no process in.
    pub fn hands_down(&self) -> Result<bool, Error> {
        if !self.is_v2() {
            return Ok(false);
        }
        Ok(self.read("", "cgroup.subtree_control")?.is_some_and(|text| !text.trim().is_empty()))
    }

    /// Changes the limits that are given; the others stay. Device rules are not changed.
    pub fn update(&mut self, limits: &Limits) -> Result<(), Error> {
        for controller in optional_controllers(limits) {
            self.enter_late(controller)?;
        }
        self.apply(limits, false)
    }

    /// Kills what is inside and removes the group. Waits at most about ten seconds.
    pub fn remove(&self) -> Result<(), Error> {
        reap::remove_everywhere(&self.parent, &self.id)
    }

    /// Sends SIGKILL to every process inside, in nested groups too, without a race against fork.
    pub fn kill(&self) -> Result<(), Error> {
        reap::kill(self)
    }

    /// The processes inside, nested groups included.
    pub fn pids(&self) -> Result<Vec<i32>, Error> {
        let (dir, _) = self.tree("pids")?;
        reap::pids(dir, Path::new(&self.id))
    }

    /// The parent's directory in the tree that carries a controller, if the group is in that tree.
    pub(crate) fn tree(&self, controller: &'static str) -> Result<(&Dir, usize), Error> {
        let index = self.index(controller)?;
        let missing = || Error::Missing { path: self.parent.place(index) };
        Ok((self.parent.existing(index)?.ok_or_else(missing)?, index))
    }

    fn index(&self, controller: &'static str) -> Result<usize, Error> {
        let index = self.parent.index_of(controller).filter(|index| self.trees.contains(index));
        index.ok_or(Error::NoController { controller })
    }

    /// Its directory in the hierarchy of a controller, whole path.
    pub(crate) fn place(&self, controller: &'static str) -> Result<PathBuf, Error> {
        Ok(self.parent.place(self.index(controller)?).join(&self.id))
    }

    /// A file of the group, relative to the parent's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.id).join(name)
    }

    /// Reads a file of a controller; `None` if the kernel or the group does not have it.
    pub(crate) fn read(&self, controller: &'static str, file: &str) -> Result<Option<String>, Error> {
        match self.tree(controller) {
            Ok((dir, _)) => dir.read_if_any(self.file(file)),
            Err(Error::NoController { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A number in a file of a controller.
    pub(crate) fn number(&self, controller: &'static str, file: &str) -> Result<Option<u64>, Error> {
        Ok(self.read(controller, file)?.as_deref().and_then(kernfs::number))
    }

    pub(crate) fn is_v2(&self) -> bool {
        self.parent.is_v2()
    }

    /// Makes the directories, from a spare one where there is one.
    fn make(&mut self, limits: &Limits) -> Result<(), Error> {
        self.parent.hand_down(&optional_controllers(limits))?;
        let parent = self.parent.clone();
        let trees = trees_of(&parent, limits)?;
        let base = parent.base();
        let mut spare = take_spare(&parent, limits);
        let mut tasks = spare.as_mut().map(|spare| std::mem::take(&mut spare.tasks)).unwrap_or_default();
        let made: Result<(), Error> = trees.into_iter().try_for_each(|index| {
            match &spare {
                Some(spare) if base.contains(&index) => {
                    if self.rename_or_make(index, &spare.name)? {
                        let file = tasks.iter().position(|(at, _)| *at == index).map(|at| tasks.swap_remove(at));
                        self.ahead.tasks.extend(file.map(|(at, file)| (at, Arc::new(file))));
                        self.ahead.devices |=
                            spare.rules == limits.devices && parent.index_of("devices") == Some(index);
                    }
                }
                _ => self.make_in(index)?,
            }
            self.trees.push(index);
            Ok(())
        });
        if let (Err(_), Some(spare)) = (&made, &spare) {
            let _ = reap::remove_everywhere(&parent, &spare.name);
        }
        made
    }

    /// Whether it is the spare one.
    fn rename_or_make(&self, index: usize, spare: &str) -> Result<bool, Error> {
        let dir = self.parent.dir(index)?;
        match dir.rename(spare, &self.id) {
            Ok(()) => Ok(true),
            Err(_) => {
                let _ = dir.remove(spare);
                self.make_in(index).map(|()| false)
            }
        }
    }

    fn make_in(&self, index: usize) -> Result<(), Error> {
        let dir = self.parent.dir(index)?;
        if !dir.make(&self.id)? {
            self.replace_leftover(dir)?;
        }
        if self.parent.hierarchy(index).is_some_and(|h| h.carries("cpuset")) {
            parent::inherit_cpuset(dir, Path::new(""), Path::new(&self.id))?;
        }
        Ok(())
    }

    /// A directory of our name is there. Without processes it is what a crash left behind.
    fn replace_leftover(&self, dir: &Dir) -> Result<(), Error> {
        let failed = |errno| Error::Make { path: dir.at(&self.id), errno };
        if !reap::pids(dir, Path::new(&self.id))?.is_empty() {
            return Err(failed(Errno::EXIST));
        }
        reap::remove_tree(dir, Path::new(&self.id)).map_err(failed)?;
        if dir.make(&self.id)? { Ok(()) } else { Err(failed(Errno::EXIST)) }
    }

    /// v1: a limit of a hierarchy that the container did not join at its start: make the directory
    /// and move its processes. `docker update` is rare; the start is not.
    fn enter_late(&mut self, controller: &'static str) -> Result<(), Error> {
        if self.parent.is_v2() {
            return self.parent.hand_down(&[controller]);
        }
        let index = self.parent.index_of(controller).ok_or(Error::NoController { controller })?;
        if self.trees.contains(&index) {
            return Ok(());
        }
        self.make_in(index)?;
        self.trees.push(index);
        let dir = self.parent.dir(index)?;
        // A process may fork while it is moved: repeat until a round finds nobody outside.
        for _ in 0..16 {
            let inside = reap::pids(dir, Path::new(&self.id))?;
            let mut moved = false;
            for pid in self.pids()?.iter().filter(|pid| !inside.contains(pid)) {
                match dir.write(self.file("cgroup.procs"), &[pid.to_string()]) {
                    Err(Error::Write { errno: Errno::SRCH, .. }) => {}
                    result => result?,
                }
                moved = true;
            }
            if !moved {
                break;
            }
        }
        Ok(())
    }
}

/// A spare that can become a group with these limits, and what the next spares shall have.
fn take_spare(parent: &Parent, limits: &Limits) -> Option<Spare> {
    if parent.is_v2() {
        return None;
    }
    if let Some(rules) = &limits.devices {
        let mut known = parent.lock_rules();
        if known.as_ref() != Some(rules) {
            *known = Some(rules.clone());
        }
    }
    let mut spares = parent.lock_spares();
    // Rules that are there are replaced by others, but not by none.
    let fit = |spare: &Spare| limits.devices.is_some() || spare.rules.is_none();
    let best = spares.iter().position(|spare| spare.rules == limits.devices);
    let at = best.or_else(|| spares.iter().position(fit))?;
    Some(spares.swap_remove(at))
}

/// The trees in which a group with these limits is made.
fn trees_of(parent: &Parent, limits: &Limits) -> Result<Vec<usize>, Error> {
    let mut trees = parent.base();
    for controller in optional_controllers(limits) {
        let index = parent.index_of(controller);
        trees.push(index.ok_or(Error::NoController { controller })?);
    }
    trees.sort_unstable();
    trees.dedup();
    Ok(trees)
}

/// The controllers that only some containers use.
fn optional_controllers(limits: &Limits) -> Vec<&'static str> {
    let mut list = Vec::new();
    if limits.wants_cpuset() {
        list.push("cpuset");
    }
    let wanted = [
        ("hugetlb", !limits.hugetlb.is_empty()),
        ("rdma", !limits.rdma.is_empty()),
        ("net_cls", limits.net_class.is_some()),
        ("net_prio", !limits.net_priorities.is_empty()),
    ];
    list.extend(wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name));
    for file in limits.unified.keys() {
        let known = ["cpuset", "hugetlb", "rdma", "misc"].into_iter().find(|name| file.split('.').next() == Some(name));
        list.extend(known);
    }
    list
}
