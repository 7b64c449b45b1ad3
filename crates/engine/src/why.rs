//! `why`: what ended a container, gathered from its records and its log; what follows is judged in [`judge`]. What is
//! removed is remembered for a while.

mod judge;
mod remembered;

use std::os::unix::fs::MetadataExt;

use futures_util::FutureExt;
use hull_launch::spec::MountKind;
use hull_logs::{LineOptions, Lines};
use hull_types::{Fault, Timestamp};
use hull_wire as wire;

use crate::container::{Container, View};
use crate::core::Core;
use crate::error::Error;
pub(crate) use remembered::{Coming, Remembered};

/// Lines of output that are told.
const LINES: u64 = 5;
/// Bytes of one of them.
const LINE: usize = 500;
/// `GET /hull/containers/{id}/postmortem`.
pub(crate) fn why(core: &Core, who: &str) -> Result<wire::Postmortem, Fault> {
    match core.resolve(who) {
        Ok(container) => Ok(find(&container, &container.view())),
        Err(Error::NoSuchContainer(name)) => core.remembered.find(who).ok_or_else(|| {
            Fault::from(Error::NoSuchContainer(name)).hint("of removed containers only the latest are remembered")
        }),
        Err(error) => Err(error.into()),
    }
}

/// What is to be remembered of a container that is about to be removed; nothing of one that never was to run.
pub(crate) fn remember(core: &Core, container: &Container, view: &View) -> Option<Coming> {
    let ran = view.state.ever_started || !view.state.error.is_empty();
    let found = || wire::Postmortem { removed: true, ..find(container, view) };
    ran.then(|| core.remembered.prepare(found(), view.definition.ephemeral()))
}

fn find(container: &Container, view: &View) -> wire::Postmortem {
    // Of a good end nobody asks for the output; it is in the log.
    let unhappy = view.state.death.is_some() || view.state.exit_code != 0;
    let lines = if unhappy && view.definition.spec.log.keeps() { last_lines(container) } else { Vec::new() };
    let binds = owners(view, &lines);
    judge::judge(view, Timestamp::now(), lines, binds)
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
fn owners(view: &View, lines: &[String]) -> Vec<wire::ExplainedFact> {
    let denied: Vec<&String> = lines.iter().filter(|line| line.to_lowercase().contains("permission denied")).collect();
    let spec = &view.definition.spec;
    let user = if spec.process.user.is_empty() { "root" } else { &spec.process.user };
    let bind = spec.mounts.iter().filter_map(|mount| {
        let MountKind::Bind { source, .. } = &mount.kind else { return None };
        let target = mount.target.to_string_lossy();
        denied.iter().any(|line| line.contains(&*target)).then_some(())?;
        let stat = std::fs::metadata(source).ok()?;
        let now = format!(
            "{} belongs to {}:{}, mode {:04o}; the process ran as {user}",
            source.display(),
            stat.uid(),
            stat.gid(),
            stat.mode() & 0o7777
        );
        Some(wire::ExplainedFact { name: format!("bind mount {target}"), now, asked: String::new(), by: "-v".into() })
    });
    bind.collect()
}
