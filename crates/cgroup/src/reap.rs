//! Killing what is inside a cgroup, and removing it with whatever is nested in it.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::error::Error;
use crate::group::Cgroup;
use crate::kernfs::Dir;
use crate::parent::Parent;

/// How long a removal tries before it says so.
const PATIENCE: Duration = Duration::from_secs(10);

/// The processes in a group and in the groups nested in it. A group that has gone has none.
pub(crate) fn pids(dir: &Dir, group: &Path) -> Result<Vec<i32>, Error> {
    let mut found = Vec::new();
    for path in tree(dir, group)? {
        let text = match dir.read_if_any(path.join("cgroup.procs")) {
            // It was removed between open and read.
            Err(Error::Read { errno: Errno::NODEV, .. }) => None,
            other => other?,
        };
        // KERNEL: a process outside our pid namespace reads as 0.
        let pids = text.as_deref().unwrap_or_default().split_whitespace();
        found.extend(pids.filter_map(|pid| pid.parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    Ok(found)
}

/// The group and everything nested in it, deepest last.
fn tree(dir: &Dir, group: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let mut all = vec![group.to_owned()];
    let mut next = 0;
    while let Some(path) = all.get(next).cloned() {
        let names = match dir.directories(&path) {
            Ok(names) => names,
            Err(Error::Missing { .. } | Error::Read { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        all.extend(names.into_iter().map(|name| path.join(name)));
        next += 1;
    }
    Ok(all)
}

/// SIGKILL for all: `cgroup.kill` on v2; on v1 each process while the freezer holds them, so that no
/// fork escapes and no number is reused meanwhile.
pub(crate) fn kill(group: &Cgroup) -> Result<(), Error> {
    if group.is_v2() {
        let (dir, _) = group.tree("")?;
        return gone_is_fine(dir.write(group.file("cgroup.kill"), &["1"]));
    }
    let (dir, _) = match group.tree("freezer") {
        Err(Error::NoController { .. }) => group.tree("pids")?,
        found => found?,
    };
    if pids(dir, Path::new(group.id()))?.is_empty() {
        return Ok(());
    }
    let frozen = group.freeze(true).is_ok();
    signal_all(&pids(dir, Path::new(group.id()))?);
    if frozen {
        gone_is_fine(group.freeze(false))?;
    }
    Ok(())
}

fn gone_is_fine(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(
            Error::Missing { .. } | Error::Open { errno: Errno::NOENT, .. } | Error::Write { errno: Errno::NODEV, .. },
        ) => Ok(()),
        other => other,
    }
}

fn signal_all(pids: &[i32]) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // It may have died meanwhile; then there is nothing to do.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Removes a name below the parent from every tree; what is inside is killed.
pub(crate) fn remove_everywhere(parent: &Parent, name: &str) -> Result<(), Error> {
    remove_from(parent, name, parent.all())
}

/// Removes a name from the given trees.
pub(crate) fn remove_from(parent: &Parent, name: &str, trees: impl IntoIterator<Item = usize>) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut failed = None;
    for index in trees {
        let Some(dir) = parent.existing(index)? else {
            continue;
        };
        if let Err(errno) = remove_patiently(parent, dir, name, deadline) {
            failed = Some(Error::Remove { path: dir.at(name), errno });
        }
    }
    failed.map_or(Ok(()), Err)
}

fn remove_patiently(parent: &Parent, dir: &Dir, name: &str, deadline: Instant) -> Result<(), Errno> {
    let mut pause = Duration::from_micros(100);
    loop {
        match dir.remove(name) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
        evict(parent, dir, name);
        match remove_tree(dir, Path::new(name)) {
            Err(Errno::BUSY | Errno::NOTEMPTY) if Instant::now() < deadline => {}
            result => return result,
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Kills what keeps a directory from being removed.
fn evict(parent: &Parent, dir: &Dir, name: &str) {
    let at = Path::new(name);
    if parent.is_v2() {
        let _ = dir.write(at.join("cgroup.kill"), &["1"]);
        return;
    }
    let freezer = parent.index_of("freezer").and_then(|index| parent.existing(index).ok().flatten());
    let set = |state: &str| {
        let freezer = freezer.into_iter();
        freezer.for_each(|freezer| {
            for path in tree(freezer, at).unwrap_or_default() {
                let _ = freezer.write(path.join("freezer.state"), &[state]);
            }
        });
    };
    // A child forked meanwhile is born frozen; the next round finds it.
    set("FROZEN");
    signal_all(&pids(dir, at).unwrap_or_default());
    // ORDER: nothing frozen dies.
    set("THAWED");
}

/// Removes a directory and what is nested in it, deepest first. Missing is fine.
pub(crate) fn remove_tree(dir: &Dir, group: &Path) -> Result<(), Errno> {
    let all = tree(dir, group).map_err(|_| Errno::IO)?;
    for path in all.iter().rev() {
        match dir.remove(path) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
