//! `events [--stats] [--interval D] ID`: lines of JSON in runc's form.

use std::time::{Duration, Instant};

use hull_cgroup::{BlkioEntry, Stats};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::{Map, Value, json};

use crate::cgroups::Group;
use crate::cli::{Flag, Globals, Words, say};
use crate::container::{Container, Status};
use crate::error::{Error, Result};

pub const FLAGS: &[Flag] = &[Flag::value("interval"), Flag::bool("stats"), Flag::bool("help").or("h")];

/// Prints the statistics once, or every interval with what happens in between, until the container ends.
pub fn run(globals: &Globals, words: &Words) -> Result<i32> {
    let interval = words.value("interval").unwrap_or("5s");
    let interval = interval.parse::<hull_types::GoDuration>().ok().and_then(|duration| duration.to_std());
    let interval = interval.filter(|interval| !interval.is_zero());
    let interval = interval.ok_or_else(|| Error::Usage("duration interval must be greater than 0".to_owned()))?;
    let container = Container::find(globals, words.id("events")?)?;
    let refused =
        |reason: &str| Error::State { verb: "watch", id: container.state.id.clone(), reason: reason.to_owned() };
    if container.status() == Status::Stopped {
        return Err(refused(&format!("container with id {} is not running", container.state.id)));
    }
    let group = container.group().ok_or_else(|| refused("it has no cgroup"))?;
    print(&container.state.id, "stats", Some(stats(&group.stats()?)))?;
    if !words.is("stats") {
        watch(&container, &group, interval)?;
    }
    Ok(0)
}

fn watch(container: &Container, group: &Group, interval: Duration) -> Result<()> {
    let process = container.pidfd()?;
    let (oom, mut kills) = group.oom()?;
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::new(&process, PollFlags::IN), PollFd::new(&oom, PollFlags::IN)];
        _ = rustix::event::poll(&mut fds, Some(&timeout));
        let (ended, pressed) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if pressed {
            while rustix::io::read(&oom, &mut [0u8; 4096]).is_ok_and(|n| n == 4096) {}
        }
        // Gone with the container.
        let now = group.oom_kills().unwrap_or(kills);
        if now > kills {
            kills = now;
            print(&container.state.id, "oom", None)?;
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + interval;
            if let Ok(now) = group.stats() {
                print(&container.state.id, "stats", Some(stats(&now)))?;
            }
        }
    }
}

fn print(id: &str, kind: &str, data: Option<Value>) -> Result<()> {
    let mut event = json!({ "type": kind, "id": id });
    if let Some(data) = data {
        event["data"] = data;
    }
    say(&format!("{event}\n"))
}

fn stats(stats: &Stats) -> Value {
    json!({
        "cpu": cpu(stats),
        "cpuset": {},
        "memory": memory(stats),
        "pids": { "current": stats.pids.current, "limit": stats.pids.limit.unwrap_or(0) },
        "blkio": {
            "ioServiceBytesRecursive": entries(&stats.blkio.service_bytes),
            "ioServicedRecursive": entries(&stats.blkio.serviced),
        },
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn cpu(stats: &Stats) -> Value {
    let cpu = &stats.cpu;
    let mut usage = json!({ "total": cpu.usage_ns, "kernel": cpu.kernel_ns, "user": cpu.user_ns });
    if !cpu.percpu_ns.is_empty() {
        usage["percpu"] = json!(cpu.percpu_ns);
    }
    json!({
        "usage": usage,
        "throttling": {
            "periods": cpu.periods,
            "throttledPeriods": cpu.throttled_periods,
            "throttledTime": cpu.throttled_ns,
        },
    })
}

fn memory(stats: &Stats) -> Value {
    let memory = &stats.memory;
    let mut usage = json!({ "limit": memory.limit, "usage": memory.usage, "failcnt": memory.failcnt.unwrap_or(0) });
    if let Some(max) = memory.max_usage {
        usage["max"] = json!(max);
    }
    let cache = ["cache", "file"].iter().find_map(|key| memory.stat.get(*key)).copied().unwrap_or(0);
    let raw: Map<String, Value> = memory.stat.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let none = json!({ "limit": 0, "failcnt": 0 });
    json!({ "cache": cache, "usage": usage, "swap": none, "kernel": none, "kernelTCP": none, "raw": raw })
}

fn entries(list: &[BlkioEntry]) -> Vec<Value> {
    let entry = |e: &BlkioEntry| json!({ "major": e.major, "minor": e.minor, "op": e.op, "value": e.value });
    list.iter().map(entry).collect()
}
