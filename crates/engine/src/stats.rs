//! `stats`: counters of the cgroup and of the network namespace, one sample a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use hull_types::{Fault, Timestamp};
use hull_wire as wire;

use crate::container::{Container, View};
use crate::core::{Core, blocking};

const INTERVAL: Duration = Duration::from_secs(1);

/// `GET /containers/{id}/stats`.
pub(crate) async fn stats(
    core: &Arc<Core>,
    container: Arc<Container>,
    stream: bool,
    one_shot: bool,
) -> Result<BoxStream<'static, wire::ContainerStats>, Fault> {
    let first = sample(core, &container)?;
    if !stream {
        if one_shot || container.live().is_none() {
            return Ok(stream::iter([first]).boxed());
        }
        tokio::time::sleep(INTERVAL).await;
        let second = after(&first, sample(core, &container)?);
        return Ok(stream::iter([second]).boxed());
    }
    let core = Arc::clone(core);
    let rest = stream::unfold((core, container, first.clone()), |(core, container, before)| async move {
        tokio::time::sleep(INTERVAL).await;
        if container.life.borrow().removed {
            return None;
        }
        let next = after(&before, sample(&core, &container).ok()?);
        Some((next.clone(), (core, container, next)))
    });
    Ok(stream::iter([first]).chain(rest).boxed())
}

/// With the counters of the sample before it.
fn after(before: &wire::ContainerStats, mut now: wire::ContainerStats) -> wire::ContainerStats {
    now.preread = before.read;
    now.precpu_stats = before.cpu_stats.clone();
    now
}

fn sample(core: &Core, container: &Container) -> Result<wire::ContainerStats, Fault> {
    let view = container.view();
    let mut stats = wire::ContainerStats {
        name: view.name().slashed(),
        id: container.id.to_string(),
        os_type: "linux".into(),
        read: Timestamp::now(),
        ..Default::default()
    };
    // COMPAT(docker 28): a container that does not run has a document of zeroes.
    let Some(live) = container.live() else { return Ok(stats) };
    blocking(|| fill(core, &view, live.pid, &mut stats))?;
    Ok(stats)
}

fn fill(core: &Core, view: &View, pid: i32, stats: &mut wire::ContainerStats) -> Result<(), Fault> {
    let read = match core.cgroup(view).and_then(|cgroup| Ok(cgroup.stats()?)) {
        Ok(read) => read,
        // It has just ended.
        Err(fault) if fault.kind == hull_types::Kind::NotFound => return Ok(()),
        Err(fault) => return Err(fault),
    };
    stats.pids_stats = wire::PidsStats { current: read.pids.current, limit: read.pids.limit.unwrap_or(u64::MAX) };
    stats.cpu_stats = wire::CpuStats {
        cpu_usage: wire::CpuUsage {
            total_usage: read.cpu.usage_ns,
            percpu_usage: read.cpu.percpu_ns,
            usage_in_kernelmode: read.cpu.kernel_ns,
            usage_in_usermode: read.cpu.user_ns,
        },
        system_cpu_usage: system_cpu(),
        online_cpus: u32::try_from(core.parts.cgroups.support().cpu_count).unwrap_or(1),
        throttling_data: wire::ThrottlingData {
            periods: read.cpu.periods,
            throttled_periods: read.cpu.throttled_periods,
            throttled_time: read.cpu.throttled_ns,
        },
    };
    stats.memory_stats = wire::MemoryStats {
        usage: read.memory.usage,
        max_usage: read.memory.max_usage.unwrap_or(0),
        stats: read.memory.stat,
        failcnt: read.memory.failcnt.unwrap_or(0),
        limit: read.memory.limit,
    };
    let entries = |entries: Vec<hull_cgroup::BlkioEntry>| {
        let entry = |e: hull_cgroup::BlkioEntry| wire::BlkioEntry {
            major: e.major.into(),
            minor: e.minor.into(),
            op: e.op,
            value: e.value,
        };
        entries.into_iter().map(entry).collect()
    };
    stats.blkio_stats = wire::BlkioStats {
        io_service_bytes_recursive: entries(read.blkio.service_bytes),
        io_serviced_recursive: entries(read.blkio.serviced),
        ..Default::default()
    };
    if view.definition.spec.namespaces.net == hull_launch::spec::NamespaceWish::New {
        stats.networks = networks(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default());
    }
    Ok(())
}

/// All CPU time of the machine in nanoseconds. COMPAT(docker 28): the first seven fields of `cpu`.
fn system_cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: u64 = stat
        .lines()
        .next()
        .map(|line| line.split_whitespace().skip(1).take(7).filter_map(|n| n.parse::<u64>().ok()).sum())
        .unwrap_or(0);
    ticks.saturating_mul(1_000_000_000 / rustix::param::clock_ticks_per_second().max(1))
}

/// `/proc/net/dev` without the loopback.
fn networks(text: &str) -> BTreeMap<String, wire::NetworkStats> {
    let interfaces = text.lines().skip(2).filter_map(|line| {
        let (name, counters) = line.split_once(':')?;
        let numbers: Vec<u64> = counters.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let at = |i: usize| numbers.get(i).copied().unwrap_or(0);
        let stats = wire::NetworkStats {
            rx_bytes: at(0),
            rx_packets: at(1),
            rx_errors: at(2),
            rx_dropped: at(3),
            tx_bytes: at(8),
            tx_packets: at(9),
            tx_errors: at(10),
            tx_dropped: at(11),
        };
        Some((name.trim().to_owned(), stats))
    });
    interfaces.filter(|(name, _)| name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read() {
        let text = "Inter-|   Receive |  Transmit\n face |bytes packets errs\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  \
                    eth0: 10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0\n";
        let all = networks(text);
        assert_eq!(all.len(), 1);
        assert_eq!((all["eth0"].rx_bytes, all["eth0"].tx_bytes, all["eth0"].tx_dropped), (10, 50, 8));
    }
}
