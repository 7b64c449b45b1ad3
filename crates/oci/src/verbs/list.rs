//! `list [--format table|json] [--quiet]`.

use super::state::Shown;
use crate::cli::{Flag, Globals, Words, say};
use crate::container::Container;
use crate::error::{Doing, Error, Result};

pub const FLAGS: &[Flag] = &[Flag::value("format").or("f"), Flag::bool("quiet").or("q"), Flag::bool("help").or("h")];

/// Prints every container of the root; one that cannot be read is said and left out.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let mut shown = all(globals)?;
    shown.sort_by(|a, b| a.id.cmp(&b.id));
    if words.is("quiet") {
        let ids: String = shown.iter().map(|one| format!("{}\n", one.id)).collect();
        return say(&ids).map(|()| 0);
    }
    match words.value("format").unwrap_or("table") {
        "table" | "" => say(&table(&shown))?,
        // As Go prints an empty list.
        "json" if shown.is_empty() => say("null")?,
        "json" => say(&serde_json::to_string(&shown).unwrap_or_default())?,
        _ => return Err(Error::Usage("invalid format option".to_owned())),
    }
    Ok(0)
}

fn all(globals: &Globals) -> Result<Vec<Shown>> {
    let entries = match std::fs::read_dir(&globals.root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing(|| format!("read {:?}", globals.root))?,
    };
    let mut shown = Vec::new();
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let Ok(id) = entry.file_name().into_string() else { continue };
        match Container::find(globals, &id) {
            Ok(container) => {
                let owner = owner(container.state.uid);
                shown.push(Shown { owner, ..Shown::of(container) });
            }
            // It is being made, or removed.
            Err(Error::NoContainer(_) | Error::BadId(_)) => {}
            Err(error) => globals.log.warning(&format!("load container {id}: {error}")),
        }
    }
    Ok(shown)
}

/// The name of a user of the host, or its number.
fn owner(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{uid}"))
}

fn table(shown: &[Shown]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(shown.iter().map(|one| {
        let (pid, status) = (one.pid.to_string(), one.status.name().to_owned());
        [one.id.clone(), pid, status, one.bundle.clone(), one.created.clone(), one.owner.clone()]
    }));
    // Go's tabwriter as runc sets it up: cells of at least 12, three blanks between.
    let widths: Vec<usize> = (0..5)
        .map(|column| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12))
        .collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            text += &format!("{cell:<width$}");
        }
        text += &row[5];
        text.push('\n');
    }
    text
}
