//! [`Stats`]: what a group has used, enough for docker's stats document.

mod further;
mod v1;
mod v2;

use std::collections::BTreeMap;

use crate::error::Error;
use crate::group::Cgroup;

pub use further::{Counter, Further};

/// A reading of all counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Tasks.
    pub pids: PidsStats,
    /// Block I/O.
    pub blkio: BlkioStats,
}

/// CPU time, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// All of it.
    pub usage_ns: u64,
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub kernel_ns: u64,
    /// Per CPU; empty on v2.
    pub percpu_ns: Vec<u64>,
    /// Periods with a quota.
    pub periods: u64,
    /// Of these, throttled ones.
    pub throttled_periods: u64,
    /// Time throttled.
    pub throttled_ns: u64,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use, page cache included.
    pub usage: u64,
    /// The most that was in use; `None` on v2 kernels without `memory.peak`.
    pub max_usage: Option<u64>,
    /// The limit; the machine's memory where there is none.
    pub limit: u64,
    /// How often the limit was hit; `None` on v2.
    pub failcnt: Option<u64>,
    /// `memory.stat` as the kernel names its entries.
    pub stat: BTreeMap<String, u64>,
}

/// Tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// The limit, if any.
    pub limit: Option<u64>,
}

/// Block I/O per device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlkioStats {
    /// Bytes.
    pub service_bytes: Vec<BlkioEntry>,
    /// Operations.
    pub serviced: Vec<BlkioEntry>,
}

/// One counter of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlkioEntry {
    /// Device number, major part.
    pub major: u32,
    /// Device number, minor part.
    pub minor: u32,
    /// `read`, `write`, `discard`, `sync`, `async` or `total`.
    pub op: String,
    /// Bytes or operations.
    pub value: u64,
}

impl Cgroup {
    /// Reads all counters. Those of controllers that this host does not have are 0.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = if self.is_v2() { v2::read(self)? } else { v1::read(self)? };
        let machine = machine_memory();
        if stats.memory.limit == 0 || (machine > 0 && stats.memory.limit > machine) {
            stats.memory.limit = machine;
        }
        stats.pids = PidsStats {
            current: self.number("pids", "pids.current")?.unwrap_or(0),
            limit: self.number("pids", "pids.max")?,
        };
        Ok(stats)
    }
}

fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    // The fields are `unsigned long`, whose width differs between machines.
    #[allow(clippy::useless_conversion)]
    u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit))
}

/// `8:16` → (8, 16).
fn device(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
