//! Reading version 2's counters.

use super::{BlkioEntry, BlkioStats, CpuStats, MemoryStats, Stats, device};
use crate::error::Error;
use crate::group::Cgroup;
use crate::kernfs::{pairs, value_of};

pub(super) fn read(group: &Cgroup) -> Result<Stats, Error> {
    let text = |controller, file| Ok::<_, Error>(group.read(controller, file)?.unwrap_or_default());
    Ok(Stats {
        cpu: cpu(&text("cpu", "cpu.stat")?),
        memory: memory(group)?,
        blkio: blkio(&text("io", "io.stat")?),
        ..Stats::default()
    })
}

fn cpu(stat: &str) -> CpuStats {
    let value = |key| value_of(stat, key).unwrap_or(0);
    let ns = |key| value(key).saturating_mul(1000);
    CpuStats {
        usage_ns: ns("usage_usec"),
        user_ns: ns("user_usec"),
        kernel_ns: ns("system_usec"),
        percpu_ns: Vec::new(),
        periods: value("nr_periods"),
        throttled_periods: value("nr_throttled"),
        throttled_ns: ns("throttled_usec"),
    }
}

fn memory(group: &Cgroup) -> Result<MemoryStats, Error> {
    let number = |file| group.number("memory", file);
    let stat = group.read("memory", "memory.stat")?.unwrap_or_default();
    Ok(MemoryStats {
        usage: number("memory.current")?.unwrap_or(0),
        max_usage: number("memory.peak")?,
        limit: number("memory.max")?.unwrap_or(0),
        failcnt: None,
        stat: pairs(&stat).map(|(k, v)| (k.to_owned(), v)).collect(),
    })
}

/// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn blkio(text: &str) -> BlkioStats {
    let mut stats = BlkioStats::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.service_bytes, "read"),
                "wbytes" => (&mut stats.service_bytes, "write"),
                "rios" => (&mut stats.serviced, "read"),
                "wios" => (&mut stats.serviced, "write"),
                _ => continue,
            };
            if let Ok(value) = value.parse() {
                list.push(BlkioEntry { major, minor, op: op.to_owned(), value });
            }
        }
    }
    stats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_stat() {
        let stats = blkio("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n254:1 \n");
        let flat = |list: &[BlkioEntry]| -> Vec<(u32, String, u64)> {
            list.iter().map(|e| (e.major, e.op.clone(), e.value)).collect()
        };
        assert_eq!(flat(&stats.service_bytes), [(8, "read".into(), 1), (8, "write".into(), 2)]);
        assert_eq!(flat(&stats.serviced), [(8, "read".into(), 3), (8, "write".into(), 4)]);
    }

    #[test]
    fn cpu_stat_is_in_microseconds() {
        let stats = cpu("usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 7\n\
            nr_throttled 1\nthrottled_usec 9\n");
        assert_eq!((stats.usage_ns, stats.user_ns), (5000, 3000));
        assert_eq!((stats.throttled_periods, stats.throttled_ns), (1, 9000));
    }
}
