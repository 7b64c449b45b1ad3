//! [`Limits`]: what is asked of a container's cgroup, independent of the cgroup version.
//!
//! Every field is optional; an absent one writes nothing and leaves the kernel's default.

use serde::{Deserialize, Serialize};

use crate::devices::DeviceRule;

/// The limits of one container. `-1` means unlimited where the field is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory limit in bytes; -1 is unlimited.
    pub memory: Option<i64>,
    /// Memory *plus* swap in bytes, as docker counts it; -1 is unlimited.
    pub memory_swap: Option<i64>,
    /// Soft limit in bytes: v1 `soft_limit_in_bytes`, v2 `memory.low`.
    pub memory_reservation: Option<i64>,
    /// 0 to 100 (v1 only).
    pub memory_swappiness: Option<i64>,
    /// Tasks wait instead of being killed (v1 only).
    pub oom_kill_disable: Option<bool>,
    /// CPUs in units of 10⁻⁹; becomes a quota, so neither quota nor period may be given with it.
    pub nano_cpus: Option<i64>,
    /// CFS quota in microseconds per period; -1 is unlimited.
    pub cpu_quota: Option<i64>,
    /// CFS period in microseconds.
    pub cpu_period: Option<u64>,
    /// Relative weight, 2 to 262144; 1024 is the default of the kernel.
    pub cpu_shares: Option<u64>,
    /// Real-time period in microseconds (v1 only).
    pub cpu_rt_period: Option<u64>,
    /// Real-time runtime in microseconds (v1 only).
    pub cpu_rt_runtime: Option<i64>,
    /// CPUs as a list: `0-2,5`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes as a list.
    pub cpuset_mems: Option<String>,
    /// Number of tasks; 0 and below are unlimited.
    pub pids: Option<i64>,
    /// Relative block I/O weight, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Relative weight per device.
    pub blkio_weight_device: Vec<DeviceWeight>,
    /// Bytes read per second and device.
    pub blkio_read_bps: Vec<DeviceRate>,
    /// Bytes written per second and device.
    pub blkio_write_bps: Vec<DeviceRate>,
    /// Reads per second and device.
    pub blkio_read_iops: Vec<DeviceRate>,
    /// Writes per second and device.
    pub blkio_write_iops: Vec<DeviceRate>,
    /// Huge page limits.
    pub hugetlb: Vec<HugetlbLimit>,
    /// What a group may use above its quota, in microseconds, from what it has not used before.
    pub cpu_burst: Option<u64>,
    /// 1: only what no other group wants.
    pub cpu_idle: Option<i64>,
    /// The class of its packets (v1 only).
    pub net_class: Option<u32>,
    /// Interface and priority of its packets (v1 only).
    pub net_priorities: Vec<(String, u32)>,
    /// RDMA: device, handles and objects.
    pub rdma: Vec<(String, Option<u32>, Option<u32>)>,
    /// Files of v2 and what is written to them, as they are.
    pub unified: std::collections::BTreeMap<String, String>,
    /// `None`: every device may be used (privileged). `Some`: all are denied, then these rules apply
    /// in order, the last match deciding.
    pub devices: Option<Vec<DeviceRule>>,
}

/// A rate for one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Device number, major part.
    pub major: u32,
    /// Device number, minor part.
    pub minor: u32,
    /// Bytes or operations per second; 0 removes the limit.
    pub rate: u64,
}

/// A weight for one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// Device number, major part.
    pub major: u32,
    /// Device number, minor part.
    pub minor: u32,
    /// 10 to 1000; 0 gives it that of the group again.
    pub weight: u16,
}

/// A limit for one huge page size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HugetlbLimit {
    /// As the kernel spells it: `2MB`, `1GB`.
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

impl Limits {
    /// Whether any limit of the `cpuset` controller is asked for.
    pub(crate) fn wants_cpuset(&self) -> bool {
        self.cpuset_cpus.is_some() || self.cpuset_mems.is_some()
    }

    /// Quota and period, with `nano_cpus` turned into them as docker does (period 100 ms).
    pub(crate) fn quota_and_period(&self) -> (Option<i64>, Option<u64>) {
        const PERIOD: u64 = 100_000;
        match self.nano_cpus {
            Some(nano) if nano > 0 => {
                let quota = i128::from(nano) * i128::from(PERIOD) / 1_000_000_000;
                (i64::try_from(quota).ok(), Some(PERIOD))
            }
            _ => (self.cpu_quota, self.cpu_period),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nano_cpus_become_a_quota_of_a_100_ms_period() {
        for (nano, quota) in [(1_500_000_000, 150_000), (10_000_000, 1000), (250_000_000, 25_000)] {
            let limits = Limits { nano_cpus: Some(nano), ..Limits::default() };
            assert_eq!(limits.quota_and_period(), (Some(quota), Some(100_000)));
        }
    }
}
