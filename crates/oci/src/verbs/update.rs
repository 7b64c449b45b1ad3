//! `update [-r FILE] [limits] ID`.

use std::io::Read as _;

use hull_cgroup::Limits;
use serde_json::{Map, Value, json};

use crate::bundle::drop_nulls;
use crate::cgroups;
use crate::cli::{Flag, Globals, Words};
use crate::config::Resources;
use crate::container::{Container, Status};
use crate::error::{Doing, Error, Result};
use crate::refusals;
use crate::state::Locked;

pub const FLAGS: &[Flag] = &[
    Flag::value("resources").or("r"),
    Flag::value("blkio-weight"),
    Flag::value("cpu-period"),
    Flag::value("cpu-quota"),
    Flag::value("cpu-burst"),
    Flag::value("cpu-share"),
    Flag::value("cpu-rt-period"),
    Flag::value("cpu-rt-runtime"),
    Flag::value("cpuset-cpus"),
    Flag::value("cpuset-mems"),
    Flag::value("kernel-memory"),
    Flag::value("kernel-memory-tcp"),
    Flag::value("memory"),
    Flag::value("memory-reservation"),
    Flag::value("memory-swap"),
    Flag::value("pids-limit"),
    Flag::value("l3-cache-schema"),
    Flag::value("mem-bw-schema"),
    Flag::value("cpu-idle"),
    Flag::bool("help").or("h"),
];

/// Changes the limits that are given.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let id = words.id("update")?;
    for flag in ["l3-cache-schema", "mem-bw-schema"] {
        if words.value(flag).is_some_and(|value| !value.is_empty()) {
            return Err(Error::unsupported(format!("--{flag}"), "there is no support for resctrl"));
        }
    }
    let (path, given) = match words.value("resources").filter(|path| !path.is_empty()) {
        Some(path) => (path, read(path)?),
        None => ("the flags", of_flags(words)?),
    };
    let unreadable = |error: serde_json::Error| Error::Unreadable { path: path.into(), reason: error.to_string() };
    let resources: Resources = serde_json::from_value(given.clone()).map_err(unreadable)?;
    refusals::resources(&resources)?;
    let limits: Limits = cgroups::limits(&resources)?;
    let locked = Locked::open(&globals.root, id)?;
    let mut container = Container::of(&locked)?;
    if container.status() == Status::Stopped {
        return Err(Error::NotRunning);
    }
    let group = container.group();
    let mut group = group.ok_or_else(|| Error::State {
        verb: "update",
        id: id.to_owned(),
        reason: "it has no cgroup".to_owned(),
    })?;
    let checked = resources.memory.as_ref().is_some_and(|memory| memory.check_before_update == Some(true));
    if let (true, Some(limit @ 1..)) = (checked, limits.memory)
        && group.stats()?.memory.usage > limit.unsigned_abs()
    {
        return Err(Error::invalid("memory.limit", "is below what the container uses, and checkBeforeUpdate is set"));
    }
    group.update(&limits)?;
    remember(&mut container, given)?;
    locked.write(&container.state)?;
    Ok(0)
}

/// The container's configuration has the new limits from now on.
fn remember(container: &mut Container, given: Value) -> Result<()> {
    let unreadable = |error: serde_json::Error| Error::Unreadable {
        path: container.directory.join("state.json"),
        reason: error.to_string(),
    };
    let mut config: Value = serde_json::from_str(container.state.config.get()).map_err(unreadable)?;
    merge(&mut config["linux"]["resources"], given);
    container.state.config = serde_json::value::to_raw_value(&config).map_err(unreadable)?;
    Ok(())
}

/// What is given replaces what is there, field by field.
fn merge(present: &mut Value, given: Value) {
    match given {
        Value::Object(given) => {
            if !present.is_object() {
                *present = Value::Object(Map::new());
            }
            for (name, value) in given {
                merge(&mut present[name], value);
            }
        }
        value => *present = value,
    }
}

fn read(path: &str) -> Result<Value> {
    let mut text = String::new();
    let what = || format!("read {path:?}");
    if path == "-" {
        std::io::stdin().read_to_string(&mut text).doing(what)?;
    } else {
        text = std::fs::read_to_string(path).doing(what)?;
    }
    let unreadable = |error: serde_json::Error| Error::Unreadable { path: path.into(), reason: error.to_string() };
    let mut value: Value = serde_json::from_str(&text).map_err(unreadable)?;
    drop_nulls(&mut value);
    Ok(value)
}

fn of_flags(words: &Words) -> Result<Value> {
    let text = |name: &str| words.value(name).filter(|text| !text.is_empty());
    let mut value = json!({
        "memory": {
            "limit": size(words, "memory")?,
            "reservation": size(words, "memory-reservation")?,
            "swap": size(words, "memory-swap")?,
            "kernel": size(words, "kernel-memory")?,
            "kernelTCP": size(words, "kernel-memory-tcp")?,
        },
        "cpu": {
            "shares": words.number::<u64>("cpu-share")?,
            "quota": words.number::<i64>("cpu-quota")?,
            "burst": words.number::<u64>("cpu-burst")?,
            "period": words.number::<u64>("cpu-period")?,
            "realtimeRuntime": words.number::<i64>("cpu-rt-runtime")?,
            "realtimePeriod": words.number::<u64>("cpu-rt-period")?,
            "cpus": text("cpuset-cpus"),
            "mems": text("cpuset-mems"),
            "idle": words.number::<i64>("cpu-idle")?,
        },
        "pids": { "limit": words.number::<i64>("pids-limit")? },
        "blockIO": { "weight": words.number::<u16>("blkio-weight")? },
    });
    drop_nulls(&mut value);
    Ok(value)
}

/// Bytes, also as `32M`.
fn size(words: &Words, flag: &str) -> Result<Option<i64>> {
    let Some(text) = words.value(flag).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text == "-1" {
        return Ok(Some(-1));
    }
    match text.parse::<hull_types::ByteSize>() {
        Ok(size) => Ok(Some(size.bytes())),
        Err(error) => Err(Error::Usage(format!("invalid value for {flag}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let mut config = json!({ "memory": { "limit": 5, "swap": 6 }, "devices": [{ "allow": false }] });
        merge(&mut config, json!({ "memory": { "limit": 7 }, "pids": { "limit": 8 } }));
        let want =
            json!({ "memory": { "limit": 7, "swap": 6 }, "devices": [{ "allow": false }], "pids": { "limit": 8 } });
        assert_eq!(config, want);
        let mut none = Value::Null;
        merge(&mut none, json!({ "cpu": { "quota": 1 } }));
        assert_eq!(none, json!({ "cpu": { "quota": 1 } }));
    }
}
