//! The processes, with their numbers on both sides of the boundary, and who stands above them.

use std::fs;

use hull_wire as wire;

use super::status::{self, Status};
use super::{Subject, fact};
use crate::container::View;
use crate::top::process;

/// How far the line of parents is followed.
const ABOVE: usize = 16;

pub(super) fn explain(of: &Subject<'_>) -> wire::ExplainedProcess {
    let spec = &of.view.definition.spec;
    let uids = status::ids(of.pid, "uid_map");
    let depth = of.status.numbers().len();
    let tree = of.pids.iter().filter_map(|pid| task(*pid, depth, &uids)).collect();
    let above = above(of.pid);
    let keeper = above.first().map_or(0, |parent| parent.pid);
    let inside = if spec.init { "hull's init (--init)" } else { "its own PID 1" };
    let own = of.status.numbers().last() == Some(&1);
    let orphans = if own { inside } else { "nobody of the container: its PID namespace has another's PID 1" };
    let now = Now {
        command: arguments(of.pid),
        user: format!("{}:{}", first(of.status.text("Uid")), first(of.status.text("Gid"))),
        executable: link(of.pid, "exe"),
        directory: link(of.pid, "cwd"),
    };
    wire::ExplainedProcess {
        reaped_by: format!("the keeper (pid {keeper}) reaps PID 1; orphans inside: {orphans}"),
        facts: facts(of.view, now),
        gids: status::ids(of.pid, "gid_map"),
        tree,
        above,
        uids,
    }
}

/// What PID 1 is now; empty where there is none.
#[derive(Default)]
pub(super) struct Now {
    pub command: String,
    pub user: String,
    pub executable: String,
    pub directory: String,
}

pub(super) fn facts(view: &View, now: Now) -> Vec<wire::ExplainedFact> {
    let (process, config) = (&view.definition.spec.process, &view.definition.config);
    let asked_by = |set: bool, flag: &'static str| if set { flag } else { "the image's, or hull's default" };
    vec![
        fact("command", now.command, process.argv.join(" "), "the command, or the image's Entrypoint and Cmd"),
        fact(
            "user on the host",
            now.user,
            process.user.clone(),
            asked_by(!config.user.is_empty(), "--user or the image's User"),
        ),
        fact("executable", now.executable, "", ""),
        fact(
            "working directory",
            now.directory,
            process.cwd.to_string_lossy(),
            asked_by(!config.working_dir.is_empty(), "--workdir or the image's WorkingDir"),
        ),
    ]
}

fn first(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// What a link beneath `/proc/PID` names, as the container sees it.
fn link(pid: i32, name: &str) -> String {
    fs::read_link(format!("/proc/{pid}/{name}")).map(|to| to.to_string_lossy().into_owned()).unwrap_or_default()
}

fn arguments(pid: i32) -> String {
    process::read(pid).map(|process| process.args).unwrap_or_default()
}

/// A process; `None` if it is gone. `depth`: how many PID namespaces see PID 1, from the host's on.
fn task(pid: i32, depth: usize, uids: &[wire::ExplainedIds]) -> Option<wire::ExplainedTask> {
    let found = process::read(pid)?;
    let numbers = Status::read(pid)?.numbers();
    Some(wire::ExplainedTask {
        pid,
        pid_inside: depth.checked_sub(1).and_then(|at| numbers.get(at)).copied().unwrap_or(-1),
        parent: found.ppid,
        user: found.euid,
        user_inside: status::inside(uids, found.euid),
        command: found.args,
        executable: link(pid, "exe"),
        directory: link(pid, "cwd"),
    })
}

/// The parents, nearest first.
fn above(pid: i32) -> Vec<wire::ExplainedTask> {
    let mut found = Vec::new();
    let mut next = process::read(pid).map_or(0, |process| process.ppid);
    while next > 0 && found.len() < ABOVE {
        let Some(parent) = process::read(next) else { break };
        next = parent.ppid;
        found.push(wire::ExplainedTask {
            pid: parent.pid,
            pid_inside: -1,
            parent: parent.ppid,
            user: parent.euid,
            user_inside: -1,
            command: parent.args,
            ..Default::default()
        });
    }
    found
}
