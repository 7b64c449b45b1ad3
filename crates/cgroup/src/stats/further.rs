//! [`Further`]: counters that only runc's `events` shows.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::group::Cgroup;
use crate::kernfs::value_of;
use crate::support;

/// What the kernel has of it; the rest is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Further {
    /// CPUs, as a list.
    pub cpus: String,
    /// Memory nodes, as a list.
    pub mems: String,
    /// v1: the cpuset's flags by the names of their files.
    pub cpuset: BTreeMap<&'static str, i64>,
    /// Huge pages by size (`2MB`).
    pub hugetlb: BTreeMap<String, Counter>,
    /// Memory, with the limit as the kernel says it.
    pub memory: Counter,
    /// v1: memory and swap; v2: swap.
    pub swap: Counter,
    /// v1: memory of the kernel.
    pub kernel: Counter,
    /// v1: buffers of TCP.
    pub kernel_tcp: Counter,
}

/// Something that is counted and limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// In use.
    pub usage: Option<u64>,
    /// The most that was.
    pub max: Option<u64>,
    /// The limit; absent where there is none.
    pub limit: Option<u64>,
    /// How often it was hit.
    pub failcnt: Option<u64>,
}

const CPUSET: [&str; 9] = [
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
];

impl Cgroup {
    /// Reads them.
    pub fn further(&self) -> Result<Further, Error> {
        if self.is_v2() { v2(self) } else { v1(self) }
    }
}

fn v1(group: &Cgroup) -> Result<Further, Error> {
    let list = |file: &str| Ok::<_, Error>(group.read("cpuset", file)?.unwrap_or_default().trim().to_owned());
    let mut further = Further { cpus: list("cpuset.cpus")?, mems: list("cpuset.mems")?, ..Further::default() };
    for name in CPUSET {
        if let Ok(value) = list(&format!("cpuset.{name}"))?.parse() {
            further.cpuset.insert(name, value);
        }
    }
    let counter = |controller: &'static str, prefix: &str| {
        let number = |file: &str| group.number(controller, &format!("{prefix}.{file}"));
        Ok::<_, Error>(Counter {
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes")?,
            limit: number("limit_in_bytes")?,
            failcnt: number("failcnt")?,
        })
    };
    for size in support::huge_page_sizes() {
        let found = counter("hugetlb", &format!("hugetlb.{size}"))?;
        if found.usage.is_some() {
            further.hugetlb.insert(size, found);
        }
    }
    further.memory = counter("memory", "memory")?;
    further.swap = counter("memory", "memory.memsw")?;
    further.kernel = counter("memory", "memory.kmem")?;
    further.kernel_tcp = counter("memory", "memory.kmem.tcp")?;
    Ok(further)
}

fn v2(group: &Cgroup) -> Result<Further, Error> {
    let list = |file: &str| Ok::<_, Error>(group.read("cpuset", file)?.unwrap_or_default().trim().to_owned());
    let number = |file: &str| group.number("", file);
    let hits = |file: &str| {
        let text = group.read("", file)?.unwrap_or_default();
        Ok::<_, Error>(value_of(&text, "max"))
    };
    let mut further =
        Further { cpus: list("cpuset.cpus.effective")?, mems: list("cpuset.mems.effective")?, ..Further::default() };
    for size in support::huge_page_sizes() {
        if let Some(usage) = number(&format!("hugetlb.{size}.current"))? {
            let (limit, failcnt) = (number(&format!("hugetlb.{size}.max"))?, hits(&format!("hugetlb.{size}.events"))?);
            further.hugetlb.insert(size, Counter { usage: Some(usage), max: None, limit, failcnt });
        }
    }
    further.memory = Counter {
        usage: number("memory.current")?,
        max: number("memory.peak")?,
        limit: number("memory.max")?,
        failcnt: hits("memory.events")?,
    };
    further.swap = Counter {
        usage: number("memory.swap.current")?,
        max: number("memory.swap.peak")?,
        limit: number("memory.swap.max")?,
        failcnt: hits("memory.swap.events")?,
    };
    Ok(further)
}
