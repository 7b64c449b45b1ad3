//! Checking limits before any effect, with docker's words: what is wrong is refused, what the kernel
//! cannot do is discarded with a warning.

use crate::cpulist;
use crate::devices;
use crate::error::Refusal;
use crate::host::{Host, Version};
use crate::limits::{DeviceRate, Limits};
use crate::support::Support;

/// docker's least memory limit.
const LEAST_MEMORY: i64 = 6 << 20;

/// What the limits are for: some rules differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A new container: defaults are filled in.
    Create,
    /// A change of an existing one.
    Update,
}

/// Limits that this host can enforce, and what was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What remains, with docker's defaults filled in.
    pub limits: Limits,
    /// One sentence each, as docker prints them.
    pub warnings: Vec<String>,
}

impl Limits {
    /// Checks against this host. Nothing is written anywhere.
    pub fn check(&self, host: &Host, purpose: Purpose) -> Result<Checked, Refusal> {
        if let (Some(rules), Version::V1) = (&self.devices, host.version()) {
            devices::check_v1(rules)?;
        }
        if !self.asks() {
            return Ok(Checked { limits: self.clone(), warnings: Vec::new() });
        }
        self.check_against(host.support(), purpose)
    }

    /// Whether anything but device rules is asked for.
    fn asks(&self) -> bool {
        let rest = Self { devices: None, ..self.clone() };
        rest != Self::default()
    }

    pub(crate) fn check_against(&self, support: &Support, purpose: Purpose) -> Result<Checked, Refusal> {
        let mut check = Check { limits: self.clone(), warnings: Vec::new(), support, purpose };
        check.drop_zeroes();
        check.memory()?;
        check.oom_and_pids();
        check.cpu()?;
        check.realtime()?;
        check.cpuset()?;
        check.blkio()?;
        check.hugetlb()?;
        Ok(Checked { limits: check.limits, warnings: check.warnings })
    }
}

struct Check<'a> {
    limits: Limits,
    warnings: Vec<String>,
    support: &'a Support,
    purpose: Purpose,
}

