//! `ps [--format table|json] ID [ps options]`.

use std::process::Command;

use crate::cli::{Flag, Globals, Words, say};
use crate::container::{Container, Status};
use crate::error::{Doing, Error, Result};

pub const FLAGS: &[Flag] = &[Flag::value("format").or("f"), Flag::bool("help").or("h")];

/// The container's processes: as numbers, or as the host's ps shows them.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let Some((id, options)) = words.rest.split_first() else {
        return Err(Error::Usage("ps: \"ps\" requires a minimum of 1 argument".to_owned()));
    };
    let container = Container::find(globals, id)?;
    let pids = match container.group() {
        Some(group) => group.pids()?,
        None if container.status() == Status::Stopped => Vec::new(),
        None => vec![container.state.pid],
    };
    match words.value("format").unwrap_or("table") {
        "json" => say(&format!("{}\n", serde_json::to_string(&pids).unwrap_or_default()))?,
        "table" => table(&pids, options)?,
        _ => return Err(Error::Usage("invalid format option".to_owned())),
    }
    Ok(0)
}

fn table(pids: &[i32], options: &[String]) -> Result<()> {
    let usual = ["-ef".to_owned()];
    let options = if options.is_empty() { &usual[..] } else { options };
    let output = Command::new("ps").args(options).output().doing(|| format!("run ps {options:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Usage(format!("ps {options:?}: {}", said.trim())));
    }
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|name| name == "PID");
    let column = column.ok_or_else(|| Error::Usage("couldn't find PID field in ps output".to_owned()))?;
    let mut shown = format!("{head}\n");
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|field| field.parse().ok());
        if pid.is_some_and(|pid: i32| pids.contains(&pid)) {
            shown.push_str(line);
            shown.push('\n');
        }
    }
    say(&shown)
}
