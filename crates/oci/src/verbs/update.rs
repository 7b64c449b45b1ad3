//! `update [-r FILE] [limits] ID`.

use std::io::Read as _;

use hull_cgroup::Limits;

use crate::bundle::drop_nulls;
use crate::cgroups;
use crate::cli::{Flag, Globals, Words};
use crate::config::{BlockIo, Cpu, Memory, Pids, Resources};
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
    let resources = match words.value("resources").filter(|path| !path.is_empty()) {
        Some(path) => read(path)?,
        None => of_flags(words)?,
    };
    refusals::resources(&resources)?;
    let limits: Limits = cgroups::limits(&resources)?;
    let locked = Locked::open(&globals.root, id)?;
    let container = Container::of(&locked)?;
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
    Ok(0)
}

fn read(path: &str) -> Result<Resources> {
    let mut text = String::new();
    let what = || format!("read {path:?}");
    if path == "-" {
        std::io::stdin().read_to_string(&mut text).doing(what)?;
    } else {
        text = std::fs::read_to_string(path).doing(what)?;
    }
    let unreadable = |error: serde_json::Error| Error::Unreadable { path: path.into(), reason: error.to_string() };
    let mut value: serde_json::Value = serde_json::from_str(&text).map_err(unreadable)?;
    drop_nulls(&mut value);
    serde_json::from_value(value).map_err(unreadable)
}

fn of_flags(words: &Words) -> Result<Resources> {
    let text = |name: &str| words.value(name).map(str::to_owned).filter(|text| !text.is_empty());
    Ok(Resources {
        memory: Some(Memory {
            limit: size(words, "memory")?,
            reservation: size(words, "memory-reservation")?,
            swap: size(words, "memory-swap")?,
            kernel: size(words, "kernel-memory")?,
            kernel_tcp: size(words, "kernel-memory-tcp")?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: words.number("cpu-share")?,
            quota: words.number("cpu-quota")?,
            burst: words.number("cpu-burst")?,
            period: words.number("cpu-period")?,
            realtime_runtime: words.number("cpu-rt-runtime")?,
            realtime_period: words.number("cpu-rt-period")?,
            cpus: text("cpuset-cpus"),
            mems: text("cpuset-mems"),
            idle: words.number("cpu-idle")?,
        }),
        pids: Some(Pids { limit: words.number("pids-limit")? }),
        block_io: Some(BlockIo { weight: words.number("blkio-weight")?, ..BlockIo::default() }),
        ..Resources::default()
    })
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
