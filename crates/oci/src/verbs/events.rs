//! `events [--stats] [--interval D] ID`: lines of JSON in runc's form.

use std::time::{Duration, Instant};

use hull_cgroup::{BlkioEntry, Counter, Further, Stats};
use hull_launch::plan::Namespaces;
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
    print(&container.state.id, "stats", Some(all(&container, &group)?))?;
    if !words.is("stats") {
        watch(&container, &group, interval)?;
    }
    Ok(0)
}

/// How often it is looked whether the process has ended, where nothing tells of it.
const LOOK: Duration = Duration::from_millis(100);

fn watch(container: &Container, group: &Group, interval: Duration) -> Result<()> {
    let process = container.pidfd()?;
    // KERNEL(5.3): a directory of /proc in its place can be read at any time, which tells nothing: then it is looked at now and then.
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready =
        rustix::event::poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0);
    let tells = !(ready && container.is_alive());
    let (oom, mut kills) = group.oom()?;
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now()).min(if tells { interval } else { LOOK });
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::new(&oom, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        _ = rustix::event::poll(&mut fds[..1 + usize::from(tells)], Some(&timeout));
        let pressed = !fds[0].revents().is_empty();
        let ended = if tells { !fds[1].revents().is_empty() } else { !container.is_alive() };
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
            // Gone with the container.
            if let Ok(now) = all(container, group) {
                print(&container.state.id, "stats", Some(now))?;
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

fn all(container: &Container, group: &Group) -> Result<Value> {
    let (stats, further) = (group.stats()?, group.further()?);
    let network = Namespaces(container.state.namespaces).contains(Namespaces::NETWORK);
    let links = if network { links(container.state.pid) } else { Vec::new() };
    Ok(json!({
        "cpu": cpu(&stats),
        "cpuset": cpuset(&further),
        "memory": memory(&stats, &further),
        "pids": pids(&stats),
        "blkio": blkio(&stats),
        "hugetlb": further.hugetlb.iter().map(|(size, pages)| (size.clone(), entry(pages))).collect::<Map<_, _>>(),
        "intel_rdt": {},
        "network_interfaces": if links.is_empty() { Value::Null } else { links.into() },
    }))
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

fn cpuset(further: &Further) -> Value {
    let mut set: Map<String, Value> =
        further.cpuset.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    for (name, list) in [("cpus", &further.cpus), ("mems", &further.mems)] {
        if let Some(list) = hull_cgroup::parse_cpu_list(list).ok().filter(|list| !list.is_empty()) {
            set.insert(name.to_owned(), json!(list));
        }
    }
    set.into()
}

fn memory(stats: &Stats, further: &Further) -> Value {
    let stat = &stats.memory.stat;
    let cache = ["cache", "file"].iter().find_map(|key| stat.get(*key)).copied().unwrap_or(0);
    let raw: Map<String, Value> = stat.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    json!({
        "cache": cache,
        "usage": entry(&further.memory),
        "swap": entry(&further.swap),
        "kernel": entry(&further.kernel),
        "kernelTCP": entry(&further.kernel_tcp),
        "raw": raw,
    })
}

/// As runc's: what is absent is left out, but for the limit and the failures, which are 0. No limit is the largest
/// number.
fn entry(counter: &Counter) -> Value {
    let limit = counter.limit.or(counter.usage.map(|_| u64::MAX)).unwrap_or(0);
    let mut entry = json!({ "limit": limit, "failcnt": counter.failcnt.unwrap_or(0) });
    for (name, value) in [("usage", counter.usage), ("max", counter.max)] {
        if let Some(value) = value {
            entry[name] = value.into();
        }
    }
    entry
}

fn pids(stats: &Stats) -> Value {
    match stats.pids.limit {
        Some(limit) => json!({ "current": stats.pids.current, "limit": limit }),
        None => json!({ "current": stats.pids.current }),
    }
}

fn blkio(stats: &Stats) -> Value {
    let entry = |e: &BlkioEntry| json!({ "major": e.major, "minor": e.minor, "op": e.op, "value": e.value });
    let lists =
        [("ioServiceBytesRecursive", &stats.blkio.service_bytes), ("ioServicedRecursive", &stats.blkio.serviced)];
    let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
    given.map(|(name, list)| (name.to_owned(), list.iter().map(entry).collect())).collect::<Map<_, _>>().into()
}

/// The interfaces of the container's own network namespace, but for the loopback: proc_pid_net(5).
fn links(pid: i32) -> Vec<Value> {
    let text = hull_sys::proc::read(&format!("/proc/{pid}/net/dev")).unwrap_or_default();
    text.lines().skip(2).filter_map(link).collect()
}

fn link(line: &str) -> Option<Value> {
    let (name, counters) = line.split_once(':')?;
    let counters: Vec<u64> = counters.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let &[rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, _, tx_bytes, tx_packets, tx_errors, tx_dropped, ..] =
        &counters[..]
    else {
        return None;
    };
    let name = name.trim();
    (name != "lo").then(|| {
        json!({
            "Name": name,
            "RxBytes": rx_bytes, "RxPackets": rx_packets, "RxErrors": rx_errors, "RxDropped": rx_dropped,
            "TxBytes": tx_bytes, "TxPackets": tx_packets, "TxErrors": tx_errors, "TxDropped": tx_dropped,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_told_as_runc_does() {
        let line = "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let told = link(line).unwrap();
        assert_eq!((&told["Name"], &told["RxDropped"], &told["TxBytes"]), (&json!("eth0"), &json!(4), &json!(9)));
        assert_eq!(link("    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"), None);
        assert_eq!(link(" face |bytes"), None);
    }

    #[test]
    fn no_limit_is_the_largest_number_and_no_counter_is_none() {
        let open = Counter { usage: Some(5), ..Counter::default() };
        assert_eq!(entry(&open), json!({ "limit": u64::MAX, "failcnt": 0, "usage": 5 }));
        assert_eq!(entry(&Counter::default()), json!({ "limit": 0, "failcnt": 0 }));
    }
}
