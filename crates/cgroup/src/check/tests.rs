//! A table of requests and what becomes of them.

use super::*;
use crate::limits::{DeviceWeight, HugetlbLimit};

fn able() -> Support {
    Support {
        memory_limit: true,
        swap_limit: true,
        memory_reservation: true,
        memory_swappiness: true,
        oom_kill_disable: true,
        cpu_shares: true,
        cpu_cfs: true,
        cpu_realtime: true,
        cpuset: true,
        pids: true,
        blkio_weight: true,
        blkio_weight_device: true,
        blkio_rates: true,
        freezer: true,
        hugetlb: vec!["2MB".into()],
        cpus: "0-1".into(),
        mems: "0".into(),
        cpu_count: 2,
        weight_file: None,
    }
}

fn refusal(change: impl FnOnce(&mut Limits)) -> Option<String> {
    let mut limits = Limits::default();
    change(&mut limits);
    let result = limits.check_against(&able(), Purpose::Create);
    result.err().map(|refusal| refusal.to_string())
}

#[test]
fn wrong_limits_are_refused_in_dockers_words() {
    const MIB: i64 = 1 << 20;
    type Change = fn(&mut Limits);
    let table: &[(Change, &str)] = &[
        (|l| l.memory = Some(6 * MIB - 1), "Minimum memory limit allowed is 6MB"),
        (|l| l.memory = Some(-2), "Invalid value: -2, memory may be -1 (unlimited) or positive"),
        (
            |l| (l.memory, l.memory_swap) = (Some(64 * MIB), Some(32 * MIB)),
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            |l| l.memory_swap = Some(64 * MIB),
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (|l| l.memory_swappiness = Some(101), "Invalid value: 101, valid memory swappiness range is 0-100"),
        (|l| l.memory_reservation = Some(MIB), "Minimum memory reservation allowed is 6MB"),
        (
            |l| (l.memory, l.memory_reservation) = (Some(8 * MIB), Some(9 * MIB)),
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            |l| l.nano_cpus = Some(2_100_000_000),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (|l| l.nano_cpus = Some(-1), "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
        (
            |l| (l.nano_cpus, l.cpu_quota) = (Some(1_000_000_000), Some(1000)),
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            |l| l.cpu_period = Some(999),
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (|l| l.cpu_quota = Some(999), "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (
            |l| (l.cpu_rt_period, l.cpu_rt_runtime) = (Some(5), Some(6)),
            "cpu real-time runtime cannot be higher than cpu real-time period",
        ),
        (|l| l.cpuset_cpus = Some("x".into()), "Invalid value x for cpuset cpus: invalid format: x"),
        (|l| l.cpuset_cpus = Some("0-2".into()), "Requested CPUs are not available - requested 0-2, available: 0-1"),
        (|l| l.cpuset_mems = Some("1".into()), "Requested memory nodes are not available - requested 1, available: 0"),
        (|l| l.blkio_weight = Some(9), "Range of blkio weight is from 10 to 1000"),
        (
            |l| l.blkio_weight_device = vec![DeviceWeight { major: 8, minor: 0, weight: 1001 }],
            "Range of blkio weight is from 10 to 1000",
        ),
        (
            |l| l.hugetlb = vec![HugetlbLimit { page_size: "1GB".into(), limit: 0 }],
            "this kernel has no huge pages of size 1GB; available: 2MB",
        ),
    ];
    for (change, want) in table {
        assert_eq!(refusal(change).as_deref(), Some(*want));
    }
}

#[test]
fn swap_is_twice_the_memory_unless_given() {
    let swap = |memory_swap, purpose| {
        let limits = Limits { memory: Some(64 << 20), memory_swap, ..Limits::default() };
        let checked = limits.check_against(&able(), purpose).unwrap();
        checked.limits.memory_swap
    };
    assert_eq!(swap(None, Purpose::Create), Some(128 << 20));
    assert_eq!(swap(Some(0), Purpose::Create), Some(128 << 20));
    assert_eq!(swap(Some(-1), Purpose::Create), Some(-1));
    assert_eq!(swap(None, Purpose::Update), None);
}

#[test]
fn what_the_kernel_cannot_do_is_discarded_with_a_warning() {
    let rate = vec![DeviceRate { major: 8, minor: 0, rate: 1 }];
    let limits = Limits {
        memory: Some(64 << 20),
        memory_reservation: Some(32 << 20),
        memory_swappiness: Some(5),
        oom_kill_disable: Some(true),
        cpu_shares: Some(3),
        cpu_quota: Some(5000),
        cpuset_cpus: Some("0".into()),
        pids: Some(3),
        blkio_weight: Some(500),
        blkio_read_bps: rate.clone(),
        blkio_write_iops: rate,
        ..Limits::default()
    };
    let checked = limits.check_against(&Support::default(), Purpose::Create).unwrap();
    assert_eq!(checked.limits, Limits::default());
    assert_eq!(checked.warnings.len(), 11, "{:#?}", checked.warnings);
    assert!(checked.warnings.iter().all(|w| w.ends_with("discarded.")));
}

#[test]
fn swap_alone_may_be_unsupported() {
    let support = Support { swap_limit: false, ..able() };
    let limits = Limits { memory: Some(64 << 20), ..Limits::default() };
    let checked = limits.check_against(&support, Purpose::Create).unwrap();
    assert_eq!(checked.limits.memory_swap, None);
    assert_eq!(
        checked.warnings,
        [
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
        ]
    );
}
