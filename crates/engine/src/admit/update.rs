//! An update request → the container's limits as they shall be.

use hull_cgroup::{DeviceRate, DeviceWeight, Limits, Purpose};
use hull_launch::spec::Spec;
use hull_types::Fault;
use hull_wire as wire;

use super::{Context, Updated, host_config, limits};

/// Admits a change of limits and restart policy. Absent and zero fields stay as they are.
///
/// # Errors
/// What is wrong, or cannot be changed on an existing container.
pub fn update(
    context: &Context<'_>,
    spec: &Spec,
    host: &wire::HostConfig,
    request: &wire::ContainerUpdateRequest,
) -> Result<Updated, Fault> {
    let asked = &request.resources;
    fixed(asked)?;
    if !request.restart_policy.name.is_empty() {
        host_config::restart_policy(&request.restart_policy)?;
        if host.auto_remove && request.restart_policy.name != "no" {
            return Err(Fault::invalid(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
    }
    let wish = merge(&spec.limits, limits::asked(asked)?, &request.emptied);
    let checked = wish.check(context.cgroups, Purpose::Update)?;
    let mut host_config = host.clone();
    record(&mut host_config, request);
    if !request.restart_policy.name.is_empty() {
        host_config.restart_policy = request.restart_policy.clone();
    }
    let writes = with_lifted(&spec.limits, &checked.limits);
    Ok(Updated { limits: checked.limits, writes, host_config, warnings: checked.warnings })
}

/// What docker does not change either; silently taken it would look done.
fn fixed(asked: &wire::Resources) -> Result<(), Fault> {
    let unchanged = wire::Resources::default();
    for (set, field) in [
        (asked.cgroup_parent != unchanged.cgroup_parent, "CgroupParent"),
        (asked.devices != unchanged.devices, "Devices"),
        (asked.device_cgroup_rules != unchanged.device_cgroup_rules, "DeviceCgroupRules"),
        (asked.device_requests != unchanged.device_requests, "DeviceRequests"),
        (asked.ulimits != unchanged.ulimits, "Ulimits"),
        (asked.oom_kill_disable == Some(true), "OomKillDisable"),
        (asked.kernel_memory != 0, "KernelMemory"),
        (asked.kernel_memory_tcp != 0, "KernelMemoryTCP"),
        (asked.cpu_count != 0, "CpuCount"),
        (asked.cpu_percent != 0, "CpuPercent"),
        (asked.io_maximum_iops != 0, "IOMaximumIOps"),
        (asked.io_maximum_bandwidth != 0, "IOMaximumBandwidth"),
    ] {
        if set {
            return Err(Fault::unsupported(format!("`{field}` cannot be changed by an update")));
        }
    }
    Ok(())
}

/// The lists of devices, as the document names them.
const WEIGHTS: &str = "BlkioWeightDevice";
const READ_BPS: &str = "BlkioDeviceReadBps";
const WRITE_BPS: &str = "BlkioDeviceWriteBps";
const READ_IOPS: &str = "BlkioDeviceReadIOps";
const WRITE_IOPS: &str = "BlkioDeviceWriteIOps";

/// A list that is given replaces the one there was; one that is to be emptied is given as well.
fn pick<T: Clone>(new: Vec<T>, old: &[T], emptied: bool) -> Vec<T> {
    if new.is_empty() && !emptied { old.to_vec() } else { new }
}

/// New values over old ones. `--cpus` and quota exclude each other: the newer way wins.
fn merge(old: &Limits, new: Limits, emptied: &[String]) -> Limits {
    let empties = |name: &str| emptied.iter().any(|one| one == name);
    let by_quota = new.cpu_quota.is_some() || new.cpu_period.is_some();
    let by_cpus = new.nano_cpus.is_some();
    Limits {
        memory: new.memory.or(old.memory),
        memory_swap: new.memory_swap.or(old.memory_swap),
        memory_reservation: new.memory_reservation.or(old.memory_reservation),
        memory_swappiness: new.memory_swappiness.or(old.memory_swappiness),
        oom_kill_disable: old.oom_kill_disable,
        nano_cpus: new.nano_cpus.or(old.nano_cpus.filter(|_| !by_quota)),
        cpu_quota: new.cpu_quota.or(old.cpu_quota.filter(|_| !by_cpus)),
        cpu_period: new.cpu_period.or(old.cpu_period.filter(|_| !by_cpus)),
        cpu_shares: new.cpu_shares.or(old.cpu_shares),
        cpu_rt_period: new.cpu_rt_period.or(old.cpu_rt_period),
        cpu_rt_runtime: new.cpu_rt_runtime.or(old.cpu_rt_runtime),
        cpuset_cpus: new.cpuset_cpus.or_else(|| old.cpuset_cpus.clone()),
        cpuset_mems: new.cpuset_mems.or_else(|| old.cpuset_mems.clone()),
        pids: new.pids.or(old.pids),
        blkio_weight: new.blkio_weight.or(old.blkio_weight),
        blkio_weight_device: pick(new.blkio_weight_device, &old.blkio_weight_device, empties(WEIGHTS)),
        blkio_read_bps: pick(new.blkio_read_bps, &old.blkio_read_bps, empties(READ_BPS)),
        blkio_write_bps: pick(new.blkio_write_bps, &old.blkio_write_bps, empties(WRITE_BPS)),
        blkio_read_iops: pick(new.blkio_read_iops, &old.blkio_read_iops, empties(READ_IOPS)),
        blkio_write_iops: pick(new.blkio_write_iops, &old.blkio_write_iops, empties(WRITE_IOPS)),
        ..old.clone()
    }
}

/// What is to be written to a group that has the old limits: the kernel keeps a device's until it is told otherwise.
fn with_lifted(old: &Limits, new: &Limits) -> Limits {
    let rates = |old: &[DeviceRate], new: &[DeviceRate]| {
        let gone = |was: &&DeviceRate| !new.iter().any(|now| (now.major, now.minor) == (was.major, was.minor));
        let lifted = old.iter().filter(gone).map(|was| DeviceRate { rate: 0, ..*was });
        lifted.chain(new.iter().copied()).collect()
    };
    let (were, are) = (&old.blkio_weight_device, &new.blkio_weight_device);
    let gone = |was: &&DeviceWeight| !are.iter().any(|now| (now.major, now.minor) == (was.major, was.minor));
    let lifted = were.iter().filter(gone).map(|was| DeviceWeight { weight: 0, ..*was });
    Limits {
        blkio_weight_device: lifted.chain(are.iter().copied()).collect(),
        blkio_read_bps: rates(&old.blkio_read_bps, &new.blkio_read_bps),
        blkio_write_bps: rates(&old.blkio_write_bps, &new.blkio_write_bps),
        blkio_read_iops: rates(&old.blkio_read_iops, &new.blkio_read_iops),
        blkio_write_iops: rates(&old.blkio_write_iops, &new.blkio_write_iops),
        ..new.clone()
    }
}

/// The same in the stored `HostConfig`, for inspect.
fn record(host: &mut wire::HostConfig, request: &wire::ContainerUpdateRequest) {
    let (own, asked) = (&mut host.resources, &request.resources);
    for (own, new) in [
        (&mut own.memory, asked.memory),
        (&mut own.memory_swap, asked.memory_swap),
        (&mut own.memory_reservation, asked.memory_reservation),
        (&mut own.cpu_shares, asked.cpu_shares),
        (&mut own.cpu_realtime_period, asked.cpu_realtime_period),
        (&mut own.cpu_realtime_runtime, asked.cpu_realtime_runtime),
    ] {
        if new != 0 {
            *own = new;
        }
    }
    if asked.nano_cpus != 0 {
        (own.nano_cpus, own.cpu_quota, own.cpu_period) = (asked.nano_cpus, 0, 0);
    }
    if asked.cpu_quota != 0 || asked.cpu_period != 0 {
        own.nano_cpus = 0;
        for (own, new) in [(&mut own.cpu_quota, asked.cpu_quota), (&mut own.cpu_period, asked.cpu_period)] {
            if new != 0 {
                *own = new;
            }
        }
    }
    for (own, new) in [(&mut own.cpuset_cpus, &asked.cpuset_cpus), (&mut own.cpuset_mems, &asked.cpuset_mems)] {
        if !new.is_empty() {
            own.clone_from(new);
        }
    }
    if asked.blkio_weight != 0 {
        own.blkio_weight = asked.blkio_weight;
    }
    own.pids_limit = asked.pids_limit.or(own.pids_limit);
    own.memory_swappiness = asked.memory_swappiness.or(own.memory_swappiness);
    let empties = |name: &str| request.emptied.iter().any(|one| one == name);
    for (own, new, name) in [
        (&mut own.blkio_device_read_bps, &asked.blkio_device_read_bps, READ_BPS),
        (&mut own.blkio_device_write_bps, &asked.blkio_device_write_bps, WRITE_BPS),
        (&mut own.blkio_device_read_iops, &asked.blkio_device_read_iops, READ_IOPS),
        (&mut own.blkio_device_write_iops, &asked.blkio_device_write_iops, WRITE_IOPS),
    ] {
        *own = pick(new.clone(), own, empties(name));
    }
    own.blkio_weight_device = pick(asked.blkio_weight_device.clone(), &own.blkio_weight_device, empties(WEIGHTS));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_values_replace_old_ones_and_the_rest_stays() {
        let old = Limits { memory: Some(1), cpu_quota: Some(5), pids: Some(10), ..Limits::default() };
        let new = Limits { nano_cpus: Some(7), pids: Some(20), ..Limits::default() };
        let merged = merge(&old, new, &[]);
        assert_eq!(
            (merged.memory, merged.cpu_quota, merged.nano_cpus, merged.pids),
            (Some(1), None, Some(7), Some(20))
        );
    }

    #[test]
    fn devices_stay_are_replaced_or_lose_their_limit() {
        let rate = |minor, rate| DeviceRate { major: 8, minor, rate };
        let old = Limits { blkio_read_bps: vec![rate(0, 5), rate(1, 6)], ..Limits::default() };
        let asked = |rates: Vec<DeviceRate>| Limits { blkio_read_bps: rates, ..Limits::default() };
        for (new, emptied, stored, written) in [
            (vec![], vec![], vec![rate(0, 5), rate(1, 6)], vec![rate(0, 5), rate(1, 6)]),
            (vec![rate(1, 9)], vec![], vec![rate(1, 9)], vec![rate(0, 0), rate(1, 9)]),
            (vec![], vec![READ_BPS.to_owned()], vec![], vec![rate(0, 0), rate(1, 0)]),
        ] {
            let merged = merge(&old, asked(new), &emptied);
            assert_eq!(merged.blkio_read_bps, stored);
            assert_eq!(with_lifted(&old, &merged).blkio_read_bps, written);
        }
    }

    #[test]
    fn what_cannot_change_is_refused() {
        let asked = wire::Resources { ulimits: vec![wire::Ulimit::default()], ..Default::default() };
        assert!(fixed(&asked).unwrap_err().summary.contains("Ulimits"));
        assert!(fixed(&wire::Resources { memory: 5, ..Default::default() }).is_ok());
    }
}
