//! [`Census`]: what is on the machine – mounts, links, cgroups, processes, descriptors – to compare
//! before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Host, children, patience};

/// One picture of the machine as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// The mount table of the engine's mount namespace.
    pub mounts: String,
    /// Network links and their addresses in the engine's network namespace.
    pub links: String,
    /// The nftables ruleset there.
    pub nft: String,
    /// Directories beneath the engine's cgroup parents.
    pub cgroups: BTreeSet<PathBuf>,
    /// Children of the keeper: the engine and PID 1 of each container.
    pub processes: usize,
    /// Descriptors of the keeper, by kind.
    pub keeper_fds: Vec<String>,
    /// Directories that belong to containers.
    pub files: BTreeSet<PathBuf>,
}

impl Census {
    /// Takes it.
    pub fn take(host: &Host) -> Self {
        let (engine, keeper) = (host.engine_pid(), host.keeper_pid());
        Self {
            mounts: fs::read_to_string(format!("/proc/{engine}/mountinfo")).unwrap_or_default(),
            links: unnumbered(&inside(engine, &["ip", "-o", "addr"])),
            nft: inside(engine, &["nft", "list", "ruleset"]),
            cgroups: Self::cgroups_named(host.path()).into_iter().filter(|g| !is_spare(g)).collect(),
            processes: children(keeper).len(),
            keeper_fds: descriptors(keeper),
            files: container_files(host),
        }
    }

    /// The cgroups of the engine whose root is beneath `path`, without the parents themselves.
    pub fn cgroups_named(path: &Path) -> BTreeSet<PathBuf> {
        let beneath = |dir: &Path, instance: &str| dir.components().any(|c| c.as_os_str() == instance);
        cgroups(path, |cgroup, instance| cgroup.parent().is_some_and(|above| beneath(above, instance)))
    }

    /// The same with the parents themselves: what an engine that has stopped leaves nothing of.
    pub fn all_cgroups_named(path: &Path) -> BTreeSet<PathBuf> {
        cgroups(path, |cgroup, instance| cgroup.components().any(|c| c.as_os_str() == instance))
    }

    /// Removes them, when nobody else will.
    pub(crate) fn remove_cgroups_named(path: &Path) {
        // Deepest first.
        for cgroup in Self::all_cgroups_named(path).iter().rev() {
            let _ = fs::remove_dir(cgroup);
        }
    }

    /// The same without what belongs to one keeper.
    #[must_use]
    pub fn without_keeper(mut self) -> Self {
        self.processes = 0;
        self.keeper_fds.clear();
        self
    }

    /// Fails unless `now` becomes equal to this census soon; prints what differs.
    #[track_caller]
    pub fn assert_equal_soon(&self, mut now: impl FnMut() -> Self) {
        let deadline = Instant::now() + patience();
        loop {
            let after = now();
            if *self == after {
                return;
            }
            if Instant::now() > deadline {
                self.assert_equal(&after);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[track_caller]
    fn assert_equal(&self, after: &Self) {
        assert_eq!(self.mounts, after.mounts, "the mount table changed");
        assert_eq!(self.links, after.links, "the links changed");
        assert_eq!(self.nft, after.nft, "the nftables rules changed");
        assert_eq!(self.cgroups, after.cgroups, "cgroups were left behind");
        assert_eq!(self.processes, after.processes, "processes were left behind");
        assert_eq!(self.keeper_fds, after.keeper_fds, "the keeper holds descriptors that nobody needs");
        assert_eq!(self.files, after.files, "files of containers were left behind");
    }
}

/// Every cgroup that `wanted`, given the name of the engine whose root is beneath `path`, picks.
fn cgroups(path: &Path, wanted: impl Fn(&Path, &str) -> bool) -> BTreeSet<PathBuf> {
    let Some(instance) = instance(&path.join("root")) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    let mut open = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                continue;
            }
            if wanted(&entry.path(), &instance) {
                found.insert(entry.path());
            }
            if !entry.path().ends_with("process_api") {
                open.push(entry.path());
            }
        }
    }
    found
}

/// A cgroup that is kept ready for the next container.
fn is_spare(cgroup: &Path) -> bool {
    cgroup.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".spare-"))
}

/// The instance's name: what global names of this engine carry.
fn instance(root: &Path) -> Option<String> {
    let out =
        Command::new("sha256sum").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn();
    let mut child = out.ok()?;
    use std::io::Write;
    child.stdin.take()?.write_all(root.as_os_str().as_encoded_bytes()).ok()?;
    let text = String::from_utf8(child.wait_with_output().ok()?.stdout).ok()?;
    Some(format!("hull-{}", text.get(..8)?))
}

/// Without the numbers of the links: one that was made again has another. A bridge that has an address of its own gets the
/// kernel's link-local one beside it when its first port has a carrier, sooner or later: that is left out.
fn unnumbered(links: &str) -> String {
    let lines: Vec<&str> = links.lines().map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest)).collect();
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let local = |line: &str| line.contains(" inet6 fe80:");
    let told = lines
        .iter()
        .filter(|line| !local(line) || !lines.iter().any(|other| !local(other) && name(other) == name(line)));
    told.map(|line| format!("{line}\n")).collect()
}

fn inside(pid: u32, args: &[&str]) -> String {
    let out = Command::new("nsenter").args(["--net", "-t", &pid.to_string(), "--"]).args(args).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
}

fn descriptors(pid: u32) -> Vec<String> {
    let mut kinds: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| fs::read_link(e.path()).ok())
        .map(|l| l.to_string_lossy().split(['[', ':']).next().unwrap_or_default().to_string())
        .collect();
    kinds.sort();
    kinds
}

fn container_files(host: &Host) -> BTreeSet<PathBuf> {
    let places = [
        host.root().join("containers"),
        host.run_dir().join("containers"),
        host.run_dir().join("exits"),
        host.root().join("volumes"),
    ];
    places.iter().flat_map(|p| fs::read_dir(p).into_iter().flatten().flatten().map(|e| e.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridges_own_link_local_address_is_left_out_and_a_stray_links_is_not() {
        let shown = "1: lo    inet 127.0.0.1/8\n2: br-1    inet 10.0.0.1/16\n2: br-1    inet6 fe80::1/64\n3: veth9    inet6 fe80::2/64\n";
        assert_eq!(unnumbered(shown), "lo    inet 127.0.0.1/8\nbr-1    inet 10.0.0.1/16\nveth9    inet6 fe80::2/64\n");
    }
}
