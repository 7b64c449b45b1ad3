//! Scheduling, I/O priority, CPUs and personality, from the specification's words.

use hull_launch::plan::Scheduler;

use crate::config;
use crate::error::{Error, Result};

/// `process.scheduler`.
pub fn scheduler(given: &config::Scheduler) -> Result<Scheduler> {
    let policy = match given.policy.as_str() {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_ISO" => 4,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        other => return Err(Error::invalid("process.scheduler.policy", format!("there is no policy {other:?}"))),
    };
    let mut flags = 0;
    for flag in &given.flags {
        flags |= match flag.as_str() {
            "SCHED_FLAG_RESET_ON_FORK" => 0x01,
            "SCHED_FLAG_RECLAIM" => 0x02,
            "SCHED_FLAG_DL_OVERRUN" => 0x04,
            "SCHED_FLAG_KEEP_POLICY" => 0x08,
            "SCHED_FLAG_KEEP_PARAMS" => 0x10,
            "SCHED_FLAG_UTIL_CLAMP_MIN" => 0x20,
            "SCHED_FLAG_UTIL_CLAMP_MAX" => 0x40,
            other => return Err(Error::invalid("process.scheduler.flags", format!("there is no flag {other:?}"))),
        };
    }
    let field = |name: &str| format!("process.scheduler.{name}");
    if !(-20..=19).contains(&given.nice) {
        return Err(Error::invalid(field("nice"), format!("{} is not from -20 to 19", given.nice)));
    }
    let fixed = matches!(policy, 1 | 2);
    if given.priority != 0 && !fixed {
        return Err(Error::invalid(field("priority"), format!("{} has no priority", given.policy)));
    }
    if policy != 6 && (given.runtime, given.deadline, given.period) != (0, 0, 0) {
        return Err(Error::invalid(field("runtime"), "runtime, deadline and period are for SCHED_DEADLINE"));
    }
    let priority = u32::try_from(given.priority)
        .map_err(|_| Error::invalid(field("priority"), format!("{} is below zero", given.priority)))?;
    let (runtime, deadline, period) = (given.runtime, given.deadline, given.period);
    Ok(Scheduler { policy, flags, nice: given.nice, priority, runtime, deadline, period })
}

/// `process.ioPriority` as class and level.
pub fn io_priority(given: &config::IoPriority) -> Result<(u16, u16)> {
    let class = match given.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(Error::invalid("process.ioPriority.class", format!("there is no class {other:?}"))),
    };
    match u16::try_from(given.priority).ok().filter(|level| *level <= 7) {
        Some(level) => Ok((class, level)),
        None => Err(Error::invalid("process.ioPriority.priority", format!("{} is not from 0 to 7", given.priority))),
    }
}

/// A list such as `0-3,7`.
pub fn cpus(field: &str, list: Option<&str>) -> Result<Option<Vec<u32>>> {
    let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(None) };
    let parsed = hull_cgroup::parse_cpu_list(list).map_err(|error| Error::invalid(field, error))?;
    Ok(Some(parsed.into_iter().collect()))
}

/// `linux.personality`.
pub fn personality(given: &config::Personality) -> Result<u32> {
    if !given.flags.is_empty() {
        return Err(Error::unsupported("linux.personality.flags", "the specification has none"));
    }
    match given.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        other => Err(Error::invalid("linux.personality.domain", format!("{other:?} is neither LINUX nor LINUX32"))),
    }
}
