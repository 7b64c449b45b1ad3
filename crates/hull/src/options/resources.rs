//! Limits of `run`, `create` and `update`.

use hull_types::{ByteSize, Fault};
use hull_wire::{Resources, RestartPolicy};

use super::flags::ResourceFlags;
use super::{bytes, devices, malformed, pairs};

/// Everything but the cgroup's parent.
pub(crate) fn resources(flags: &ResourceFlags) -> Result<Resources, Fault> {
    refuse_foreign(flags)?;
    let size = |flag, value: &Option<String>| value.as_deref().map_or(Ok(0), |text| bytes(flag, text));
    let each = |flag: &str, list: &[String], in_bytes| {
        list.iter().map(|text| devices::throttle(flag, text, in_bytes)).collect::<Result<Vec<_>, _>>()
    };
    Ok(Resources {
        cpu_shares: flags.cpu_shares.unwrap_or(0),
        memory: size("memory", &flags.memory)?,
        nano_cpus: flags.cpus.as_deref().map_or(Ok(0), pairs::nano_cpus)?,
        blkio_weight: flags.blkio_weight.unwrap_or(0),
        blkio_weight_device: flags.blkio_weight_device.iter().map(|t| devices::weight(t)).collect::<Result<_, _>>()?,
        blkio_device_read_bps: each("device-read-bps", &flags.device_read_bps, true)?,
        blkio_device_write_bps: each("device-write-bps", &flags.device_write_bps, true)?,
        blkio_device_read_iops: each("device-read-iops", &flags.device_read_iops, false)?,
        blkio_device_write_iops: each("device-write-iops", &flags.device_write_iops, false)?,
        cpu_period: flags.cpu_period.unwrap_or(0),
        cpu_quota: flags.cpu_quota.unwrap_or(0),
        cpu_realtime_period: flags.cpu_rt_period.unwrap_or(0),
        cpu_realtime_runtime: flags.cpu_rt_runtime.unwrap_or(0),
        cpuset_cpus: flags.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: flags.cpuset_mems.clone().unwrap_or_default(),
        devices: flags.device.iter().map(|t| devices::device(t)).collect::<Result<_, _>>()?,
        device_cgroup_rules: flags
            .device_cgroup_rule
            .iter()
            .map(|t| devices::cgroup_rule(t))
            .collect::<Result<_, _>>()?,
        memory_reservation: size("memory-reservation", &flags.memory_reservation)?,
        memory_swap: swap(flags.memory_swap.as_deref())?,
        memory_swappiness: swappiness(flags.memory_swappiness)?,
        oom_kill_disable: flags.oom_kill_disable.then_some(true),
        pids_limit: flags.pids_limit.filter(|limit| *limit != 0),
        ulimits: flags.ulimit.iter().map(|t| devices::ulimit(t)).collect::<Result<_, _>>()?,
        ..Resources::default()
    })
}

/// `--memory-swap`: bytes, or -1.
pub(crate) fn swap(text: Option<&str>) -> Result<i64, Fault> {
    let Some(text) = text else { return Ok(0) };
    match ByteSize::parse_or_unlimited(text) {
        Ok(size) => Ok(size.bytes()),
        Err(_) => {
            Err(malformed("memory-swap", text, "not a size").hint("write a size such as 128m, or -1 for unlimited"))
        }
    }
}

fn swappiness(value: Option<i64>) -> Result<Option<i64>, Fault> {
    match value {
        None | Some(-1) => Ok(None),
        Some(value @ 0..=100) => Ok(Some(value)),
        Some(value) => Err(malformed("memory-swappiness", &value.to_string(), "it must be from 0 to 100")),
    }
}

/// Flags that mean something on Windows only, or no longer anything.
fn refuse_foreign(flags: &ResourceFlags) -> Result<(), Fault> {
    let windows = [
        ("cpu-count", flags.cpu_count.is_some()),
        ("cpu-percent", flags.cpu_percent.is_some()),
        ("io-maxbandwidth", flags.io_maxbandwidth.is_some()),
        ("io-maxiops", flags.io_maxiops.is_some()),
    ];
    if let Some((name, _)) = windows.iter().find(|(_, given)| *given) {
        return Err(Fault::unsupported(format!("`--{name}` is for Windows containers only")));
    }
    if flags.kernel_memory.is_some() {
        let gone = "`--kernel-memory` is not supported: Linux 5.16 removed this limit";
        return Err(Fault::unsupported(gone).hint("use --memory, which counts kernel memory too"));
    }
    Ok(())
}

/// `no`, `always`, `unless-stopped`, `on-failure[:N]`.
pub(crate) fn restart(text: &str) -> Result<RestartPolicy, Fault> {
    let wrong = |why: &str| malformed("restart", text, why);
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    if !matches!(name, "" | "no" | "always" | "unless-stopped" | "on-failure") {
        return Err(wrong("it must be no, always, unless-stopped or on-failure[:N]"));
    }
    let maximum_retry_count = match count {
        None => 0,
        Some(_) if name != "on-failure" => return Err(wrong("only on-failure takes a count")),
        Some(count) => match count.parse() {
            Ok(count @ 0..) => count,
            _ => return Err(wrong("the count must be a whole number")),
        },
    };
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies() {
        assert_eq!(restart("on-failure:3").unwrap().maximum_retry_count, 3);
        assert_eq!(restart("no").unwrap().name, "no");
        for wrong in ["sometimes", "always:3", "on-failure:x", "on-failure:-1"] {
            assert!(restart(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_are_read_and_foreign_ones_refused() {
        let mut flags = ResourceFlags {
            memory: Some("64m".into()),
            memory_swap: Some("-1".into()),
            cpus: Some("1.5".into()),
            pids_limit: Some(-1),
            memory_swappiness: Some(-1),
            ..ResourceFlags::default()
        };
        let got = resources(&flags).unwrap();
        assert_eq!((got.memory, got.memory_swap, got.nano_cpus), (64 << 20, -1, 1_500_000_000));
        assert_eq!((got.pids_limit, got.memory_swappiness), (Some(-1), None));
        for wrong in ["-5", "abc", "1e400", ""] {
            flags.memory = Some(wrong.into());
            assert!(resources(&flags).is_err(), "{wrong}");
        }
        flags = ResourceFlags { cpu_count: Some(1), ..ResourceFlags::default() };
        assert!(resources(&flags).unwrap_err().summary.contains("--cpu-count"));
        flags = ResourceFlags { memory_swappiness: Some(101), ..ResourceFlags::default() };
        assert!(resources(&flags).is_err());
    }
}
