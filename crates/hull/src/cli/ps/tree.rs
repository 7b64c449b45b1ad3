//! `hull ps --tree`: each container with its processes as a tree, by their numbers on the host.

use std::collections::BTreeMap;

use hull_client::Client;
use hull_types::Fault;
use hull_wire::ContainerSummary;
use serde::Serialize;

use crate::cli::explain::clean;
use crate::cli::explain::paint::Paint;
use crate::output::human;

/// What is asked of `top`; the last column is the rest of the line.
const COLUMNS: &str = "-o pid,ppid,user,args";

/// A container and its processes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tree {
    id: String,
    name: String,
    image: String,
    status: String,
    processes: Vec<Process>,
    /// Why there are none, although it runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

/// A process, by its number on the host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    pid: i64,
    parent: i64,
    user: String,
    command: String,
}

/// These containers. One that ended meanwhile has no processes.
pub(super) fn gather(client: &Client, list: &[ContainerSummary]) -> Vec<Tree> {
    let one = |item: &ContainerSummary| {
        let name = item.names.first().map_or("", |name| name.trim_start_matches('/'));
        let runs = matches!(item.state.as_str(), "running" | "paused");
        let (processes, error) = match runs.then(|| client.container_top(&item.id, Some(COLUMNS))) {
            None => (Vec::new(), String::new()),
            Some(Ok(top)) => (top.processes.iter().filter_map(|row| process(row)).collect(), String::new()),
            Some(Err(error)) => (Vec::new(), Fault::from(error).to_string()),
        };
        let (id, image, status) = (item.id.clone(), item.image.clone(), item.status.clone());
        Tree { id, name: name.to_owned(), image, status, processes, error }
    };
    list.iter().map(one).collect()
}

fn process(row: &[String]) -> Option<Process> {
    let [pid, parent, user, args] = row else { return None };
    Some(Process { pid: pid.parse().ok()?, parent: parent.parse().ok()?, user: user.clone(), command: args.clone() })
}

/// All of them, as a page.
pub(super) fn page(all: &[Tree], brush: Paint) -> String {
    let one = |of: &Tree| {
        let Tree { id, name, image, status, processes, error } = of;
        let processes: BTreeMap<i64, &Process> = processes.iter().map(|one| (one.pid, one)).collect();
        let (name, id) = (brush.heading(&clean(name)), human::short_id(id));
        let mut text = format!("{name} ({id}) of {}: {}\n", clean(image), clean(status));
        let roots = processes.values().filter(|one| !processes.contains_key(&one.parent)).map(|one| one.pid);
        grow(&processes, (&roots.collect::<Vec<_>>(), ""), brush, &mut text);
        if !error.is_empty() {
            text.push_str(&format!("{}{}\n", brush.faint("└─ "), brush.wrong(&clean(error))));
        }
        text
    };
    all.iter().map(one).collect()
}

/// These processes and those below them, after what stands before them on the line.
fn grow(all: &BTreeMap<i64, &Process>, (pids, before): (&[i64], &str), brush: Paint, text: &mut String) {
    for (at, pid) in pids.iter().enumerate() {
        let last = at + 1 == pids.len();
        let (turn, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let Process { user, command, .. } = all[pid];
        let branch = brush.faint(&format!("{before}{turn}"));
        text.push_str(&format!("{branch}{pid} {} {}\n", clean(user), clean(command)));
        let children: Vec<i64> = all.values().filter(|one| one.parent == *pid).map(|one| one.pid).collect();
        grow(all, (&children, &format!("{before}{below}")), brush, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rows: &[&str]) -> String {
        let row = |text: &&str| process(&text.splitn(4, ' ').map(str::to_owned).collect::<Vec<_>>());
        let processes = rows.iter().filter_map(row).collect();
        let (id, image, status) = ("f".repeat(64), "busybox".to_owned(), "Up".to_owned());
        let tree = Tree { id, name: "web".into(), image, status, processes, error: String::new() };
        page(&[tree], Paint::new(false))
    }

    #[test]
    fn children_stand_below_their_parents() {
        let rows =
            ["10 1 root init", "11 10 root sh -c x", "13 11 root sleep 1", "12 10 www nginx", "20 1 root exec\u{1b}'d"];
        let head = "web (ffffffffffff) of busybox: Up\n";
        let want = "├─ 10 root init\n│  ├─ 11 root sh -c x\n│  │  └─ 13 root sleep 1\n│  └─ 12 www nginx\n└─ 20 root exec?'d\n";
        assert_eq!(shown(&rows), format!("{head}{want}"));
        assert_eq!(shown(&["odd"]), head);
    }
}
