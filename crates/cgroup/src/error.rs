//! What can go wrong with cgroups. [`Refusal`] is the user's mistake and costs nothing; every other
//! [`Error`] names the file and the value that the kernel did not take.

use std::path::PathBuf;

use hull_sys::errno_text;
use hull_types::{Fault, Kind};
use rustix::io::Errno;

/// A failed operation on cgroups.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A limit that can be refused before any effect.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No usable cgroup file system.
    #[error("no cgroup file system is mounted below /sys/fs/cgroup")]
    NotMounted,
    /// A file of /proc or /sys that describes the host.
    #[error("cannot read {path}")]
    ReadHost {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A directory or file that should exist.
    #[error("cannot open {path}: {}", errno_text(*errno))]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        errno: Errno,
    },
    /// A read from a cgroup file.
    #[error("cannot read {path}: {}", errno_text(*errno))]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        errno: Errno,
    },
    /// A write to a cgroup file.
    #[error("cannot write `{value}` to {path}: {}", errno_text(*errno))]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// The cause.
        errno: Errno,
    },
    /// A cgroup that cannot be made.
    #[error("cannot make the cgroup {path}: {}", errno_text(*errno))]
    Make {
        /// The directory.
        path: PathBuf,
        /// The cause.
        errno: Errno,
    },
    /// A cgroup that cannot be removed.
    #[error("cannot remove the cgroup {path}: {}", errno_text(*errno))]
    Remove {
        /// The directory.
        path: PathBuf,
        /// The cause.
        errno: Errno,
    },
    /// The cgroup does not exist.
    #[error("no cgroup {path}")]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// A controller that this host does not offer.
    #[error("the cgroup controller `{controller}` is not available on this host")]
    NoController {
        /// Its name.
        controller: &'static str,
    },
    /// A parent in which the kernel takes no containers.
    #[error("{path} is a threaded cgroup; a container needs a domain cgroup")]
    Threaded {
        /// The directory.
        path: PathBuf,
    },
    /// Controllers cannot be handed down because the directory has processes of its own.
    #[error("cannot hand controllers down from {path}: it has processes of its own")]
    InternalProcesses {
        /// The directory.
        path: PathBuf,
    },
    /// The freezer did not reach the state in time.
    #[error("{path} did not become {wanted} in time")]
    Freeze {
        /// The directory.
        path: PathBuf,
        /// `frozen` or `thawed`.
        wanted: &'static str,
    },
    /// A memory limit below what is in use.
    #[error("unable to set memory limit to {limit}: more than that is in use ({path})")]
    MemoryInUse {
        /// The limit asked for.
        limit: String,
        /// The file.
        path: PathBuf,
    },
    /// Loading or attaching the device filter.
    #[error("cannot attach the device filter to {path}")]
    DeviceFilter {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: hull_sys::Error,
    },
    /// An event descriptor.
    #[error("cannot watch {path}: {}", errno_text(*errno))]
    Watch {
        /// The file.
        path: PathBuf,
        /// The cause.
        errno: Errno,
    },
}

/// A limit that is refused before any effect; docker's wording where clients may match on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // The message is the documentation of each variant.
pub enum Refusal {
    #[error("Minimum memory limit allowed is 6MB")]
    MemoryTooSmall,
    #[error("Minimum memoryswap limit should be larger than memory limit, see usage")]
    SwapBelowMemory,
    #[error("You should always set the Memory limit when using Memoryswap limit, see usage")]
    SwapWithoutMemory,
    #[error("Invalid value: {0}, valid memory swappiness range is 0-100")]
    Swappiness(i64),
    #[error("Minimum memory reservation allowed is 6MB")]
    ReservationTooSmall,
    #[error("Minimum memory limit can not be less than memory reservation limit, see usage")]
    MemoryBelowReservation,
    #[error("Invalid value: {value}, {name} may be -1 (unlimited) or positive")]
    Negative { name: &'static str, value: i64 },
    #[error("Conflicting options: Nano CPUs and CPU Period cannot both be set")]
    NanoCpusAndPeriod,
    #[error("Conflicting options: Nano CPUs and CPU Quota cannot both be set")]
    NanoCpusAndQuota,
    #[error("NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted")]
    NanoCpusUnsupported,
    #[error("range of CPUs is from 0.01 to {0}.00, as there are only {0} CPUs available")]
    CpusOutOfRange(usize),
    #[error("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")]
    CpuPeriod,
    #[error("CPU cfs quota can not be less than 1ms (i.e. 1000)")]
    CpuQuota,
    #[error("your kernel does not support CPU real-time scheduler")]
    CpuRealtimeUnsupported,
    #[error("cpu real-time runtime cannot be higher than cpu real-time period")]
    CpuRealtimeRuntime,
    #[error("Invalid value {value} for cpuset {which}: invalid format: {value}")]
    CpusetSyntax { which: &'static str, value: String },
    #[error("Requested CPUs are not available - requested {requested}, available: {available}")]
    CpusUnavailable { requested: String, available: String },
    #[error("Requested memory nodes are not available - requested {requested}, available: {available}")]
    MemsUnavailable { requested: String, available: String },
    #[error("Range of blkio weight is from 10 to 1000")]
    BlkioWeight,
    #[error("this kernel has no huge pages of size {size}; available: {available}")]
    HugetlbSize { size: String, available: String },
    #[error("device rule `{rule}` takes away what a wider rule before it gave; cgroup v1 cannot express that")]
    DeviceRule { rule: String },
    #[error("invalid cgroup parent `{0}`: it must be a path without `.` and `..`")]
    Parent(String),
    #[error("invalid cgroup name `{0}`")]
    Name(String),
    #[error("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")]
    MemoryAboveSwap,
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused(_) => Kind::Invalid,
            Self::MemoryInUse { .. } => Kind::Conflict,
            Self::NoController { .. } => Kind::Unsupported,
            Self::Missing { .. } => Kind::NotFound,
            // A value that only the kernel can judge, such as a share of what the parent has to give.
            Self::Write { errno: Errno::INVAL | Errno::RANGE, .. } => Kind::Invalid,
            Self::NotMounted
            | Self::ReadHost { .. }
            | Self::Open { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Make { .. }
            | Self::Remove { .. }
            | Self::Threaded { .. }
            | Self::InternalProcesses { .. }
            | Self::Freeze { .. }
            | Self::DeviceFilter { .. }
            | Self::Watch { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotMounted => Some("mount cgroup2 at /sys/fs/cgroup"),
            Self::Threaded { .. } => Some("choose another parent with --cgroup-parent"),
            Self::InternalProcesses { .. } => {
                Some("start the engine in a cgroup of its own, under systemd with Delegate=yes")
            }
            Self::Make { errno: Errno::ROFS, .. } => Some("the cgroup file system is mounted read-only"),
            _ => None,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let mut fault = Fault::new(error.kind(), error.to_string());
        if let Some(source) = std::error::Error::source(&error) {
            fault = fault.cause(source);
        }
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Error::from(refusal).into()
    }
}
