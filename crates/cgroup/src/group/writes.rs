//! Limits become writes to the group's files, with what v1 and v2 must know of the group for that.

use std::os::fd::AsFd;

use rustix::io::Errno;

use super::Cgroup;
use crate::error::{Error, Refusal};
use crate::limits::Limits;
use crate::v1::{self, Write};
use crate::{devices, v2};

impl Cgroup {
    pub(super) fn apply(&self, limits: &Limits, fresh: bool) -> Result<(), Error> {
        let writes = if self.parent.is_v2() { self.v2_writes(limits, fresh) } else { self.v1_writes(limits, fresh)? };
        let mut again = Vec::new();
        for write in writes {
            match self.write(&write) {
                Err(Error::Write { errno: Errno::INVAL, .. }) if write.again => again.push(write),
                result => result?,
            }
        }
        for write in again {
            self.write(&write)?;
        }
        match &limits.devices {
            Some(rules) if fresh && self.parent.is_v2() => self.attach_devices(rules),
            _ => Ok(()),
        }
    }

    fn write(&self, write: &Write) -> Result<(), Error> {
        let (dir, _) = self.tree(write.controller)?;
        dir.write(self.file(&write.file), &write.values).map_err(|error| match error {
            // KERNEL: v1 says EBUSY for a limit below the usage that it cannot reclaim.
            Error::Write { path, value, errno: Errno::BUSY } if write.controller == "memory" => {
                Error::MemoryInUse { limit: value, path }
            }
            Error::Open { errno: Errno::NOENT, .. } if dir.has(&self.id) => {
                Error::NoController { controller: write.controller }
            }
            other => other,
        })
    }

    pub(crate) fn v2_writes(&self, limits: &Limits, fresh: bool) -> Vec<Write> {
        let needs_support = limits.memory_swap.is_some()
            || limits.memory.is_some()
            || limits.blkio_weight.is_some()
            || !limits.blkio_weight_device.is_empty();
        let support = needs_support.then(|| self.host.support());
        let read = |file: &str| self.read("", file).ok().flatten();
        let now = v2::Now {
            fresh,
            swap: support.is_some_and(|s| s.swap_limit),
            weight_file: support.and_then(|s| s.weight_file).unwrap_or("io.weight"),
            read: &read,
        };
        v2::writes(limits, &now)
    }

    pub(crate) fn v1_writes(&self, limits: &Limits, fresh: bool) -> Result<Vec<Write>, Error> {
        let needs_support = limits.memory_swap.is_some()
            || limits.memory == Some(-1)
            || limits.blkio_weight.is_some()
            || !limits.blkio_weight_device.is_empty();
        let support = needs_support.then(|| self.host.support());
        let memsw = support.is_some_and(|s| s.swap_limit);
        let memsw_limit = if fresh { None } else { self.number("memory", "memory.memsw.limit_in_bytes")? };
        if let (Some(memory), None, Some(current)) = (limits.memory, limits.memory_swap, memsw_limit)
            && u64::try_from(memory).is_ok_and(|memory| memory > current)
        {
            return Err(Refusal::MemoryAboveSwap.into());
        }
        let now = v1::Now {
            fresh,
            memsw,
            memsw_limit,
            weight_prefix: support
                .and_then(|s| s.weight_file)
                .and_then(|file| file.strip_suffix(".weight"))
                .unwrap_or("blkio"),
        };
        let mut writes = v1::writes(limits, &now);
        if fresh && self.ahead.devices {
            writes.retain(|write| write.controller != "devices");
        }
        for (file, value) in [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)] {
            if let Some(value) = value {
                writes.push(Write::new("cpuset", file, value));
            }
        }
        Ok(writes)
    }

    fn attach_devices(&self, rules: &[devices::DeviceRule]) -> Result<(), Error> {
        let dir = self.parent.dir(0)?.child(&self.id)?;
        let failed = |source| Error::DeviceFilter { path: dir.path().to_owned(), source };
        let program = self.host.device_program(rules).map_err(failed)?;
        hull_sys::bpf::attach_device_program(dir.as_fd(), (*program).as_fd()).map_err(failed)
    }
}
