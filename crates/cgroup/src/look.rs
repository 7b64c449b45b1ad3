//! What the kernel has of a group now: where it is, what is written in its limits, what is used, what has happened.

use std::path::PathBuf;

use crate::error::Error;
use crate::group::Cgroup;
use crate::limits::Limits;

/// One limit as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it bounds.
    pub what: What,
    /// The file, whole path.
    pub file: PathBuf,
    /// What it reads: `max` or -1, as the kernel spells it; v1's nearly 2⁶³ stands for no limit.
    pub written: String,
    /// How much is used, in the unit of the limit.
    pub used: Option<u64>,
    /// The kernel's counters: name, count.
    pub events: Vec<(String, u64)>,
}

/// What is written in one directory of a new group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// The directory, whole path.
    pub directory: PathBuf,
    /// v1: processors and memory nodes are the parent's at first, or no process could enter.
    pub inherits_cpus: bool,
    /// File and value, in order.
    pub writes: Vec<(String, String)>,
}

/// What a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Bytes of memory.
    Memory,
    /// Bytes of memory and swap (v1), of swap (v2).
    Swap,
    /// Bytes that are not taken away before others'.
    Reservation,
    /// Microseconds of processor time in a period.
    CpuQuota,
    /// The period, in microseconds (v1; v2 has both in one file).
    CpuPeriod,
    /// The share of processor time where it is scarce.
    CpuWeight,
    /// Which processors.
    Cpus,
    /// Tasks.
    Pids,
}

/// Where a limit stands: controller, file, file of what is used, file of counters.
struct Row(What, &'static str, &'static str, &'static str, &'static str);

const V1: [Row; 8] = [
    Row(What::Memory, "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"),
    Row(What::Swap, "memory", "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes", ""),
    Row(What::Reservation, "memory", "memory.soft_limit_in_bytes", "", ""),
    Row(What::CpuQuota, "cpu", "cpu.cfs_quota_us", "", "cpu.stat"),
    Row(What::CpuPeriod, "cpu", "cpu.cfs_period_us", "", ""),
    Row(What::CpuWeight, "cpu", "cpu.shares", "", ""),
    Row(What::Cpus, "cpuset", "cpuset.cpus", "", ""),
    Row(What::Pids, "pids", "pids.max", "pids.current", "pids.events"),
];

const V2: [Row; 7] = [
    Row(What::Memory, "memory", "memory.max", "memory.current", "memory.events"),
    Row(What::Swap, "memory", "memory.swap.max", "memory.swap.current", "memory.swap.events"),
    Row(What::Reservation, "memory", "memory.low", "", ""),
    Row(What::CpuQuota, "cpu", "cpu.max", "", "cpu.stat"),
    Row(What::CpuWeight, "cpu", "cpu.weight", "", ""),
    Row(What::Cpus, "cpuset", "cpuset.cpus", "", ""),
    Row(What::Pids, "pids", "pids.max", "pids.current", "pids.events"),
];

/// Counters that say something of a limit.
const TOLD: [&str; 8] = ["oom", "oom_kill", "max", "high", "under_oom", "nr_periods", "nr_throttled", "throttled_usec"];

impl Cgroup {
    /// Its limits; those whose controller the host or the group lacks are left out.
    pub fn look(&self) -> Result<Vec<Limit>, Error> {
        let rows: &[Row] = if self.is_v2() { &V2 } else { &V1 };
        let mut found = Vec::new();
        for Row(what, controller, file, used, events) in rows {
            let Some(written) = self.read(controller, file)? else { continue };
            let (dir, _) = self.tree(controller)?;
            let text = if events.is_empty() { None } else { self.read(controller, events)? };
            found.push(Limit {
                what: *what,
                file: dir.at(self.file(file)),
                written: written.trim().to_owned(),
                used: if used.is_empty() { None } else { self.number(controller, used)? },
                events: counters(&text.unwrap_or_default()),
            });
        }
        Ok(found)
    }

    /// Its directory in each hierarchy, with the controllers there; on v2 one, with those that it was given.
    pub fn places(&self) -> Result<Vec<(Vec<String>, PathBuf)>, Error> {
        if self.is_v2() {
            let given = self.read("", "cgroup.controllers")?.unwrap_or_default();
            let (dir, _) = self.tree("")?;
            return Ok(vec![(given.split_whitespace().map(str::to_owned).collect(), dir.at(self.id()))]);
        }
        let places = self.hierarchies().map(|one| (one.controllers.clone(), one.mountpoint.join(self.below_root())));
        Ok(places.collect())
    }

    /// What was written when the group was new, had it these limits: for telling, writes nothing. v2 has no file for device
    /// rules.
    pub fn beginning(&self, limits: &Limits) -> Result<Vec<Beginning>, Error> {
        let mut all: Vec<Beginning> = if self.is_v2() {
            vec![Beginning { directory: self.place("")?, ..Beginning::default() }]
        } else {
            let places = self.hierarchies().map(|one| Beginning {
                directory: one.mountpoint.join(self.below_root()),
                inherits_cpus: one.carries("cpuset"),
                writes: Vec::new(),
            });
            places.collect()
        };
        let writes = if self.is_v2() { self.v2_writes(limits, true) } else { self.v1_writes(limits, true)? };
        for write in writes {
            let directory = self.place(write.controller)?;
            let values = write.values.into_iter().map(|value| (write.file.clone(), value));
            if let Some(place) = all.iter_mut().find(|place| place.directory == directory) {
                place.writes.extend(values);
            }
        }
        Ok(all)
    }

    /// How long tasks waited for want of something: `cpu`, `memory`, `io`, and the file's text. v2 only.
    pub fn pressure(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let mut found = Vec::new();
        if self.is_v2() {
            for (what, file) in [("cpu", "cpu.pressure"), ("memory", "memory.pressure"), ("io", "io.pressure")] {
                // A kernel that counts none refuses the reading of a file that is there.
                if let Ok(Some(text)) = self.read("", file) {
                    found.push((what, text));
                }
            }
        }
        Ok(found)
    }

    fn below_root(&self) -> PathBuf {
        let path = self.path();
        path.strip_prefix("/").map(PathBuf::from).unwrap_or(path)
    }
}

fn counters(text: &str) -> Vec<(String, u64)> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let told = pairs.filter(|(name, _)| TOLD.contains(name));
    told.filter_map(|(name, count)| Some((name.to_owned(), count.trim().parse().ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counters_that_tell_something_of_a_limit_are_taken() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(counters(text), [("under_oom".to_owned(), 0), ("oom_kill".to_owned(), 3)]);
        assert_eq!(counters("max\nnr_throttled x\n"), []);
    }
}
