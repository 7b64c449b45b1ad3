//! What one process is to be: of a container's PID 1 and of an exec alike.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A command with its identity and its confinement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The command and its arguments; never empty, no NUL.
    pub argv: Vec<String>,
    /// `KEY=value`, later entries have already replaced earlier ones. HOME, HOSTNAME and TERM are
    /// added by the compiler when absent.
    pub env: Vec<String>,
    /// The working directory; made if it is missing.
    pub cwd: PathBuf,
    /// `user[:group]` by name or number; empty is root.
    pub user: String,
    /// `--group-add`, names or numbers.
    pub groups: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether its stdin is kept open for clients.
    pub stdin: bool,
    /// The capability set, as bits: bounding, and permitted and effective where it runs as root.
    pub capabilities: u64,
    /// Which system calls it may make.
    pub seccomp: SeccompWish,
    /// `no_new_privs`.
    pub no_new_privileges: bool,
    /// Labels of the security modules.
    pub lsm: Lsm,
    /// Resource limits of the process.
    pub rlimits: Vec<RlimitWish>,
    /// `--oom-score-adj`; `None` leaves the keeper's.
    pub oom_score_adj: Option<OomScore>,
    /// `umask`; `None` is 0022.
    pub umask: Option<u32>,
}

/// Which system calls a process may make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompWish {
    /// hull's default profile (docker's content).
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in docker's JSON form, verbatim.
    Profile(String),
}

/// Labels of the security modules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lsm {
    /// The AppArmor profile; `None` leaves the process unconfined.
    pub apparmor: Option<String>,
    /// The SELinux label of the process.
    pub selinux_process: Option<String>,
    /// The SELinux label of its mounts.
    pub selinux_mount: Option<String>,
}

/// One resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RlimitWish {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// The soft limit; `u64::MAX` is unlimited.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
    /// Asked for by the user: a refusal by the kernel fails the start. Else it is a warning.
    pub required: bool,
}

/// A score for the OOM killer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomScore {
    /// -1000 to 1000.
    pub value: i32,
    /// As [`RlimitWish::required`].
    pub required: bool,
}
