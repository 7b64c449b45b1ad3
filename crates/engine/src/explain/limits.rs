//! The cgroup: each limit as asked, as written, and how much of it is used.

use hull_cgroup::{Cgroup, Limit, Limits, What};
use hull_types::Fault;
use hull_wire as wire;

use super::{Subject, fact};
use crate::container::View;
use crate::core::Core;

pub(super) fn explain(of: &Subject<'_>) -> Result<wire::ExplainedLimits, Fault> {
    let group = of.core.cgroup(of.view)?;
    let asked = &of.view.definition.spec.limits;
    let groups = group
        .places()?
        .into_iter()
        .map(|(controllers, path)| wire::ExplainedGroup { controllers, path: path.to_string_lossy().into_owned() });
    let pressure = group.pressure()?;
    let limits = group.look()?.into_iter().map(|limit| one(asked, limit));
    Ok(wire::ExplainedLimits {
        groups: groups.collect(),
        limits: limits.chain(others(&group, asked, true)).collect(),
        pressure: pressure.into_iter().map(|(what, text)| fact(what, text.trim(), "", "")).collect(),
    })
}

/// Of a container that does not run.
pub(super) fn asked_for(core: &Core, view: &View) -> Vec<wire::ExplainedLimit> {
    const ALL: [What; 8] = [
        What::Memory,
        What::Swap,
        What::Reservation,
        What::CpuQuota,
        What::CpuPeriod,
        What::CpuWeight,
        What::Cpus,
        What::Pids,
    ];
    let limits = &view.definition.spec.limits;
    let one = |what| {
        let (name, by, asked) = asked(limits, what);
        wire::ExplainedLimit { name: name.into(), by: by.into(), asked, ..Default::default() }
    };
    let known = ALL.into_iter().map(one).filter(|limit| !limit.asked.is_empty());
    let others = core.cgroup_to_come(view).map(|group| others(&group, limits, false)).unwrap_or_default();
    known.chain(others).collect()
}

/// Limits that only few ask for, by the beginning of their file's name: those are told if they were.
const RARE: [(&str, &str); 12] = [
    ("cpuset.mems", "--cpuset-mems"),
    ("memory.swappiness", "--memory-swappiness"),
    ("memory.oom_control", "--oom-kill-disable"),
    ("cpu.rt_", "--cpu-rt-runtime, --cpu-rt-period"),
    ("hugetlb.", "--annotation hull.hugetlb"),
    ("blkio.throttle.read_bps", "--device-read-bps"),
    ("blkio.throttle.write_bps", "--device-write-bps"),
    ("blkio.throttle.read_iops", "--device-read-iops"),
    ("blkio.throttle.write_iops", "--device-write-iops"),
    ("blkio.", "--blkio-weight, --blkio-weight-device"),
    ("io.max", "--device-read-bps and its kin"),
    ("io.", "--blkio-weight, --blkio-weight-device"),
];

/// What was asked for of [`RARE`]; `made`: the cgroup is there and is read.
fn others(group: &Cgroup, asked: &Limits, made: bool) -> Vec<wire::ExplainedLimit> {
    let mut found: Vec<wire::ExplainedLimit> = Vec::new();
    for place in group.beginning(asked).unwrap_or_default() {
        for (name, value) in place.writes {
            let Some((_, by)) = RARE.iter().find(|(beginning, _)| name.starts_with(beginning)) else { continue };
            if let Some(one) = found.iter_mut().find(|one| one.name == name) {
                one.asked = format!("{}; {value}", one.asked);
                continue;
            }
            let file = place.directory.join(&name);
            let text = if made { std::fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
            found.push(wire::ExplainedLimit {
                name,
                asked: value,
                by: (*by).into(),
                file: if made { file.to_string_lossy().into_owned() } else { String::new() },
                written: text.trim().replace('\n', "; "),
                ..Default::default()
            });
        }
    }
    found
}

fn one(limits: &Limits, limit: Limit) -> wire::ExplainedLimit {
    let (name, by, asked) = asked(limits, limit.what);
    let unlimited = unlimited(&limit);
    wire::ExplainedLimit {
        name: name.into(),
        by: if asked.is_empty() { String::new() } else { by.into() },
        asked,
        file: limit.file.to_string_lossy().into_owned(),
        written: if unlimited { "no limit".into() } else { limit.written },
        used: limit.used.map(|used| used.to_string()).unwrap_or_default(),
        events: limit.events.into_iter().map(|(name, count)| fact(&name, count.to_string(), "", "")).collect(),
    }
}

fn unlimited(limit: &Limit) -> bool {
    let bytes = matches!(limit.what, What::Memory | What::Swap | What::Reservation);
    let words = limit.written.split_whitespace().next().unwrap_or_default();
    match limit.what {
        What::Reservation if words == "0" => true,
        What::CpuWeight | What::Cpus | What::CpuPeriod => false,
        // v1's largest number of whole pages.
        _ if bytes && words.parse::<u64>().is_ok_and(|number| number >= 1 << 62) => true,
        _ => matches!(words, "max" | "-1"),
    }
}

/// The name of a limit, its flag, and what was asked; empty if nothing was.
fn asked(limits: &Limits, what: What) -> (&'static str, &'static str, String) {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    match what {
        What::Memory => ("memory", "--memory", text(limits.memory)),
        What::Swap => ("swap", "--memory-swap (memory and swap together)", text(limits.memory_swap)),
        What::Reservation => ("memory reservation", "--memory-reservation", text(limits.memory_reservation)),
        What::CpuQuota => match limits.nano_cpus.filter(|nano| *nano > 0) {
            Some(nano) => ("cpu quota", "--cpus", cpus(nano)),
            None => ("cpu quota", "--cpu-quota", text(limits.cpu_quota)),
        },
        What::CpuPeriod => ("cpu period", "--cpu-period", text(limits.cpu_period)),
        What::CpuWeight => ("cpu weight", "--cpu-shares", text(limits.cpu_shares)),
        What::Cpus => ("cpus", "--cpuset-cpus", text(limits.cpuset_cpus.as_ref())),
        What::Pids => ("tasks", "--pids-limit", text(limits.pids.filter(|count| *count > 0))),
    }
}

/// Processors, of units of 10⁻⁹.
fn cpus(nano: i64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_read_as_they_were_asked_for() {
        for (nano, text) in [(500_000_000, "0.5"), (2_000_000_000, "2"), (1_250_000_000, "1.25"), (10_000_000, "0.01")]
        {
            assert_eq!(cpus(nano), text);
        }
    }
}
