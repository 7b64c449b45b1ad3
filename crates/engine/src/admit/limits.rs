//! `Resources` → cgroup limits. Which of them this host can enforce is the cgroup crate's to say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use hull_cgroup::{DeviceRate, DeviceWeight, HugetlbLimit, Limits, Purpose};
use hull_types::{ByteSize, Fault};
use hull_wire as wire;

use super::Context;
use super::text::shown;

/// docker has no field for huge pages: an annotation `hull.hugetlb.2MB=64m` bounds one page size.
pub(super) const HUGETLB: &str = "hull.hugetlb.";

/// The limits of a new container.
pub(super) fn checked(
    context: &Context<'_>,
    host: &wire::HostConfig,
    warnings: &mut Vec<String>,
) -> Result<Limits, Fault> {
    let mut limits = asked(&host.resources)?;
    // A new group is unlimited as it is; 0 and -1 would only write that again.
    limits.pids = limits.pids.filter(|tasks| *tasks > 0);
    limits.hugetlb = hugetlb(&host.annotations)?;
    let checked = limits.check(context.cgroups, Purpose::Create)?;
    warnings.extend(checked.warnings);
    Ok(checked.limits)
}

/// The fields one to one; 0 and absent mean "not given", as for docker.
pub(super) fn asked(resources: &wire::Resources) -> Result<Limits, Fault> {
    let some = |value: i64| (value != 0).then_some(value);
    let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    Ok(Limits {
        memory: some(resources.memory),
        memory_swap: some(resources.memory_swap),
        memory_reservation: some(resources.memory_reservation),
        memory_swappiness: resources.memory_swappiness,
        oom_kill_disable: resources.oom_kill_disable.filter(|disable| *disable),
        nano_cpus: some(resources.nano_cpus),
        cpu_quota: some(resources.cpu_quota),
        cpu_period: unsigned("CpuPeriod", resources.cpu_period)?,
        cpu_shares: unsigned("CpuShares", resources.cpu_shares)?,
        cpu_rt_period: unsigned("CpuRealtimePeriod", resources.cpu_realtime_period)?,
        cpu_rt_runtime: some(resources.cpu_realtime_runtime),
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        pids: resources.pids_limit,
        blkio_weight: Some(resources.blkio_weight).filter(|weight| *weight != 0),
        blkio_weight_device: weights(&resources.blkio_weight_device)?,
        blkio_read_bps: rates(&resources.blkio_device_read_bps)?,
        blkio_write_bps: rates(&resources.blkio_device_write_bps)?,
        blkio_read_iops: rates(&resources.blkio_device_read_iops)?,
        blkio_write_iops: rates(&resources.blkio_device_write_iops)?,
        // Docker's API asks for nothing else.
        ..Limits::default()
    })
}

fn unsigned(field: &str, value: i64) -> Result<Option<u64>, Fault> {
    match u64::try_from(value) {
        Ok(0) => Ok(None),
        Ok(value) => Ok(Some(value)),
        // COMPAT(docker 28): its sentence.
        Err(_) if field == "CpuShares" => {
            Err(Fault::invalid(format!("invalid CPU shares ({value}): value must be a positive integer")))
        }
        Err(_) => Err(Fault::invalid(format!("`HostConfig.{field}` is negative: {value}"))),
    }
}

fn weights(asked: &[wire::WeightDevice]) -> Result<Vec<DeviceWeight>, Fault> {
    let one = |device: &wire::WeightDevice| {
        let (major, minor) = block_device(&device.path)?;
        Ok(DeviceWeight { major, minor, weight: device.weight })
    };
    asked.iter().map(one).collect()
}

fn rates(asked: &[wire::ThrottleDevice]) -> Result<Vec<DeviceRate>, Fault> {
    let one = |device: &wire::ThrottleDevice| {
        let (major, minor) = block_device(&device.path)?;
        Ok(DeviceRate { major, minor, rate: device.rate })
    };
    asked.iter().map(one).collect()
}

fn block_device(path: &str) -> Result<(u32, u32), Fault> {
    let found = fs::metadata(path)
        .map_err(|error| Fault::invalid(format!("cannot look at the device {}", shown(path))).cause(error))?;
    if !found.file_type().is_block_device() {
        return Err(Fault::invalid(format!("{} is not a block device", shown(path))));
    }
    Ok((rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev())))
}

fn hugetlb(annotations: &BTreeMap<String, String>) -> Result<Vec<HugetlbLimit>, Fault> {
    annotations
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(HUGETLB)?, value)))
        .map(|(size, value)| {
            let limit = value.parse::<ByteSize>()?.bytes();
            Ok(HugetlbLimit { page_size: size.to_owned(), limit: u64::try_from(limit).unwrap_or_default() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_map_one_to_one() {
        assert_eq!(asked(&wire::Resources::default()), Ok(Limits::default()));
        let resources = wire::Resources {
            memory: 64 << 20,
            memory_swap: -1,
            memory_reservation: 32 << 20,
            memory_swappiness: Some(0),
            oom_kill_disable: Some(true),
            nano_cpus: 1_500_000_000,
            cpu_shares: 512,
            cpuset_cpus: "0-1".into(),
            pids_limit: Some(-1),
            blkio_weight: 300,
            ..wire::Resources::default()
        };
        let limits = asked(&resources).unwrap();
        let want = Limits {
            memory: Some(64 << 20),
            memory_swap: Some(-1),
            memory_reservation: Some(32 << 20),
            memory_swappiness: Some(0),
            oom_kill_disable: Some(true),
            nano_cpus: Some(1_500_000_000),
            cpu_shares: Some(512),
            cpuset_cpus: Some("0-1".into()),
            pids: Some(-1),
            blkio_weight: Some(300),
            ..Limits::default()
        };
        assert_eq!(limits, want);
    }

    #[test]
    fn negative_numbers_and_strange_devices_are_refused() {
        for resources in [
            wire::Resources { cpu_shares: -1, ..Default::default() },
            wire::Resources { cpu_period: i64::MIN, ..Default::default() },
            wire::Resources { cpu_realtime_period: -5, ..Default::default() },
        ] {
            let said = asked(&resources).unwrap_err().summary;
            assert!(said.contains("negative") || said.contains("positive"), "{said}");
        }
        assert!(block_device("/dev/null").unwrap_err().summary.contains("not a block device"));
        assert!(block_device("/nonexistent").is_err());
    }

    #[test]
    fn huge_pages_come_by_annotation() {
        let one = BTreeMap::from([("hull.hugetlb.2MB".to_owned(), "4m".to_owned())]);
        assert_eq!(hugetlb(&one).unwrap()[0], HugetlbLimit { page_size: "2MB".into(), limit: 4 << 20 });
        let bad = BTreeMap::from([("hull.hugetlb.2MB".to_owned(), "-4m".to_owned())]);
        assert!(hugetlb(&bad).is_err());
    }
}
