//! [`Error`]: why a wish about confinement is refused, in docker's words where clients match on them.

use hull_types::{Fault, Kind};

/// A wish that was refused. Nothing had any effect yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `--cap-add` or `--cap-drop` names no capability.
    #[error("invalid {list}: unknown capability: {name:?}")]
    UnknownCapability {
        /// `CapAdd` or `CapDrop`, as in the API.
        list: &'static str,
        /// The name, normalized.
        name: String,
        /// The capability whose name is closest.
        nearest: &'static str,
    },
    /// A capability that the kernel, or the engine's own bounding set, lacks.
    #[error(
        "invalid {list}: capability not supported by your kernel or not available in the current environment: {name:?}"
    )]
    CapabilityUnavailable {
        /// `CapAdd` or `CapDrop`, as in the API.
        list: &'static str,
        /// The name, normalized.
        name: &'static str,
    },
    /// A seccomp profile that is not JSON of the expected shape.
    #[error("decoding seccomp profile failed: {0}")]
    SeccompSyntax(String),
    /// A seccomp profile that contradicts itself or names unknown things.
    #[error("invalid seccomp profile: {0}")]
    SeccompProfile(String),
    /// A seccomp profile that needs a listener, which hull does not have.
    #[error("seccomp profile asks for {0}, which hull does not support")]
    SeccompListener(&'static str),
    /// The kernel takes at most 4096 instructions.
    #[error("seccomp profile compiles to {0} instructions, more than the kernel's 4096")]
    SeccompTooLarge(usize),
    /// A kernel version that is not `<major>.<minor>`.
    #[error("invalid kernel version: {0:?}")]
    KernelVersion(String),
    /// `--device` that cannot be understood.
    #[error("{0}")]
    Device(String),
    /// `--device` in CDI notation.
    #[error("CDI device injection is not supported: {0}")]
    CdiDevice(String),
    /// `--device-cgroup-rule` that cannot be understood.
    #[error("invalid device cgroup rule format: '{0}'")]
    DeviceRule(String),
    /// `--ulimit` that cannot be understood.
    #[error("{0}")]
    Ulimit(String),
    /// A sysctl that no namespace confines.
    #[error("sysctl '{0}' is not allowed")]
    SysctlForbidden(String),
    /// A sysctl of the ipc namespace, in a container that shares the host's.
    #[error("sysctl {0:?} is not allowed in the hosts ipc namespace")]
    SysctlHostIpc(String),
    /// A sysctl of the network namespace, in a container that shares the host's.
    #[error("sysctl {0:?} not allowed in host network namespace")]
    SysctlHostNetwork(String),
    /// A hostname or domain name set as a sysctl.
    #[error("sysctl {key:?} is not allowed as it conflicts with the `{flag}` option")]
    SysctlConflict {
        /// The sysctl.
        key: String,
        /// The option that sets the same.
        flag: &'static str,
    },
    /// A sysctl value that the kernel cannot be given.
    #[error("invalid value for sysctl {0:?}")]
    SysctlValue(String),
    /// `--security-opt` without a value.
    #[error("invalid --security-opt 1: {0:?}")]
    SecurityOptSyntax(String),
    /// `--security-opt` of an unknown kind or with an unknown value.
    #[error("invalid --security-opt 2: {0:?}")]
    SecurityOpt(String),
    /// `label=` with an unknown key.
    #[error(
        "bad label option {0:?}, valid options 'disable' or 'user, role, level, type, filetype' followed by ':' and a value"
    )]
    LabelOpt(String),
    /// A user specification with too many parts or control characters.
    #[error("invalid user specification {0:?}")]
    UserSpec(String),
    /// The user is neither in the image's `/etc/passwd` nor a number.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    UnknownUser(String),
    /// The group is neither in the image's `/etc/group` nor a number.
    #[error("unable to find group {0}: no matching entries in group file")]
    UnknownGroup(String),
    /// A uid or gid beyond what docker accepts.
    #[error("uids and gids must be in range 0-2147483647")]
    IdRange(String),
}

impl Error {
    /// The class of refusal.
    pub fn kind(&self) -> Kind {
        match self {
            Self::SeccompListener(_) | Self::CdiDevice(_) => Kind::Unsupported,
            Self::UnknownCapability { .. }
            | Self::CapabilityUnavailable { .. }
            | Self::SeccompSyntax(_)
            | Self::SeccompProfile(_)
            | Self::SeccompTooLarge(_)
            | Self::KernelVersion(_)
            | Self::Device(_)
            | Self::DeviceRule(_)
            | Self::Ulimit(_)
            | Self::SysctlForbidden(_)
            | Self::SysctlHostIpc(_)
            | Self::SysctlHostNetwork(_)
            | Self::SysctlConflict { .. }
            | Self::SysctlValue(_)
            | Self::SecurityOptSyntax(_)
            | Self::SecurityOpt(_)
            | Self::LabelOpt(_)
            | Self::UserSpec(_)
            | Self::UnknownUser(_)
            | Self::UnknownGroup(_)
            | Self::IdRange(_) => Kind::Invalid,
        }
    }

    /// What the user can do about it.
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownCapability { nearest, .. } => format!("did you mean `{nearest}`?"),
            Self::CapabilityUnavailable { .. } => {
                "the engine itself runs without this capability; start it with all of them".into()
            }
            Self::DeviceRule(_) => "write it as `c 1:3 rwm`: a, b or c, then major:minor or *, then any of rwm".into(),
            Self::Ulimit(_) => "write it as `--ulimit nofile=1024:2048`".into(),
            Self::SysctlForbidden(_) => {
                "only net.*, fs.mqueue.* and the ipc ones of kernel.* belong to a container".into()
            }
            Self::SysctlHostIpc(_) => "leave out `--ipc host`".into(),
            Self::SysctlHostNetwork(_) => "leave out `--network host`".into(),
            Self::SysctlConflict { flag, .. } => format!("use `{flag}`"),
            Self::SecurityOptSyntax(_) | Self::SecurityOpt(_) => {
                "known are no-new-privileges, seccomp=, apparmor=, label=, systempaths=unconfined and writable-cgroups"
                    .into()
            }
            Self::UnknownUser(_) => "use a numeric uid, or a name from the image's /etc/passwd".into(),
            Self::UnknownGroup(_) => "use a numeric gid, or a name from the image's /etc/group".into(),
            Self::IdRange(given) => format!("`{given}` was given"),
            _ => return None,
        })
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = Self::new(error.kind(), error.to_string());
        match error.hint() {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
