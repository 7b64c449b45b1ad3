//! Which cgroups a further process joins: the container's, or with `--cgroup` some below them.

use std::path::Path;

use hull_launch::compile::CgroupJoin;
use rustix::fs::{Mode, OFlags};

use crate::bundle::{self, Fds};
use crate::cgroups::Group;
use crate::cli::Words;
use crate::container::Container;
use crate::error::{Doing, Error, Result};

/// The container's, and what is asked for below it: controller (`None` is every one) and path.
pub struct Groups {
    group: Group,
    /// The container's first process.
    pid: i32,
    below: Vec<(Option<String>, String)>,
}

impl Groups {
    /// Reads `--cgroup [CONTROLLER[,…]:]PATH`. `None` where the container has no cgroup.
    pub fn asked(container: &Container, words: &Words) -> Result<Option<Self>> {
        let Some(group) = container.group() else { return Ok(None) };
        let mut below = Vec::new();
        for word in words.values("cgroup").filter(|word| !word.is_empty()) {
            let (controllers, path) = match word.split_once(':') {
                Some((controllers, path)) => (Some(controllers), path),
                None => (None, word),
            };
            if path.split('/').any(|part| part == "..") {
                return Err(Error::Usage(format!("bad --cgroup {word:?}: it leads out of the container's")));
            }
            let path = path.trim_start_matches('/').to_owned();
            match controllers {
                None => below.push((None, path)),
                Some(list) => below.extend(list.split(',').map(|one| (Some(one.to_owned()), path.clone()))),
            }
        }
        Ok(Some(Self { group, pid: container.state.pid, below }))
    }

    /// How it enters them.
    pub fn join(&self, fds: &mut Fds) -> Result<CgroupJoin> {
        if self.below.is_empty() {
            let moved = if self.group.takes_processes() { None } else { self.of_init() };
            return bundle::join(moved.as_ref().unwrap_or(&self.group), fds);
        }
        let path = self.group.path();
        let mut trees = self.group.hierarchies().peekable();
        if trees.peek().is_none() {
            let [(None, below)] = &self.below[..] else {
                return Err(Error::Usage("--cgroup: version 2 has one path for every controller".to_owned()));
            };
            return bundle::join(&Group::open(&path.join(below).to_string_lossy())?, fds);
        }
        if let Some((Some(unknown), _)) = self.below.iter().find(|(controller, _)| {
            controller.as_ref().is_some_and(|one| !self.group.hierarchies().any(|(all, _)| all.contains(one)))
        }) {
            return Err(Error::Usage(format!("--cgroup: the container is in no cgroup of {unknown:?}")));
        }
        let relative = path.strip_prefix("/").unwrap_or(&path).to_owned();
        let tasks = trees.map(|(controllers, mountpoint)| {
            let fits = |wanted: &Option<String>| wanted.as_ref().is_none_or(|one| controllers.contains(one));
            let below = self.below.iter().rev().find(|(wanted, _)| fits(wanted)).map_or("", |(_, path)| path);
            let file = mountpoint.join(&relative).join(below).join("tasks");
            open(&file).map(|fd| fds.push(fd))
        });
        Ok(CgroupJoin::V1(tasks.collect::<Result<_>>()?))
    }

    /// KERNEL: a group of version 2 that hands controllers down takes no process. Whoever made it so (a manager inside)
    /// has moved the first process to one below: as runc, that one is joined.
    fn of_init(&self) -> Option<Group> {
        let text = hull_sys::proc::read(&format!("/proc/{}/cgroup", self.pid)).ok()?;
        let path = Path::new(text.lines().find_map(|line| line.strip_prefix("0::"))?);
        // Never out of the container's.
        let below = path.strip_prefix(self.group.path()).ok()?;
        let plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if plain { Group::open(path.to_str()?).ok() } else { None }
    }
}

fn open(file: &Path) -> Result<std::os::fd::OwnedFd> {
    rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
        .doing(|| format!("open {file:?}"))
}
