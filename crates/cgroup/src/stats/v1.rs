//! Reading version 1's counters.

use super::{BlkioEntry, BlkioStats, CpuStats, MemoryStats, Stats, device};
use crate::error::Error;
use crate::group::Cgroup;
use crate::kernfs::{pairs, value_of};

pub(super) fn read(group: &Cgroup) -> Result<Stats, Error> {
    Ok(Stats { cpu: cpu(group)?, memory: memory(group)?, blkio: blkio(group)?, ..Stats::default() })
}

fn cpu(group: &Cgroup) -> Result<CpuStats, Error> {
    let number = |file| Ok::<_, Error>(group.number("cpuacct", file)?.unwrap_or(0));
    let percpu = group.read("cpuacct", "cpuacct.usage_percpu")?;
    let throttling = group.read("cpu", "cpu.stat")?.unwrap_or_default();
    let value = |key| value_of(&throttling, key).unwrap_or(0);
    Ok(CpuStats {
        usage_ns: number("cpuacct.usage")?,
        user_ns: number("cpuacct.usage_user")?,
        kernel_ns: number("cpuacct.usage_sys")?,
        percpu_ns: percpu.unwrap_or_default().split_whitespace().filter_map(|n| n.parse().ok()).collect(),
        periods: value("nr_periods"),
        throttled_periods: value("nr_throttled"),
        throttled_ns: value("throttled_time"),
    })
}

fn memory(group: &Cgroup) -> Result<MemoryStats, Error> {
    let number = |file| group.number("memory", file);
    let stat = group.read("memory", "memory.stat")?.unwrap_or_default();
    Ok(MemoryStats {
        usage: number("memory.usage_in_bytes")?.unwrap_or(0),
        max_usage: number("memory.max_usage_in_bytes")?,
        limit: number("memory.limit_in_bytes")?.unwrap_or(0),
        failcnt: number("memory.failcnt")?,
        stat: pairs(&stat).map(|(k, v)| (k.to_owned(), v)).collect(),
    })
}

fn blkio(group: &Cgroup) -> Result<BlkioStats, Error> {
    Ok(BlkioStats {
        service_bytes: counters(group, "io_service_bytes_recursive")?,
        serviced: counters(group, "io_serviced_recursive")?,
    })
}

/// The scheduler's counters where it keeps any, else those of the throttling layer.
fn counters(group: &Cgroup, file: &str) -> Result<Vec<BlkioEntry>, Error> {
    for prefix in ["blkio.bfq", "blkio.throttle"] {
        let text = group.read("blkio", &format!("{prefix}.{file}"))?;
        let entries = parse(&text.unwrap_or_default());
        if !entries.is_empty() {
            return Ok(entries);
        }
    }
    Ok(Vec::new())
}

/// Lines of `8:0 Read 4096`; the last line, `Total 4096`, sums all devices and is left out.
fn parse(text: &str) -> Vec<BlkioEntry> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (major, minor) = device(words.next()?)?;
            Some(BlkioEntry { major, minor, op: words.next()?.to_lowercase(), value: words.next()?.parse().ok()? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blkio_lines() {
        let entries = parse("8:0 Read 4096\n8:0 Total 4097\nTotal 9\n");
        let found: Vec<_> = entries.iter().map(|e| (e.major, e.minor, e.op.as_str(), e.value)).collect();
        assert_eq!(found, [(8, 0, "read", 4096), (8, 0, "total", 4097)]);
    }
}
