//! The process that an exec asks for: a file's, or the container's own with what the flags change.

use crate::bundle::drop_nulls;
use crate::cli::Words;
use crate::config::{Capabilities, Config, Process};
use crate::error::{Doing, Error, Result};

pub fn process(config: &Config, words: &Words) -> Result<Process> {
    if let Some(path) = words.value("process").filter(|path| !path.is_empty()) {
        return read(path);
    }
    let command = &words.rest[1..];
    if command.is_empty() {
        return Err(Error::Usage("exec args cannot be empty".to_owned()));
    }
    let mut process = config.process.clone().unwrap_or_default();
    process.args = command.to_vec();
    process.terminal = words.is("tty");
    if let Some(cwd) = words.value("cwd").filter(|cwd| !cwd.is_empty()) {
        process.cwd = cwd.to_owned();
    }
    process.env.extend(words.values("env").map(str::to_owned));
    if let Some(profile) = words.value("apparmor").filter(|profile| !profile.is_empty()) {
        process.apparmor_profile = Some(profile.to_owned());
    }
    if let Some(label) = words.value("process-label").filter(|label| !label.is_empty()) {
        process.selinux_label = Some(label.to_owned());
    }
    if words.value("no-new-privs").is_some() {
        process.no_new_privileges = words.is("no-new-privs");
    }
    capabilities(&mut process, words)?;
    user(&mut process, words)?;
    Ok(process)
}

fn read(path: &str) -> Result<Process> {
    let text = std::fs::read_to_string(path).doing(|| format!("read {path:?}"))?;
    let unreadable = |error: serde_json::Error| Error::Unreadable { path: path.into(), reason: error.to_string() };
    let mut value: serde_json::Value = serde_json::from_str(&text).map_err(unreadable)?;
    drop_nulls(&mut value);
    serde_json::from_value(value).map_err(unreadable)
}

fn capabilities(process: &mut Process, words: &Words) -> Result<()> {
    for name in words.values("cap").flat_map(|names| names.split(',')) {
        if hull_confine::caps::CapSet::named(name).is_none() {
            return Err(Error::Usage(format!("--cap: there is no capability {name:?}")));
        }
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.push(name.to_owned());
        }
    }
    Ok(())
}

/// `uid[:gid]`, numbers only: anything else is refused, and never root by accident.
fn user(process: &mut Process, words: &Words) -> Result<()> {
    let number = |text: &str, what: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let id = text.parse::<u32>().ok().filter(|id| digits && *id != u32::MAX);
        id.ok_or_else(|| Error::Usage(format!("bad {what} {text:?}: a number is wanted")))
    };
    if let Some(user) = words.value("user").filter(|user| !user.is_empty()) {
        match user.split_once(':') {
            Some((uid, gid)) => (process.user.uid, process.user.gid) = (number(uid, "user")?, number(gid, "group")?),
            None => process.user.uid = number(user, "user")?,
        }
    }
    for gid in words.values("additional-gids").flat_map(|gids| gids.split(',')) {
        process.user.additional_gids.push(number(gid, "group")?);
    }
    Ok(())
}