impl Check<'_> {
    /// docker's 0 means "not given".
    fn drop_zeroes(&mut self) {
        let l = &mut self.limits;
        for field in [
            &mut l.memory,
            &mut l.memory_swap,
            &mut l.memory_reservation,
            &mut l.nano_cpus,
            &mut l.cpu_quota,
            &mut l.cpu_rt_runtime,
        ] {
            *field = field.filter(|value| *value != 0);
        }
        for field in [&mut l.cpu_period, &mut l.cpu_shares, &mut l.cpu_rt_period] {
            *field = field.filter(|value| *value != 0);
        }
        // docker's -1 means "not given" here.
        l.memory_swappiness = l.memory_swappiness.filter(|value| *value != -1);
        l.blkio_weight = l.blkio_weight.filter(|weight| *weight != 0);
        for field in [&mut l.cpuset_cpus, &mut l.cpuset_mems] {
            *field = field.take().filter(|list| !list.trim().is_empty());
        }
    }

    fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }

    fn memory(&mut self) -> Result<(), Refusal> {
        self.memory_signs()?;
        if self.limits.memory.is_some_and(|m| m > 0 && m < LEAST_MEMORY) {
            return Err(Refusal::MemoryTooSmall);
        }
        let limited = |limits: &Limits| limits.memory.is_some_and(|m| m > 0);
        if limited(&self.limits) && !self.support.memory_limit {
            self.warn("Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.");
            self.limits.memory = None;
            self.limits.memory_swap = None;
        }
        if self.purpose == Purpose::Create && limited(&self.limits) {
            let double = self.limits.memory.map(|m| m.saturating_mul(2));
            self.limits.memory_swap = self.limits.memory_swap.or(double);
        }
        if limited(&self.limits) && self.limits.memory_swap.is_some_and(|swap| swap != -1) && !self.support.swap_limit {
            self.warn("Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.");
            self.limits.memory_swap = None;
        }
        match (self.limits.memory, self.limits.memory_swap) {
            (Some(memory), Some(swap)) if memory > 0 && swap > 0 && swap < memory => {
                return Err(Refusal::SwapBelowMemory);
            }
            (None, Some(swap)) if swap > 0 && self.purpose == Purpose::Create => {
                return Err(Refusal::SwapWithoutMemory);
            }
            _ => {}
        }
        self.swappiness()?;
        self.reservation()
    }

    fn memory_signs(&self) -> Result<(), Refusal> {
        for (name, value) in [
            ("memory", self.limits.memory),
            ("memory-swap", self.limits.memory_swap),
            ("memory-reservation", self.limits.memory_reservation),
            ("cpu-quota", self.limits.cpu_quota),
        ] {
            if let Some(value) = value.filter(|value| *value < -1) {
                return Err(Refusal::Negative { name, value });
            }
        }
        Ok(())
    }

    fn swappiness(&mut self) -> Result<(), Refusal> {
        let Some(value) = self.limits.memory_swappiness else {
            return Ok(());
        };
        if !self.support.memory_swappiness {
            self.warn("Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.");
            self.limits.memory_swappiness = None;
        } else if !(0..=100).contains(&value) {
            return Err(Refusal::Swappiness(value));
        }
        Ok(())
    }

    fn reservation(&mut self) -> Result<(), Refusal> {
        let Some(soft) = self.limits.memory_reservation.filter(|soft| *soft > 0) else {
            return Ok(());
        };
        if !self.support.memory_reservation {
            self.warn("Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.");
            self.limits.memory_reservation = None;
            return Ok(());
        }
        if soft < LEAST_MEMORY {
            return Err(Refusal::ReservationTooSmall);
        }
        if self.limits.memory.is_some_and(|memory| memory > 0 && memory < soft) {
            return Err(Refusal::MemoryBelowReservation);
        }
        Ok(())
    }

    fn oom_and_pids(&mut self) {
        if self.limits.oom_kill_disable.is_some() && !self.support.oom_kill_disable {
            if self.limits.oom_kill_disable == Some(true) {
                self.warn("Your kernel does not support OomKillDisable. OomKillDisable discarded.");
            }
            self.limits.oom_kill_disable = None;
        }
        if self.limits.oom_kill_disable == Some(true) && self.limits.memory.is_none() {
            self.warn("OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.");
        }
        if self.limits.pids.is_some() && !self.support.pids {
            if self.limits.pids.is_some_and(|pids| pids > 0) {
                self.warn("Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.");
            }
            self.limits.pids = None;
        }
    }

    fn cpu(&mut self) -> Result<(), Refusal> {
        let limits = &self.limits;
        if let Some(nano) = limits.nano_cpus {
            if limits.cpu_period.is_some() {
                return Err(Refusal::NanoCpusAndPeriod);
            }
            if limits.cpu_quota.is_some() {
                return Err(Refusal::NanoCpusAndQuota);
            }
            if !self.support.cpu_cfs {
                return Err(Refusal::NanoCpusUnsupported);
            }
            let count = self.support.cpu_count;
            // The kernel's shortest quota is 1 ms of the 100 ms period.
            if nano < 10_000_000 || i128::from(nano) > count as i128 * 1_000_000_000 {
                return Err(Refusal::CpusOutOfRange(count));
            }
        }
        if limits.cpu_shares.is_some() && !self.support.cpu_shares {
            self.warn("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.");
            self.limits.cpu_shares = None;
        }
        if (self.limits.cpu_period.is_some() || self.limits.cpu_quota.is_some()) && !self.support.cpu_cfs {
            self.warn("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.");
            self.limits.cpu_period = None;
            self.limits.cpu_quota = None;
        }
        let period = self.limits.cpu_period;
        if period.is_some_and(|period| !(1000..=1_000_000).contains(&period)) {
            return Err(Refusal::CpuPeriod);
        }
        if self.limits.cpu_quota.is_some_and(|quota| quota > 0 && quota < 1000) {
            return Err(Refusal::CpuQuota);
        }
        Ok(())
    }

    fn realtime(&mut self) -> Result<(), Refusal> {
        let (period, runtime) = (self.limits.cpu_rt_period, self.limits.cpu_rt_runtime);
        if period.is_none() && runtime.is_none() {
            return Ok(());
        }
        if !self.support.cpu_realtime {
            return Err(Refusal::CpuRealtimeUnsupported);
        }
        if let (Some(period), Some(runtime)) = (period, runtime)
            && u64::try_from(runtime).is_ok_and(|runtime| runtime > period)
        {
            return Err(Refusal::CpuRealtimeRuntime);
        }
        Ok(())
    }

    fn cpuset(&mut self) -> Result<(), Refusal> {
        if self.limits.wants_cpuset() && !self.support.cpuset {
            self.warn("Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.");
            self.limits.cpuset_cpus = None;
            self.limits.cpuset_mems = None;
        }
        let within = |which, requested: &Option<String>, available: &str| {
            let Some(requested) = requested else {
                return Ok(true);
            };
            let asked = cpulist::parse(requested)
                .map_err(|_| Refusal::CpusetSyntax { which, value: requested.chars().take(100).collect() })?;
            Ok(cpulist::parse(available).is_ok_and(|there| asked.is_subset(&there)))
        };
        let limits = &self.limits;
        if !within("cpus", &limits.cpuset_cpus, &self.support.cpus)? {
            return Err(Refusal::CpusUnavailable {
                requested: limits.cpuset_cpus.clone().unwrap_or_default(),
                available: self.support.cpus.clone(),
            });
        }
        if !within("mems", &limits.cpuset_mems, &self.support.mems)? {
            return Err(Refusal::MemsUnavailable {
                requested: limits.cpuset_mems.clone().unwrap_or_default(),
                available: self.support.mems.clone(),
            });
        }
        Ok(())
    }

    fn blkio(&mut self) -> Result<(), Refusal> {
        if self.limits.blkio_weight.is_some() && !self.support.blkio_weight {
            self.warn("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.");
            self.limits.blkio_weight = None;
        }
        let range = 10..=1000;
        if self.limits.blkio_weight.is_some_and(|weight| !range.contains(&weight)) {
            return Err(Refusal::BlkioWeight);
        }
        if !self.limits.blkio_weight_device.is_empty() && !self.support.blkio_weight_device {
            self.warn("Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.");
            self.limits.blkio_weight_device.clear();
        }
        let mut weights = self.limits.blkio_weight_device.iter();
        if !weights.all(|w| range.contains(&w.weight)) {
            return Err(Refusal::BlkioWeight);
        }
        if !self.support.blkio_rates {
            self.discard_rates();
        }
        Ok(())
    }

    fn discard_rates(&mut self) {
        let limits = &mut self.limits;
        let lists: [(&mut Vec<DeviceRate>, &str); 4] = [
            (
                &mut limits.blkio_read_bps,
                "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.",
            ),
            (
                &mut limits.blkio_write_bps,
                "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.",
            ),
            (
                &mut limits.blkio_read_iops,
                "Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.",
            ),
            (
                &mut limits.blkio_write_iops,
                "Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.",
            ),
        ];
        for (list, text) in lists {
            if !list.is_empty() {
                list.clear();
                self.warnings.push(text.to_owned());
            }
        }
    }

    fn hugetlb(&self) -> Result<(), Refusal> {
        for limit in &self.limits.hugetlb {
            if !self.support.hugetlb.contains(&limit.page_size) {
                let available = match self.support.hugetlb.join(", ") {
                    none if none.is_empty() => "none".to_owned(),
                    some => some,
                };
                return Err(Refusal::HugetlbSize { size: limit.page_size.chars().take(40).collect(), available });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
