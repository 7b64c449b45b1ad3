//! Limits → files of cgroup version 2. Pure: the kernel's current values come in, writes go out.
//!
//! The API speaks version 1 (shares, memory plus swap); the conversions are those of runc, so that
//! `docker` and `hull` give the same numbers.

use crate::limits::{DeviceRate, DeviceWeight, Limits};
use crate::v1::Write;

/// What the writes depend on besides the limits.
pub(crate) struct Now<'a> {
    /// The group was made just now: defaults need not be written.
    pub fresh: bool,
    /// The kernel has `memory.swap.max`.
    pub swap: bool,
    /// `io.weight` or `io.bfq.weight`.
    pub weight_file: &'static str,
    /// The current text of a file, where a value is completed from it.
    pub read: &'a dyn Fn(&str) -> Option<String>,
}

/// The writes for the limits (devices are a program, not a file).
pub(crate) fn writes(limits: &Limits, now: &Now<'_>) -> Vec<Write> {
    let mut out = Vec::new();
    memory(limits, now, &mut out);
    cpu(limits, now, &mut out);
    if let Some(cpus) = &limits.cpuset_cpus {
        out.push(Write::new("cpuset", "cpuset.cpus", cpus));
    }
    if let Some(mems) = &limits.cpuset_mems {
        out.push(Write::new("cpuset", "cpuset.mems", mems));
    }
    if let Some(pids) = limits.pids
        && !(pids <= 0 && now.fresh)
    {
        out.push(Write::new("pids", "pids.max", max_or(pids)));
    }
    if let Some(burst) = limits.cpu_burst {
        out.push(Write::new("cpu", "cpu.max.burst", burst));
    }
    if let Some(idle) = limits.cpu_idle {
        out.push(Write::new("cpu", "cpu.idle", idle));
    }
    crate::v1::rdma(limits, &mut out);
    io(limits, now, &mut out);
    for huge in &limits.hugetlb {
        let file = format!("hugetlb.{}.max", huge.page_size);
        out.push(Write::new("hugetlb", file, huge.limit));
    }
    // ORDER: last, since the specification has them override what else is asked for.
    out.extend(limits.unified.iter().map(|(file, value)| Write::new("", file, value)));
    out
}

fn memory(limits: &Limits, now: &Now<'_>, out: &mut Vec<Write>) {
    if let Some(swap) = swap_max(limits, now).filter(|_| now.swap) {
        out.push(Write::new("memory", "memory.swap.max", swap));
    }
    if let Some(memory) = limits.memory {
        out.push(Write::new("memory", "memory.max", max_or(memory)));
    }
    if let Some(low) = limits.memory_reservation {
        out.push(Write::new("memory", "memory.low", max_or(low)));
    }
}

/// docker counts memory and swap together, version 2 counts swap alone.
fn swap_max(limits: &Limits, now: &Now<'_>) -> Option<String> {
    let Some(total) = limits.memory_swap else {
        // Lifting the memory limit lifts the swap limit as well.
        return (limits.memory == Some(-1) && !now.fresh).then(|| "max".into());
    };
    if total == -1 {
        return Some("max".into());
    }
    let current = || (now.read)("memory.max")?.trim().parse().ok();
    let memory = limits.memory.or_else(current).filter(|memory| *memory > 0)?;
    Some((total - memory).max(0).to_string())
}

fn cpu(limits: &Limits, now: &Now<'_>, out: &mut Vec<Write>) {
    if let Some(shares) = limits.cpu_shares.filter(|shares| *shares > 0) {
        out.push(Write::new("cpu", "cpu.weight", weight_of_shares(shares)));
    }
    let (quota, period) = limits.quota_and_period();
    let quota = quota.filter(|quota| *quota != 0).map(max_or);
    let value = match (quota, period.filter(|period| *period > 0)) {
        (Some(quota), Some(period)) => format!("{quota} {period}"),
        // KERNEL: one word alone leaves the period.
        (Some(quota), None) => quota,
        (None, Some(period)) => {
            let current = (now.read)("cpu.max").unwrap_or_default();
            let quota = current.split_whitespace().next().unwrap_or("max");
            format!("{quota} {period}")
        }
        (None, None) => return,
    };
    out.push(Write::new("cpu", "cpu.max", value));
}

