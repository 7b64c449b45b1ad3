//! `linux.resources` as limits of the cgroup.

use hull_cgroup::{Access, DeviceKind, DeviceRate, DeviceRule, DeviceWeight, HugetlbLimit, Limits};

use crate::config::{self, Resources};
use crate::error::{Error, Result};

/// Everything but devices, which a container that runs cannot be given.
pub fn limits(resources: &Resources) -> Result<Limits> {
    let mut limits = Limits::default();
    if let Some(memory) = &resources.memory {
        limits.memory = memory.limit.filter(|limit| *limit != 0);
        limits.memory_swap = memory.swap.filter(|limit| *limit != 0);
        limits.memory_reservation = memory.reservation.filter(|limit| *limit != 0);
        limits.memory_swappiness = memory.swappiness.and_then(|value| i64::try_from(value).ok());
        limits.oom_kill_disable = memory.disable_oom_killer;
    }
    if let Some(cpu) = &resources.cpu {
        limits.cpu_shares = cpu.shares.filter(|shares| *shares != 0);
        limits.cpu_quota = cpu.quota.filter(|quota| *quota != 0);
        limits.cpu_period = cpu.period.filter(|period| *period != 0);
        limits.cpu_burst = cpu.burst;
        limits.cpu_idle = cpu.idle;
        limits.cpu_rt_period = cpu.realtime_period.filter(|period| *period != 0);
        limits.cpu_rt_runtime = cpu.realtime_runtime.filter(|runtime| *runtime != 0);
        limits.cpuset_cpus = cpu.cpus.clone().filter(|list| !list.is_empty());
        limits.cpuset_mems = cpu.mems.clone().filter(|list| !list.is_empty());
    }
    limits.pids = resources.pids.as_ref().and_then(|pids| pids.limit).filter(|limit| *limit != 0);
    if let Some(io) = &resources.block_io {
        block_io(io, &mut limits);
    }
    limits.hugetlb = resources
        .hugepage_limits
        .iter()
        .map(|huge| HugetlbLimit { page_size: huge.page_size.clone(), limit: huge.limit })
        .collect();
    if let Some(network) = &resources.network {
        limits.net_class = network.class_id.filter(|class| *class != 0);
        limits.net_priorities = network.priorities.iter().map(|p| (p.name.clone(), p.priority)).collect();
    }
    limits.rdma = resources.rdma.iter().map(|(device, r)| (device.clone(), r.hca_handles, r.hca_objects)).collect();
    limits.unified = resources.unified.clone();
    check(&limits)?;
    Ok(limits)
}

/// What the kernel would not refuse, or not by its name.
fn check(limits: &Limits) -> Result<()> {
    let field = |name: &str| format!("linux.resources.{name}");
    if let (Some(memory @ 1..), Some(swap @ 1..)) = (limits.memory, limits.memory_swap)
        && swap < memory
    {
        return Err(Error::invalid(field("memory.swap"), "memory and swap together are less than memory"));
    }
    for (name, list) in [("cpu.cpus", &limits.cpuset_cpus), ("cpu.mems", &limits.cpuset_mems)] {
        if let Some(list) = list {
            hull_cgroup::parse_cpu_list(list).map_err(|error| Error::invalid(field(name), error))?;
        }
    }
    let size = |text: &str| {
        let digits = ["KB", "MB", "GB"].iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    if let Some(huge) = limits.hugetlb.iter().find(|huge| !size(&huge.page_size)) {
        return Err(Error::invalid(field("hugepageLimits"), format!("{:?} is no page size", huge.page_size)));
    }
    let one_word = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    if let Some((device, ..)) = limits.rdma.iter().find(|(device, ..)| !one_word(device)) {
        return Err(Error::invalid(field("rdma"), format!("{device:?} is no device")));
    }
    if let Some((interface, _)) = limits.net_priorities.iter().find(|(interface, _)| !one_word(interface)) {
        return Err(Error::invalid(field("network.priorities"), format!("{interface:?} is no interface")));
    }
    let file = |name: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        name.contains('.') && !name.starts_with(['.', '-']) && name.bytes().all(plain) && !name.starts_with("cgroup.")
    };
    if let Some(name) = limits.unified.keys().find(|name| !file(name)) {
        return Err(Error::invalid(field("unified"), format!("{name:?} is no file of a controller")));
    }
    Ok(())
}

