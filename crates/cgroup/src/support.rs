//! [`Support`]: which limits this kernel can enforce. Some files exist only in a group that is not
//! the root, so a probe directory is made and removed once.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kernfs::Dir;
use crate::parent::{Parent, Roots};
use crate::reap;

/// What can be limited here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    /// A limit on memory.
    pub memory_limit: bool,
    /// A limit on swap.
    pub swap_limit: bool,
    /// A soft limit on memory.
    pub memory_reservation: bool,
    /// Swappiness per group (v1).
    pub memory_swappiness: bool,
    /// Switching the OOM killer off (v1).
    pub oom_kill_disable: bool,
    /// CPU shares or weight.
    pub cpu_shares: bool,
    /// CFS quota and period.
    pub cpu_cfs: bool,
    /// Real-time runtime and period (v1).
    pub cpu_realtime: bool,
    /// CPU and memory node sets.
    pub cpuset: bool,
    /// A limit on tasks.
    pub pids: bool,
    /// Relative I/O weight.
    pub blkio_weight: bool,
    /// Relative I/O weight per device.
    pub blkio_weight_device: bool,
    /// I/O rates per device, of all four kinds.
    pub blkio_rates: bool,
    /// Freezing.
    pub freezer: bool,
    /// Huge page sizes that can be limited.
    pub hugetlb: Vec<String>,
    /// Online CPUs, as the kernel lists them.
    pub cpus: String,
    /// Online memory nodes, as the kernel lists them.
    pub mems: String,
    /// Number of online CPUs.
    pub cpu_count: usize,
    /// Which file takes the I/O weight.
    pub(crate) weight_file: Option<&'static str>,
}

const PROBE: &str = ".hull-probe";

/// Serial numbers of probe directories.
static PROBES: AtomicU64 = AtomicU64::new(0);

impl Support {
    pub(crate) fn detect(roots: &std::sync::Arc<Roots>) -> Self {
        // Two probes at one time must not share a directory: the first to end removes it.
        let name = format!("{PROBE}-{}-{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
        let parent = Parent::new(roots.clone(), name);
        let mut support = match &**roots {
            Roots::V1(_) => Self::v1(&parent),
            Roots::V2 { .. } => Self::v2(&parent),
        };
        let online = |path: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            text.trim().to_owned()
        };
        support.cpus = online("/sys/devices/system/cpu/online");
        support.mems = online("/sys/devices/system/node/online");
        if support.mems.is_empty() {
            // KERNEL: without NUMA there is no such file, and one node.
            support.mems = "0".into();
        }
        support.cpu_count = crate::cpulist::parse(&support.cpus).map_or(1, |set| set.len().max(1));
        support
    }

    fn v1(parent: &Parent) -> Self {
        let mut found = Self::default();
        let mut probed = Vec::new();
        let mut has = |controller: &str, file: &str| {
            let Some(index) = parent.index_of(controller) else {
                return false;
            };
            let Ok(dir) = parent.dir(index) else {
                return false;
            };
            probed.push(index);
            dir.has(file)
        };
        found.memory_limit = has("memory", "memory.limit_in_bytes");
        found.swap_limit = has("memory", "memory.memsw.limit_in_bytes");
        found.memory_reservation = has("memory", "memory.soft_limit_in_bytes");
        found.memory_swappiness = has("memory", "memory.swappiness");
        found.oom_kill_disable = has("memory", "memory.oom_control");
        found.cpu_shares = has("cpu", "cpu.shares");
        found.cpu_cfs = has("cpu", "cpu.cfs_quota_us");
        found.cpu_realtime = has("cpu", "cpu.rt_runtime_us");
        found.cpuset = has("cpuset", "cpuset.cpus");
        found.pids = has("pids", "pids.max");
        found.freezer = has("freezer", "freezer.state");
        found.blkio_rates = has("blkio", "blkio.throttle.read_bps_device");
        found.weight_file = ["blkio.weight", "blkio.bfq.weight"].into_iter().find(|file| has("blkio", file));
        found.blkio_weight = found.weight_file.is_some();
        found.blkio_weight_device =
            ["blkio.weight_device", "blkio.bfq.weight_device"].into_iter().any(|file| has("blkio", file));
        found.hugetlb = huge_page_sizes()
            .into_iter()
            .filter(|size| has("hugetlb", &format!("hugetlb.{size}.limit_in_bytes")))
            .collect();
        probed.sort_unstable();
        probed.dedup();
        remove_probe(parent);
        found
    }

    fn v2(parent: &Parent) -> Self {
        let handed = parent.hand_down(&["cpuset", "hugetlb"]);
        let dir = parent.dir(0).and_then(|dir| {
            handed?;
            // The parent hands controllers down to its children; look into one of them.
            dir.make("probe")?;
            dir.child("probe")
        });
        let found = dir.as_ref().map(Self::v2_files).unwrap_or_default();
        drop(dir);
        remove_probe(parent);
        found
    }

    fn v2_files(dir: &Dir) -> Self {
        let weight_file = ["io.bfq.weight", "io.weight"].into_iter().find(|file| dir.has(file));
        Self {
            memory_limit: dir.has("memory.max"),
            swap_limit: dir.has("memory.swap.max"),
            memory_reservation: dir.has("memory.low"),
            cpu_shares: dir.has("cpu.weight"),
            cpu_cfs: dir.has("cpu.max"),
            cpuset: dir.has("cpuset.cpus"),
            pids: dir.has("pids.max"),
            blkio_weight: weight_file.is_some(),
            blkio_weight_device: weight_file.is_some(),
            blkio_rates: dir.has("io.max"),
            freezer: dir.has("cgroup.freeze"),
            hugetlb: huge_page_sizes().into_iter().filter(|size| dir.has(format!("hugetlb.{size}.max"))).collect(),
            weight_file,
            ..Self::default()
        }
    }
}

fn remove_probe(parent: &Parent) {
    for index in parent.all() {
        if let Ok(Some(dir)) = parent.existing(index) {
            let _ = reap::remove_tree(dir, Path::new("probe"));
        }
    }
    let _ = parent.remove();
}

/// The kernel's huge page sizes in the spelling of its cgroup files: `2MB`, `1GB`.
pub(crate) fn huge_page_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else {
        return Vec::new();
    };
    let mut sizes: Vec<u64> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
            kib.parse().ok()
        })
        .collect();
    sizes.sort_unstable();
    sizes.into_iter().map(huge_page_name).collect()
}

fn huge_page_name(kib: u64) -> String {
    match kib {
        kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
        kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
        kib => format!("{kib}KB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_are_named_as_in_the_cgroup_files() {
        assert_eq!([64, 2048, 1 << 20].map(huge_page_name), ["64KB", "2MB", "1GB"]);
    }
}