fn io(limits: &Limits, now: &Now<'_>, out: &mut Vec<Write>) {
    let bfq = now.weight_file == "io.bfq.weight";
    let weight = |weight: u16| {
        if bfq { u64::from(weight) } else { io_weight(weight) }
    };
    let default = limits.blkio_weight.filter(|weight| *weight > 0);
    let mut values: Vec<String> = default.map(|w| weight(w).to_string()).into_iter().collect();
    let per_device = &limits.blkio_weight_device;
    values.extend(per_device.iter().map(|DeviceWeight { major, minor, weight: own }| match own {
        0 => format!("{major}:{minor} default"),
        own => format!("{major}:{minor} {}", weight(*own)),
    }));
    if !values.is_empty() {
        out.push(Write { values, ..Write::new("io", now.weight_file, "") });
    }
    let mut values = Vec::new();
    for (key, rates) in [
        ("rbps", &limits.blkio_read_bps),
        ("wbps", &limits.blkio_write_bps),
        ("riops", &limits.blkio_read_iops),
        ("wiops", &limits.blkio_write_iops),
    ] {
        values.extend(rates.iter().map(|DeviceRate { major, minor, rate }| {
            let rate = match rate {
                0 => "max".into(),
                rate => rate.to_string(),
            };
            format!("{major}:{minor} {key}={rate}")
        }));
    }
    if !values.is_empty() {
        out.push(Write { values, ..Write::new("io", "io.max", "") });
    }
}

fn max_or(value: i64) -> String {
    if value <= 0 { "max".into() } else { value.to_string() }
}

/// `cpu.shares` (2..=262144, default 1024) → `cpu.weight` (1..=10000, default 100).
///
/// COMPAT(runc): the quadratic in log₂ that maps both ends and both defaults onto each other.
pub fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// blkio weight (10..=1000) → `io.weight` (1..=10000), linear as in runc.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HugetlbLimit;

    fn lines(limits: &Limits, fresh: bool) -> Vec<String> {
        let read = |file: &str| match file {
            "cpu.max" => Some("20000 100000\n".to_owned()),
            "memory.max" => Some("1000\n".to_owned()),
            _ => None,
        };
        let now = Now { fresh, swap: true, weight_file: "io.weight", read: &read };
        writes(limits, &now).into_iter().map(|w| format!("{}={}", w.file, w.values.join("|"))).collect()
    }

    #[test]
    fn each_limit_has_its_file() {
        let rate = |rate| vec![DeviceRate { major: 8, minor: 0, rate }];
        let limits = Limits {
            memory: Some(64 << 20),
            memory_swap: Some(96 << 20),
            memory_reservation: Some(32 << 20),
            nano_cpus: Some(500_000_000),
            cpu_shares: Some(1024),
            cpuset_cpus: Some("0".into()),
            cpuset_mems: Some("0".into()),
            pids: Some(7),
            blkio_weight: Some(500),
            blkio_weight_device: vec![DeviceWeight { major: 8, minor: 16, weight: 10 }],
            blkio_read_bps: rate(1),
            blkio_write_bps: rate(2),
            blkio_read_iops: rate(3),
            blkio_write_iops: rate(0),
            hugetlb: vec![HugetlbLimit { page_size: "1GB".into(), limit: 0 }],
            ..Limits::default()
        };
        let want = [
            "memory.swap.max=33554432",
            "memory.max=67108864",
            "memory.low=33554432",
            "cpu.weight=100",
            "cpu.max=50000 100000",
            "cpuset.cpus=0",
            "cpuset.mems=0",
            "pids.max=7",
            "io.weight=4950|8:16 1",
            "io.max=8:0 rbps=1|8:0 wbps=2|8:0 riops=3|8:0 wiops=max",
            "hugetlb.1GB.max=0",
        ];
        assert_eq!(lines(&limits, true), want);
        assert!(lines(&Limits::default(), true).is_empty());
    }

    #[test]
    fn swap_is_the_total_less_the_memory() {
        let swap = |memory, memory_swap| {
            let limits = Limits { memory, memory_swap, ..Limits::default() };
            let mut lines = lines(&limits, false);
            lines.retain(|line| line.starts_with("memory.swap"));
            lines.pop()
        };
        let max = |text: &str| Some(format!("memory.swap.max={text}"));
        assert_eq!(swap(Some(100), Some(100)), max("0"));
        assert_eq!(swap(Some(100), Some(-1)), max("max"));
        assert_eq!(swap(Some(100), None), None);
        assert_eq!(swap(None, Some(1500)), max("500"));
        assert_eq!(swap(Some(-1), Some(-1)), max("max"));
    }

    #[test]
    fn a_part_of_cpu_max_leaves_the_other() {
        let limits = |cpu_quota, cpu_period| Limits { cpu_quota, cpu_period, ..Limits::default() };
        for (quota, period, want) in [
            (Some(5000), None, "cpu.max=5000"),
            (Some(-1), None, "cpu.max=max"),
            (None, Some(50_000), "cpu.max=20000 50000"),
            (Some(-1), Some(50_000), "cpu.max=max 50000"),
        ] {
            assert_eq!(lines(&limits(quota, period), false), [want]);
        }
    }

    #[test]
    fn weights() {
        for (shares, weight) in
            [(1, 1), (2, 1), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
        assert_eq!([10, 500, 1000].map(io_weight), [1, 4950, 10_000]);
    }
}
