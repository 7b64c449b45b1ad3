//! Limits → files of cgroup version 1. Pure: the kernel's current values come in, writes go out.

use crate::devices::DeviceRule;
use crate::limits::{DeviceRate, Limits};

/// Values for one file of one controller, written in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    /// The v1 controller that owns the file (v2 has one directory for all).
    pub controller: &'static str,
    /// The file.
    pub file: String,
    /// One `write` each.
    pub values: Vec<String>,
    /// If the kernel says EINVAL, try once more after the others: its partner may have to change first.
    pub again: bool,
}

impl Write {
    pub(crate) fn new(controller: &'static str, file: impl Into<String>, value: impl ToString) -> Self {
        Self { controller, file: file.into(), values: vec![value.to_string()], again: false }
    }

    fn again(mut self) -> Self {
        self.again = true;
        self
    }
}

/// What the writes depend on besides the limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// The group was made just now: defaults need not be written.
    pub fresh: bool,
    /// The kernel counts swap (`memory.memsw.*`).
    pub memsw: bool,
    /// Current `memory.memsw.limit_in_bytes`; `None` for a fresh group, which has none.
    pub memsw_limit: Option<u64>,
    /// `blkio` or `blkio.bfq`: the prefix of the weight files.
    pub weight_prefix: &'static str,
}

/// The writes for the limits, except `cpuset`, which depends on the parent's values.
pub(crate) fn writes(limits: &Limits, now: &Now) -> Vec<Write> {
    let mut out = Vec::new();
    memory(limits, now, &mut out);
    cpu(limits, &mut out);
    if let Some(pids) = limits.pids {
        let unlimited = pids <= 0;
        if !(unlimited && now.fresh) {
            let value = if unlimited { "max".into() } else { pids.to_string() };
            out.push(Write::new("pids", "pids.max", value));
        }
    }
    blkio(limits, now, &mut out);
    for huge in &limits.hugetlb {
        let file = format!("hugetlb.{}.limit_in_bytes", huge.page_size);
        out.push(Write::new("hugetlb", file, huge.limit));
    }
    if let Some(class) = limits.net_class {
        out.push(Write::new("net_cls", "net_cls.classid", class));
    }
    for (interface, priority) in &limits.net_priorities {
        out.push(Write::new("net_prio", "net_prio.ifpriomap", format!("{interface} {priority}")));
    }
    rdma(limits, &mut out);
    if let (Some(rules), true) = (&limits.devices, now.fresh) {
        devices(rules, &mut out);
    }
    out
}

fn memory(limits: &Limits, now: &Now, out: &mut Vec<Write>) {
    let limit = |value: i64| Write::new("memory", "memory.limit_in_bytes", value);
    let memsw = |value: i64| Write::new("memory", "memory.memsw.limit_in_bytes", value);
    // COMPAT(runc): lifting the memory limit lifts the limit of both as well.
    let swap = match (limits.memory, limits.memory_swap) {
        (Some(-1), None) => Some(-1),
        (_, swap) => swap,
    };
    match (limits.memory, swap.filter(|_| now.memsw)) {
        (Some(memory), Some(swap)) => {
            // ORDER: at every moment memory <= memory+swap, or the kernel says EINVAL.
            let raised = swap == -1
                || now.memsw_limit.is_some_and(|current| u64::try_from(swap).is_ok_and(|swap| swap > current));
            if raised && !now.fresh {
                out.extend([memsw(swap), limit(memory)]);
            } else {
                out.extend([limit(memory), memsw(swap)]);
            }
        }
        (Some(memory), None) => out.push(limit(memory)),
        (None, Some(swap)) => out.push(memsw(swap)),
        (None, None) => {}
    }
    if let Some(soft) = limits.memory_reservation {
        out.push(Write::new("memory", "memory.soft_limit_in_bytes", soft));
    }
    if let Some(swappiness) = limits.memory_swappiness.filter(|s| *s >= 0) {
        out.push(Write::new("memory", "memory.swappiness", swappiness));
    }
    if let Some(disable) = limits.oom_kill_disable
        && (disable || !now.fresh)
    {
        out.push(Write::new("memory", "memory.oom_control", i32::from(disable)));
    }
}

