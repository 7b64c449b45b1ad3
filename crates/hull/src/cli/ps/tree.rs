//! `hull ps --tree`: each container with its processes as a tree, by their numbers on the host.

use std::collections::BTreeMap;

use hull_client::Client;
use hull_types::Fault;
use hull_wire::ContainerSummary;

use crate::output::human;

/// What is asked of `top`; the last column is the rest of the line.
const COLUMNS: &str = "-o pid,ppid,user,args";

/// A process: its parent, and what is shown of it.
struct Process {
    parent: i64,
    shown: String,
}

/// The text for these containers. One that ended meanwhile is shown without processes.
pub(super) fn tree(client: &mut Client, list: &[ContainerSummary]) -> Result<String, Fault> {
    let mut text = String::new();
    for item in list {
        let name = item.names.first().map_or("", |name| name.trim_start_matches('/'));
        text.push_str(&format!("{name} ({}) of {}: {}\n", human::short_id(&item.id), item.image, item.status));
        if matches!(item.state.as_str(), "running" | "paused") {
            match client.container_top(&item.id, Some(COLUMNS)) {
                Ok(top) => text.push_str(&branches(&top.processes)),
                Err(error) => text.push_str(&format!("└─ {}\n", Fault::from(error))),
            }
        }
    }
    Ok(text)
}

fn branches(rows: &[Vec<String>]) -> String {
    let mut all = BTreeMap::new();
    for row in rows {
        let [pid, parent, user, args] = &row[..] else { continue };
        let (Ok(pid), Ok(parent)) = (pid.parse(), parent.parse()) else { continue };
        all.insert(pid, Process { parent, shown: format!("{pid} {user} {args}") });
    }
    let roots: Vec<i64> = all.iter().filter(|(_, one)| !all.contains_key(&one.parent)).map(|(pid, _)| *pid).collect();
    let mut text = String::new();
    grow(&all, &roots, "", &mut text);
    text
}

fn grow(all: &BTreeMap<i64, Process>, pids: &[i64], before: &str, text: &mut String) {
    for (at, pid) in pids.iter().enumerate() {
        let last = at + 1 == pids.len();
        let (turn, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        text.push_str(&format!("{before}{turn}{}\n", all[pid].shown));
        let children: Vec<i64> = all.iter().filter(|(_, one)| one.parent == *pid).map(|(pid, _)| *pid).collect();
        grow(all, &children, &format!("{before}{below}"), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stand_below_their_parents() {
        let row = |text: &str| text.splitn(4, ' ').map(str::to_owned).collect::<Vec<_>>();
        let rows = [
            row("10 1 root init"),
            row("11 10 root sh -c x"),
            row("13 11 root sleep 1"),
            row("12 10 www nginx"),
            row("20 1 root exec'd"),
        ];
        let want =
            "├─ 10 root init\n│  ├─ 11 root sh -c x\n│  │  └─ 13 root sleep 1\n│  └─ 12 www nginx\n└─ 20 root exec'd\n";
        assert_eq!(branches(&rows), want);
        assert_eq!(branches(&[row("odd")]), "");
    }
}
