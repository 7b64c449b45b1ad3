//! What a scope is made with.

use hull_cgroup::Limits;

use super::message::Writer;
use super::unit::Scope;

/// `a(sv)` of a new scope around a process.
pub fn of_scope(body: &mut Writer, scope: &Scope, id: &str, limits: &Limits, pid: u32) {
    body.array(8, |list| {
        list.property("Description", "s", |value| value.string(&format!("hull container {id}")));
        list.property("Slice", "s", |value| value.string(&scope.slice));
        list.property("PIDs", "au", |value| value.array(4, |pids| pids.number(pid)));
        for name in ["Delegate", "MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"] {
            list.property(name, "b", |value| value.boolean(true));
        }
        list.property("DefaultDependencies", "b", |value| value.boolean(false));
        all(list, limits);
    });
}

/// `a(sv)` of the limits alone.
pub fn of_limits(body: &mut Writer, limits: &Limits) {
    body.array(8, |list| all(list, limits));
}

/// systemd is told what it has words for, so that it does not undo it; the rest is written to the cgroup alone.
fn all(list: &mut Writer, limits: &Limits) {
    let long = |list: &mut Writer, name: &str, value: u64| list.property(name, "t", |v| v.long(value));
    for (name, value) in [
        ("MemoryMax", limits.memory),
        ("MemoryLow", limits.memory_reservation),
        ("TasksMax", limits.pids.filter(|limit| *limit != 0)),
    ] {
        if let Some(value) = value {
            long(list, name, u64::try_from(value).unwrap_or(u64::MAX));
        }
    }
    if let Some(swap) = limits.memory_swap {
        let swap = u64::try_from(swap)
            .map_or(u64::MAX, |both| both.saturating_sub(limits.memory.unwrap_or(0).max(0).unsigned_abs()));
        long(list, "MemorySwapMax", swap);
    }
    if let Some(shares) = limits.cpu_shares.filter(|shares| *shares > 0) {
        long(list, "CPUWeight", hull_cgroup::weight_of_shares(shares));
    }
    if let Some(quota) = limits.cpu_quota.filter(|quota| *quota != 0) {
        long(list, "CPUQuotaPerSecUSec", per_second(quota, limits.cpu_period));
    }
    for (name, value) in [("AllowedCPUs", &limits.cpuset_cpus), ("AllowedMemoryNodes", &limits.cpuset_mems)] {
        if let Some(list_of) = value.as_deref().and_then(|text| hull_cgroup::parse_cpu_list(text).ok()) {
            let bits = bits(list_of);
            list.property(name, "ay", |v| v.array(1, |bytes| bits.iter().for_each(|byte| bytes.byte(*byte))));
        }
    }
}

/// Microseconds per second, in systemd's steps of 10 ms.
fn per_second(quota: i64, period: Option<u64>) -> u64 {
    const STEP: u64 = 10_000;
    let period = period.filter(|period| *period > 0).unwrap_or(100_000);
    u64::try_from(quota).map_or(u64::MAX, |quota| (quota * 1_000_000 / period).next_multiple_of(STEP))
}

/// The lowest numbers first.
fn bits(set: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in set {
        let at = number as usize / 8;
        if bytes.len() <= at {
            bytes.resize(at + 1, 0);
        }
        bytes[at] |= 1 << (number % 8);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_per_second() {
        assert_eq!(per_second(20_000, Some(50_000)), 400_000);
        assert_eq!(per_second(33_333, None), 340_000);
        assert_eq!(per_second(-1, Some(50_000)), u64::MAX);
    }

    #[test]
    fn processors_are_bits() {
        assert_eq!(bits([0, 1, 9]), [3, 2]);
        assert!(bits([]).is_empty());
    }
}
