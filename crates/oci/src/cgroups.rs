//! The container's cgroup: where it is, its limits, what is done with it later.

mod resources;

use std::path::Path;

use hull_cgroup::{Cgroup, Host, Join, Limits, Version};

use crate::cli::Globals;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::systemd::{self, Scope};

pub use resources::{devices, fits, limits};

/// A cgroup that exists.
#[derive(Debug)]
pub struct Group {
    cgroup: Cgroup,
}

/// Where a bundle's cgroup shall be, below the mounts.
pub fn path(globals: &Globals, config: &Config, id: &str) -> Result<String> {
    let given = config.linux.as_ref().and_then(|linux| linux.cgroups_path.as_deref()).unwrap_or_default();
    if globals.systemd {
        return Ok(Scope::parse(given, id)?.path());
    }
    if given.split('/').any(|part| part == "..") || given.contains(char::is_control) {
        return Err(Error::invalid("linux.cgroupsPath", format!("{given:?} is no path below the cgroups' root")));
    }
    match (given.is_empty(), given.starts_with('/')) {
        (false, true) => Ok(given.to_owned()),
        (false, false) => Ok(format!("{}/{given}", own())),
        (true, _) => Ok(format!("{}/{id}", own())),
    }
}

/// As runc, a path that is not absolute is below this process's own group. Where that is another one in each
/// hierarchy, below the root.
fn own() -> String {
    let text = hull_sys::proc::read("/proc/self/cgroup").unwrap_or_default();
    let mut v1 = text.lines().filter(|line| !line.starts_with("0::")).filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = text.lines().find_map(|line| line.strip_prefix("0::"));
    let path = match (v1.next(), unified) {
        (Some(first), _) if v1.all(|other| other == first) => first,
        // A group of version 2 with processes hands no controllers down: beside it, then.
        (None, Some(own)) => own.rsplit_once('/').map_or("", |(above, _)| above),
        _ => "",
    };
    if path.contains("/..") { String::new() } else { path.trim_end_matches('/').to_owned() }
}

/// The host's cgroups, and whether they are the unified ones.
pub fn host() -> Result<(Host, bool)> {
    let host = Host::detect_whole()?;
    let unified = host.version() == Version::V2;
    Ok((host, unified))
}

/// The scope that systemd has made for a group, by its path.
fn scope(path: &str) -> Option<&str> {
    let unit = path.rsplit('/').next().filter(|name| name.ends_with(".scope"))?;
    systemd::is_running().then_some(unit)
}

/// After a group is gone: systemd forgets its scope.
pub fn release(path: &str) -> Result<()> {
    scope(path).map_or(Ok(()), systemd::stop)
}

impl Group {
    /// That of a scope, with its limits.
    pub fn adopt(host: &Host, path: &str, limits: &Limits) -> Result<Self> {
        Ok(Self { cgroup: host.adopt_at(path, limits)? })
    }

    /// Makes it with its limits.
    pub fn create(host: &Host, path: &str, limits: &Limits) -> Result<Self> {
        Ok(Self { cgroup: host.create_at(path, limits)? })
    }

    /// Finds it.
    pub fn open(path: &str) -> Result<Self> {
        let (host, _) = host()?;
        Ok(Self { cgroup: host.open_at(path)? })
    }

    /// How a process enters it.
    pub fn join(&self) -> Result<Join> {
        Ok(self.cgroup.join()?)
    }

    /// Whether a process can enter it: one of version 2 that hands controllers down takes none.
    pub fn takes_processes(&self) -> bool {
        !self.cgroup.hands_down().unwrap_or(false)
    }

    /// Its path below the mounts.
    pub fn path(&self) -> std::path::PathBuf {
        self.cgroup.path()
    }

    /// Changes the limits that are given.
    pub fn update(&mut self, limits: &Limits) -> Result<()> {
        if let Some(unit) = self.path().to_str().and_then(scope) {
            systemd::update(unit, limits)?;
        }
        Ok(self.cgroup.update(limits)?)
    }

    /// What it has used.
    pub fn stats(&self) -> Result<hull_cgroup::Stats> {
        Ok(self.cgroup.stats()?)
    }

    /// What else it has used.
    pub fn further(&self) -> Result<hull_cgroup::Further> {
        Ok(self.cgroup.further()?)
    }

    /// Readable when it may have run out of memory; and how often it has.
    pub fn oom(&self) -> Result<(std::os::fd::OwnedFd, u64)> {
        Ok((self.cgroup.oom_watch()?, self.cgroup.oom_kills()?))
    }

    /// How often it has run out of memory.
    pub fn oom_kills(&self) -> Result<u64> {
        Ok(self.cgroup.oom_kills()?)
    }

    /// Whether its processes are frozen.
    pub fn is_frozen(&self) -> bool {
        self.cgroup.is_frozen().unwrap_or(false)
    }

    /// Freezes or thaws them.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        Ok(self.cgroup.freeze(frozen)?)
    }

    /// Every process inside.
    pub fn pids(&self) -> Result<Vec<i32>> {
        Ok(self.cgroup.pids()?)
    }

    /// Kills every process inside.
    pub fn kill(&self) -> Result<()> {
        Ok(self.cgroup.kill()?)
    }

    /// Kills what is inside and removes it.
    pub fn remove(&self) -> Result<()> {
        Ok(self.cgroup.remove()?)
    }

    /// The v1 hierarchies that it is in, with their mount points.
    pub fn hierarchies(&self) -> impl Iterator<Item = (&[String], &Path)> {
        self.cgroup.hierarchies().map(|hierarchy| (&hierarchy.controllers[..], hierarchy.mountpoint.as_path()))
    }
}
