//! `why`: what ended a container, gathered from its records and its log; what follows is judged in [`judge`]. What is
//! removed is remembered for a while.

mod judge;
mod remembered;

use std::os::unix::fs::MetadataExt;

use futures_util::FutureExt;
use hull_launch::plan::{IdMaps, IdRange};
use hull_launch::spec::MountKind;
use hull_logs::{LineOptions, Lines};
use hull_types::{Fault, Timestamp};
use hull_wire as wire;

use crate::container::{Container, View, death};
use crate::core::{Core, blocking};
use crate::error::Error;
use crate::files;
use judge::Seen;
pub(crate) use remembered::{Coming, Remembered};

/// Lines of output that are told.
const LINES: u64 = 5;
/// Bytes of one of them.
const LINE: usize = 500;
/// `GET /hull/containers/{id}/postmortem`.
pub(crate) fn why(core: &Core, who: &str) -> Result<wire::Postmortem, Fault> {
    match core.resolve(who) {
        Ok(container) => Ok(find(core, &container, &container.view())),
        Err(Error::NoSuchContainer(name)) => core.remembered.find(who).ok_or_else(|| {
            Fault::from(Error::NoSuchContainer(name)).hint("of removed containers only the latest are remembered")
        }),
        Err(error) => Err(error.into()),
    }
}

/// What is to be remembered of a container that is about to be removed; nothing of one that never was to run.
pub(crate) fn remember(core: &Core, container: &Container, view: &View) -> Option<Coming> {
    let ran = view.state.ever_started || !view.state.error.is_empty();
    let found = || wire::Postmortem { removed: true, ..find(core, container, view) };
    ran.then(|| core.remembered.prepare(found(), view.definition.ephemeral()))
}

fn find(core: &Core, container: &Container, view: &View) -> wire::Postmortem {
    // Of a good end nobody asks for the output; it is in the log.
    let unhappy = view.state.death.is_some() || view.state.exit_code != 0;
    let lines = if unhappy && view.definition.spec.log.keeps() { last_lines(container) } else { Vec::new() };
    let binds = owners(core, view, &lines);
    let denied = view.state.death.as_ref().and_then(|death| death.denied);
    let denied = denied.and_then(|pid| blocking(|| death::denied(pid))).unwrap_or_default();
    judge::judge(view, Timestamp::now(), Seen { lines, binds, denied })
}

fn last_lines(container: &Container) -> Vec<String> {
    let options = LineOptions { stdout: true, stderr: true, tail: Some(LINES), ..LineOptions::default() };
    let mut lines = Lines::new(container.spool.reader_at_start(), options);
    let mut bytes = Vec::new();
    // Without following, what there is comes at once.
    while let Some(Some((_, chunk))) = lines.next().now_or_never() {
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(|line| line.chars().take(LINE).collect()).collect()
}

/// Both sides' owners of bind mounts that the last lines complain of.
fn owners(core: &Core, view: &View, lines: &[String]) -> Vec<wire::ExplainedFact> {
    let denied: Vec<&String> = lines.iter().filter(|line| line.to_lowercase().contains("permission denied")).collect();
    let spec = &view.definition.spec;
    if denied.is_empty() {
        return Vec::new();
    }
    // A range that was given to a container which has ended and leaves nothing behind is known no more.
    let kept = !view.definition.ephemeral();
    let sides = Sides(if kept { files::maps(core, view).ok().flatten() } else { None });
    let user = sides.user(&spec.process.user);
    let bind = spec.mounts.iter().filter_map(|mount| {
        let MountKind::Bind { source, .. } = &mount.kind else { return None };
        let target = mount.target.to_string_lossy();
        denied.iter().any(|line| line.contains(&*target)).then_some(())?;
        let stat = std::fs::metadata(source).ok()?;
        let (owner, mode) = (sides.owner(stat.uid(), stat.gid()), stat.mode() & 0o7777);
        let now = format!("{} belongs to {owner}, mode {mode:04o}; the process ran as {user}", source.display());
        Some(wire::ExplainedFact { name: format!("bind mount {target}"), now, asked: String::new(), by: "-v".into() })
    });
    bind.collect()
}

/// The ids of a user namespace on both sides; without one they are the same.
struct Sides(Option<IdMaps>);

impl Sides {
    /// The owner of a file of the host.
    fn owner(&self, uid: u32, gid: u32) -> String {
        let inside = |ranges: &[IdRange], id: u32| {
            let range = ranges.iter().find(|range| id.checked_sub(range.outside).is_some_and(|off| off < range.length));
            range.map_or("nobody".to_owned(), |range| (range.inside + (id - range.outside)).to_string())
        };
        match &self.0 {
            None => format!("{uid}:{gid}"),
            Some(maps) => format!("{uid}:{gid} (inside {}:{})", inside(&maps.uids, uid), inside(&maps.gids, gid)),
        }
    }

    /// The user of a process, as it was asked for.
    fn user(&self, asked: &str) -> String {
        let shown = if asked.is_empty() { "root" } else { asked };
        let id: Option<u32> = match asked.split(':').next().unwrap_or_default() {
            "" | "root" => Some(0),
            name => name.parse().ok(),
        };
        let outside = |maps: &IdMaps| {
            let id = id?;
            let range =
                maps.uids.iter().find(|range| id.checked_sub(range.inside).is_some_and(|off| off < range.length));
            range.map(|range| range.outside + (id - range.inside))
        };
        match self.0.as_ref().and_then(outside) {
            Some(outside) => format!("{shown} (outside {outside})"),
            None => shown.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_told_on_both_sides() {
        let range = IdRange { inside: 0, outside: 100_000, length: 10 };
        let (same, apart) = (Sides(None), Sides(Some(IdMaps { uids: vec![range], gids: vec![range] })));
        assert_eq!((same.owner(0, 7), same.user("")), ("0:7".to_owned(), "root".to_owned()));
        assert_eq!(apart.owner(100_001, 0), "100001:0 (inside 1:nobody)");
        let asked = ["", "3:4", "99", "www"].map(|user| apart.user(user));
        assert_eq!(asked, ["root (outside 100000)", "3:4 (outside 100003)", "99", "www"]);
    }
}