fn cpu(limits: &Limits, out: &mut Vec<Write>) {
    if let Some(shares) = limits.cpu_shares.filter(|shares| *shares > 0) {
        out.push(Write::new("cpu", "cpu.shares", shares));
    }
    let (quota, period) = limits.quota_and_period();
    // ORDER: a shorter period may exceed the parent's share until the quota shrinks too.
    if let Some(period) = period.filter(|period| *period > 0) {
        out.push(Write::new("cpu", "cpu.cfs_period_us", period).again());
    }
    if let Some(quota) = quota.filter(|quota| *quota != 0) {
        out.push(Write::new("cpu", "cpu.cfs_quota_us", quota));
    }
    if let Some(burst) = limits.cpu_burst {
        out.push(Write::new("cpu", "cpu.cfs_burst_us", burst));
    }
    if let Some(idle) = limits.cpu_idle {
        out.push(Write::new("cpu", "cpu.idle", idle));
    }
    if let Some(period) = limits.cpu_rt_period {
        out.push(Write::new("cpu", "cpu.rt_period_us", period).again());
    }
    if let Some(runtime) = limits.cpu_rt_runtime {
        out.push(Write::new("cpu", "cpu.rt_runtime_us", runtime));
    }
}

/// The same file in both versions.
pub(crate) fn rdma(limits: &Limits, out: &mut Vec<Write>) {
    for (device, handles, objects) in &limits.rdma {
        let show = |value: &Option<u32>| value.map_or("max".to_owned(), |value| value.to_string());
        let line = format!("{device} hca_handle={} hca_object={}", show(handles), show(objects));
        out.push(Write::new("rdma", "rdma.max", line));
    }
}

fn blkio(limits: &Limits, now: &Now, out: &mut Vec<Write>) {
    let prefix = now.weight_prefix;
    if let Some(weight) = limits.blkio_weight.filter(|weight| *weight > 0) {
        out.push(Write::new("blkio", format!("{prefix}.weight"), weight));
    }
    let weights = limits.blkio_weight_device.iter().map(|w| format!("{}:{} {}", w.major, w.minor, w.weight));
    push_all(format!("{prefix}.weight_device"), weights, out);
    for (file, rates) in [
        ("read_bps", &limits.blkio_read_bps),
        ("write_bps", &limits.blkio_write_bps),
        ("read_iops", &limits.blkio_read_iops),
        ("write_iops", &limits.blkio_write_iops),
    ] {
        let values = rates.iter().map(|DeviceRate { major, minor, rate }| format!("{major}:{minor} {rate}"));
        push_all(format!("blkio.throttle.{file}_device"), values, out);
    }
}

fn push_all(file: String, values: impl Iterator<Item = String>, out: &mut Vec<Write>) {
    let values: Vec<String> = values.collect();
    if !values.is_empty() {
        out.push(Write { controller: "blkio", file, values, again: false });
    }
}

/// What a fresh group gets so that these rules hold.
pub(crate) fn device_writes(rules: &[DeviceRule]) -> Vec<Write> {
    let mut out = Vec::new();
    devices(rules, &mut out);
    out
}

