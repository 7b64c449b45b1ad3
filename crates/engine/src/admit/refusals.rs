//! The fields that this version does not honour: set to anything but their default, they are refused
//! by name with a sentence.

use hull_types::Fault;
use hull_wire as wire;

/// Refuses what is set and not supported.
pub(super) fn check(request: &wire::ContainerCreateRequest) -> Result<(), Fault> {
    let (host, resources) = (&request.host_config, &request.host_config.resources);
    let windows = "this is an option of Windows";
    for (set, field, why) in [
        (
            !matches!(host.volume_driver.as_str(), "" | "local"),
            "HostConfig.VolumeDriver",
            "`local` is the only volume driver",
        ),
        (!host.cgroup.is_empty(), "HostConfig.Cgroup", "a cgroup cannot be chosen by another container's name"),
        (!matches!(host.isolation.as_str(), "" | "default"), "HostConfig.Isolation", windows),
        (!matches!(host.runtime.as_str(), "" | "hull"), "HostConfig.Runtime", "`hull` is the only runtime"),
        (!host.storage_opt.is_empty(), "HostConfig.StorageOpt", "the root file system has no quota in this version"),
        (
            !resources.device_requests.is_empty(),
            "HostConfig.DeviceRequests",
            "there are no device drivers; use `--device`",
        ),
        (resources.kernel_memory != 0, "HostConfig.KernelMemory", "kernels no longer have this limit"),
        (resources.kernel_memory_tcp != 0, "HostConfig.KernelMemoryTCP", "kernels no longer have this limit"),
        (resources.cpu_count != 0, "HostConfig.CpuCount", windows),
        (resources.cpu_percent != 0, "HostConfig.CpuPercent", windows),
        (resources.io_maximum_iops != 0, "HostConfig.IOMaximumIOps", windows),
        (resources.io_maximum_bandwidth != 0, "HostConfig.IOMaximumBandwidth", windows),
    ] {
        if set {
            return Err(refusal(field, why));
        }
    }
    annotations(host)
}

/// Annotations are free text, but those that hull reads must be ones it knows.
fn annotations(host: &wire::HostConfig) -> Result<(), Fault> {
    let unknown = host.annotations.keys().find(|key| {
        let known = [super::namespaces::TIME, super::health::ON_FAILURE];
        key.starts_with("hull.") && !known.contains(&key.as_str()) && !key.starts_with(super::limits::HUGETLB)
    });
    match unknown {
        Some(key) => Err(Fault::invalid(format!("unknown annotation {}", super::text::shown(key))).hint(
            "hull knows `hull.time`, `hull.health.on-failure` and `hull.hugetlb.<page size>`; other prefixes are free",
        )),
        None => Ok(()),
    }
}

fn refusal(field: &str, why: &str) -> Fault {
    Fault::unsupported(format!("{why}: `{field}` is not supported"))
}
