//! Control groups: limits, devices, freezing, statistics and out-of-memory events of one container.
//!
//! Owns every file below a cgroup mount: version 2, version 1, and hybrid hosts where both are
//! mounted. Knows nothing of containers beyond an id, and starts no process: a child enters the group
//! by `CLONE_INTO_CGROUP` or by writing `0` to the [`Join`] files, never through `cgroup.procs`.
//!
//! Invariants:
//! * everything is made below one parent directory per engine instance, and removed again;
//! * a file is written only when a limit asks for it;
//! * what a limit becomes is computed by pure functions (`v1`, `v2`, `program`), then written.
#![forbid(unsafe_code)]

mod abandoned;
mod check;
mod cpulist;
mod devices;
mod error;
#[cfg(test)]
mod fixture;
mod freeze;
mod group;
mod host;
mod kernfs;
mod layout;
mod limits;
mod look;
mod oom;
mod parent;
mod program;
mod reap;
mod stats;
mod support;
mod v1;
mod v2;

pub use check::{Checked, Purpose};
pub use cpulist::{ParseCpuListError, parse as parse_cpu_list};
pub use devices::{Access, DeviceKind, DeviceRule};
pub use error::{Error, Refusal};
pub use group::{Cgroup, Join};
pub use host::{Host, Version};
pub use layout::Hierarchy;
pub use limits::{DeviceRate, DeviceWeight, HugetlbLimit, Limits};
pub use look::{Beginning, Limit, What};
pub use stats::{BlkioEntry, BlkioStats, Counter, CpuStats, Further, MemoryStats, PidsStats, Stats};
pub use support::Support;
pub use v2::weight_of_shares;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