/// What one version of cgroups has and the other has not.
pub fn fits(limits: &Limits, unified: bool) -> Result<()> {
    let field = |name: &str| format!("linux.resources.{name}");
    if !unified && !limits.unified.is_empty() {
        return Err(Error::unsupported(field("unified"), "this host has cgroups of version 1"));
    }
    if unified && (limits.net_class.is_some() || !limits.net_priorities.is_empty()) {
        return Err(Error::unsupported(field("network"), "cgroups of version 2 have no such controller"));
    }
    Ok(())
}

fn block_io(io: &config::BlockIo, limits: &mut Limits) {
    limits.blkio_weight = io.weight.filter(|weight| *weight != 0);
    limits.blkio_weight_device = io
        .weight_device
        .iter()
        .filter_map(|d| Some(DeviceWeight { major: d.major, minor: d.minor, weight: d.weight? }))
        .collect();
    let rates = |list: &[config::ThrottleDevice]| {
        list.iter().map(|d| DeviceRate { major: d.major, minor: d.minor, rate: d.rate }).collect()
    };
    limits.blkio_read_bps = rates(&io.throttle_read_bps_device);
    limits.blkio_write_bps = rates(&io.throttle_write_bps_device);
    limits.blkio_read_iops = rates(&io.throttle_read_iops_device);
    limits.blkio_write_iops = rates(&io.throttle_write_iops_device);
}

/// GHSA-g54h-m393: everything is denied first (by the cgroup crate), then the bundle's rules apply, then what
/// every container may use, as runc appends it.
pub fn devices(resources: Option<&Resources>) -> Result<Vec<DeviceRule>> {
    let given = resources.and_then(|resources| resources.devices.as_deref()).unwrap_or_default();
    let mut rules: Vec<DeviceRule> = given.iter().enumerate().map(|(at, rule)| one(at, rule)).collect::<Result<_>>()?;
    rules.extend(EVERYBODYS);
    Ok(rules)
}

const fn char(major: Option<u32>, minor: Option<u32>, access: Access) -> DeviceRule {
    DeviceRule { allow: true, kind: DeviceKind::Char, major, minor, access }
}

/// null, zero, full, random, urandom, tty, console, ptmx and terminals; and making (not opening) any node.
const EVERYBODYS: [DeviceRule; 11] = [
    char(None, None, Access::MKNOD),
    DeviceRule { kind: DeviceKind::Block, ..char(None, None, Access::MKNOD) },
    char(Some(1), Some(3), Access::ALL),
    char(Some(1), Some(5), Access::ALL),
    char(Some(1), Some(7), Access::ALL),
    char(Some(1), Some(8), Access::ALL),
    char(Some(1), Some(9), Access::ALL),
    char(Some(5), Some(0), Access::ALL),
    char(Some(5), Some(1), Access::ALL),
    char(Some(5), Some(2), Access::ALL),
    char(Some(136), None, Access::ALL),
];

fn one(at: usize, rule: &config::DeviceRule) -> Result<DeviceRule> {
    let field = |name: &str| format!("linux.resources.devices[{at}].{name}");
    let kind = match rule.kind.as_deref() {
        None | Some("" | "a") => DeviceKind::All,
        Some("c" | "u") => DeviceKind::Char,
        Some("b") => DeviceKind::Block,
        Some(other) => return Err(Error::invalid(field("type"), format!("{other:?} is none of a, b, c and u"))),
    };
    // Below zero, and absent, is any.
    let number = |value: Option<i64>, name: &str| match value {
        None | Some(i64::MIN..0) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(field(name), format!("{number} is too large"))),
        },
    };
    let access = rule.access.as_deref().unwrap_or("rwm");
    let access = if access.is_empty() { "rwm" } else { access };
    let access = Access::parse(access)
        .ok_or_else(|| Error::invalid(field("access"), format!("{access:?} is not made of r, w and m")))?;
    let (major, minor) = (number(rule.major, "major")?, number(rule.minor, "minor")?);
    Ok(DeviceRule { allow: rule.allow, kind, major, minor, access })
}