/// Deny all, then the rules in their order; neighbours that go to one file share its descriptor.
fn devices(rules: &[DeviceRule], out: &mut Vec<Write>) {
    let first = DeviceRule::everything(false);
    for rule in std::iter::once(&first).chain(rules) {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        match out.last_mut() {
            Some(last) if last.file == file => last.values.extend(rule.v1_lines()),
            _ => out.push(Write { controller: "devices", file: file.into(), values: rule.v1_lines(), again: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::tests::rule;
    use crate::limits::{DeviceWeight, HugetlbLimit};

    fn lines(limits: &Limits, now: &Now) -> Vec<String> {
        writes(limits, now).into_iter().map(|w| format!("{} {}={}", w.controller, w.file, w.values.join("|"))).collect()
    }

    fn now() -> Now {
        Now { fresh: true, memsw: true, memsw_limit: None, weight_prefix: "blkio.bfq" }
    }

    #[test]
    fn each_limit_has_its_file() {
        let rate = |rate| vec![DeviceRate { major: 8, minor: 0, rate }];
        let limits = Limits {
            memory: Some(64 << 20),
            memory_swap: Some(128 << 20),
            memory_reservation: Some(32 << 20),
            memory_swappiness: Some(10),
            oom_kill_disable: Some(true),
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            cpu_shares: Some(512),
            cpu_rt_period: Some(1_000_000),
            cpu_rt_runtime: Some(950_000),
            pids: Some(100),
            blkio_weight: Some(300),
            blkio_weight_device: vec![DeviceWeight { major: 8, minor: 0, weight: 400 }],
            blkio_read_bps: rate(1),
            blkio_write_bps: rate(2),
            blkio_read_iops: rate(3),
            blkio_write_iops: rate(4),
            hugetlb: vec![HugetlbLimit { page_size: "2MB".into(), limit: 4 << 20 }],
            devices: Some(vec![rule(true, "c 1:3 rwm"), rule(true, "c *:* m")]),
            ..Limits::default()
        };
        let want = [
            "memory memory.limit_in_bytes=67108864",
            "memory memory.memsw.limit_in_bytes=134217728",
            "memory memory.soft_limit_in_bytes=33554432",
            "memory memory.swappiness=10",
            "memory memory.oom_control=1",
            "cpu cpu.shares=512",
            "cpu cpu.cfs_period_us=100000",
            "cpu cpu.cfs_quota_us=50000",
            "cpu cpu.rt_period_us=1000000",
            "cpu cpu.rt_runtime_us=950000",
            "pids pids.max=100",
            "blkio blkio.bfq.weight=300",
            "blkio blkio.bfq.weight_device=8:0 400",
            "blkio blkio.throttle.read_bps_device=8:0 1",
            "blkio blkio.throttle.write_bps_device=8:0 2",
            "blkio blkio.throttle.read_iops_device=8:0 3",
            "blkio blkio.throttle.write_iops_device=8:0 4",
            "hugetlb hugetlb.2MB.limit_in_bytes=4194304",
            "devices devices.deny=a *:* rwm",
            "devices devices.allow=c 1:3 rwm|c *:* m",
        ];
        assert_eq!(lines(&limits, &now()), want);
        assert!(lines(&Limits::default(), &now()).is_empty());
    }

    #[test]
    fn memory_stays_below_memory_and_swap_at_every_moment() {
        let limits = |memory, swap| Limits { memory, memory_swap: swap, ..Limits::default() };
        let order = |memory, swap, current: u64| -> Vec<String> {
            let now = Now { fresh: false, memsw_limit: Some(current), ..now() };
            lines(&limits(memory, swap), &now)
                .iter()
                .map(|line| line.replace("memory memory.", "").replace("limit_in_bytes", ""))
                .collect()
        };
        assert_eq!(order(Some(300), Some(600), 200), ["memsw.=600", "=300"]);
        assert_eq!(order(Some(50), Some(100), 200), ["=50", "memsw.=100"]);
        assert_eq!(order(Some(50), Some(-1), 200), ["memsw.=-1", "=50"]);
        assert_eq!(order(Some(-1), None, 200), ["memsw.=-1", "=-1"]);
        assert_eq!(order(None, Some(500), 200), ["memsw.=500"]);
        let no_swap = Now { memsw: false, ..now() };
        assert_eq!(lines(&limits(Some(9), Some(18)), &no_swap), ["memory memory.limit_in_bytes=9"]);
    }

    #[test]
    fn defaults_are_not_written_to_a_fresh_group_but_restored_on_update() {
        let limits = Limits { pids: Some(-1), oom_kill_disable: Some(false), ..Limits::default() };
        assert!(lines(&limits, &now()).is_empty());
        let later = Now { fresh: false, ..now() };
        assert_eq!(
            lines(&limits, &later),
            ["pids pids.max=max", "memory memory.oom_control=0"].into_iter().rev().collect::<Vec<_>>()
        );
    }
}
