//! Cgroups of engines that are no more: keeper and engine ended in one moment, and the run directory went with them, so
//! that no start on it will ever clean up. Whoever starts next on this machine does.

use std::path::Path;

use crate::config::instance_of;
use crate::core::{Core, blocking};

/// Says on this engine's own cgroup whose it is, then removes those of which nothing is left but the cgroup. Never stops
/// a start.
pub(super) fn sweep(core: &Core) {
    let Some(own) = Owner::this(core) else { return };
    let cgroups = &core.parts.cgroups;
    match blocking(|| cgroups.mark(&core.facts.instance, own.mark().as_bytes())) {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the kernel takes no marks on cgroups"),
        Err(error) => tracing::debug!(%error, "the cgroup of this engine not marked"),
    }
    let is_abandoned = |name: &str, mark: &[u8]| {
        Owner::read(mark).is_some_and(|owner| owner.is_of(name) && owner.pids == own.pids && owner.is_gone())
    };
    match blocking(|| cgroups.remove_abandoned(is_abandoned)) {
        Ok(removed) if removed.is_empty() => {}
        Ok(removed) => tracing::info!(?removed, "cgroups of engines that are no more were removed"),
        Err(error) => tracing::warn!(%error, "cgroups of engines that are no more not swept"),
    }
}

/// Whose a cgroup is: an engine, in a pid namespace, with its directories.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    pids: String,
    pid: u32,
    /// Its start, so that a number that was given away since is not taken for it.
    since: String,
    root: String,
    run: String,
}

impl Owner {
    fn this(core: &Core) -> Option<Self> {
        let pid = std::process::id();
        let text = |path: &Path| path.to_str().filter(|path| !path.contains('\n')).map(str::to_owned);
        Some(Self {
            pids: std::fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned(),
            pid,
            since: since(pid)?,
            root: text(&core.facts.root)?,
            run: text(&core.facts.run)?,
        })
    }

    fn mark(&self) -> String {
        format!("{}\n{}\n{}\n{}\n{}", self.pids, self.pid, self.since, self.root, self.run)
    }

    fn read(mark: &[u8]) -> Option<Self> {
        let lines: Vec<&str> = std::str::from_utf8(mark).ok()?.split('\n').collect();
        let [pids, pid, since, root, run] = lines[..] else { return None };
        let [pids, since, root, run] = [pids, since, root, run].map(str::to_owned);
        Some(Self { pids, pid: pid.parse().ok()?, since, root, run })
    }

    fn is_of(&self, name: &str) -> bool {
        instance_of(Path::new(&self.root)) == name
    }

    /// Neither its process nor its run directory is there.
    fn is_gone(&self) -> bool {
        let gone = Path::new(&self.run).try_exists().is_ok_and(|exists| !exists);
        gone && since(self.pid).as_ref() != Some(&self.since)
    }
}

/// When a process began, as it is written down.
fn since(pid: u32) -> Option<String> {
    hull_sys::proc::began(pid).map(|ticks| ticks.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: u32, run: &str) -> Owner {
        let since = since(std::process::id()).unwrap();
        Owner { pids: "pid:[1]".into(), pid, since, root: "/tmp/x".into(), run: run.into() }
    }

    #[test]
    fn only_the_dead_are_gone() {
        let me = std::process::id();
        let cases = [(me, "/", false), (me, "/no/such/place", false), (0, "/", false), (0, "/no/such/place", true)];
        for (pid, run, gone) in cases {
            assert_eq!(owner(pid, run).is_gone(), gone, "{pid} {run}");
        }
        let reused = Owner { since: "1".into(), ..owner(me, "/no/such/place") };
        assert!(reused.is_gone());
    }

    #[test]
    fn a_mark_is_read_back_and_belongs_to_one_name() {
        let owner = owner(7, "/run/x");
        assert_eq!(Owner::read(owner.mark().as_bytes()).as_ref(), Some(&owner));
        assert!(
            owner.is_of(&instance_of(Path::new("/tmp/x"))) && !owner.is_of("hull") && !owner.is_of("hull-00000000")
        );
        for garbage in ["", "a\nb", "a\nx\nc\nd\ne", "a\n1\nc\nd\ne\nf"] {
            assert_eq!(Owner::read(garbage.as_bytes()), None, "{garbage:?}");
        }
    }
}
