//! The plan of one launch: what the keeper clones and every step its child then takes, in order.
//!
//! A plan is data. It is compiled without I/O, travels to the keeper with its file descriptors, and
//! is walked with system calls only. A [`Slot`] stands for a descriptor that travels with it.
//! Paths named `target` are resolved beneath the container's root (`RESOLVE_IN_ROOT`, no magic
//! links) and never followed out of it.

use std::ffi::CString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Index into the file descriptors that travel with the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot(pub u16);

/// The kinds of namespace, as a set of `CLONE_NEW*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces(pub u32);

/// Everything needed to make one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The name under which the exit is recorded: a container id or an exec id.
    pub key: String,
    /// What the keeper does around `clone3`.
    pub clone: Clone3,
    /// What the child does, in order.
    pub steps: Vec<Step>,
    /// The last thing the child does.
    pub exec: Exec,
}

/// The keeper's part: flags and descriptors of `clone3`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clone3 {
    /// Namespaces made new by `clone3` itself (pid, mount, uts, ipc, net, user). `cgroup` and `time`
    /// are made by [`Step::Unshare`], after the process has joined its cgroup.
    pub new: Namespaces,
    /// The pid namespace to be born into (nsfs fd), if another container's or the host's.
    pub join_pid: Option<Slot>,
    /// uid and gid maps that the keeper writes before the child goes on; with `new` containing user.
    pub id_maps: Option<IdMaps>,
    /// v2: directory fd for `CLONE_INTO_CGROUP`.
    pub cgroup: Option<Slot>,
}

/// The two maps of a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdMaps {
    /// Lines of `/proc/PID/uid_map`.
    pub uids: Vec<IdRange>,
    /// Lines of `/proc/PID/gid_map`.
    pub gids: Vec<IdRange>,
}

/// One line of a map: `inside outside length` (user_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub length: u32,
}

/// Where a mount lands and how the mount point comes to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Path inside the container.
    pub path: PathBuf,
    /// What to make when nothing is there. `None`: a missing target is an error.
    pub create: Option<Node>,
}

/// The kind of a mount point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// A directory (0755), with its parents.
    Dir,
    /// An empty regular file (0644), with its parents.
    File,
}

/// Mount attributes: bits of `MOUNT_ATTR_*` to set and clear, and how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attrs {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or `MS_UNBINDABLE`; 0 leaves it.
    pub propagation: u64,
    /// Applies to the whole tree (`AT_RECURSIVE`).
    pub recursive: bool,
}

/// One step of the child. Its operands are printed when it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// cgroup v1: write `0` to each of these `tasks` files.
    JoinCgroups { tasks: Vec<Slot> },
    /// `setns` to a namespace fd or a pidfd, with the `CLONE_NEW*` bits.
    Enter { fd: Slot, namespaces: Namespaces },
    /// `unshare` of cgroup or time (time takes effect at execve; offsets as given).
    Unshare { namespaces: Namespaces },
    /// Writes `/proc/self/timens_offsets`, in nanoseconds.
    TimeOffsets { monotonic: i64, boottime: i64 },
    /// Becomes uid 0, gid 0 of the user namespace just entered, with no supplementary groups.
    BecomeNamespaceRoot,
    /// `sethostname`.
    Hostname(String),
    /// `setdomainname`.
    Domainname(String),
    /// Sets `lo` up in the current network namespace.
    LoopbackUp,
    /// Makes the detached mount the coming root: attached in the child's own mount namespace.
    AttachRoot { mount: Slot },
    /// The host's own root stays root (exec and `hull/host` never use this; kept for oci no-rootfs).
    Attach {
        mount: Slot,
        target: Target,
        attrs: Attrs,
    },
    /// `fsopen` + `fsmount` in the namespaces of the child, then attached.
    /// Options: (`key`, `Some(value)`) or a flag.
    NewMount {
        fstype: String,
        options: Vec<(String, Option<String>)>,
        attrs: Attrs,
        target: Target,
    },
    /// A tmpfs whose first content is the directory it hides (docker's tmpcopyup); else as NewMount.
    TmpfsCopyUp {
        options: Vec<(String, Option<String>)>,
        attrs: Attrs,
        target: Target,
    },
    /// `mknodat` beneath the root, then mode and owner. `kind` is `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
    Device {
        path: PathBuf,
        kind: u32,
        major: u32,
        minor: u32,
        mode: u32,
        uid: u32,
        gid: u32,
    },
    /// A symbolic link beneath the root; an existing one is left as it is.
    Symlink { path: PathBuf, to: PathBuf },
    /// Bind onto itself, read-only. A missing path is skipped.
    ReadonlyPath(PathBuf),
    /// A directory: an empty read-only tmpfs over it. A file: a verified char 1:3. Missing: skipped.
    MaskedPath(PathBuf),
    /// Changes attributes of the mount at `path` (`/` for the root).
    Remount { path: PathBuf, attrs: Attrs },
    /// Opens the container's own `/dev/pts/ptmx`, sends the master to the keeper, makes the peer the
    /// controlling terminal and stdio, and binds it to `/dev/console`.
    Terminal {
        rows: u16,
        columns: u16,
        console: bool,
    },
    /// fds 0, 1 and 2.
    Stdio {
        stdin: Slot,
        stdout: Slot,
        stderr: Slot,
    },
    /// `setsid` without a terminal.
    Session,
    /// `pivot_root`, then the old root is detached.
    PivotRoot,
    /// Writes through a private procfs, verified to be procfs. Key in dots or slashes.
    Sysctl { key: String, value: String },
    /// `prlimit`. If not `required`, a refusal by the kernel is only reported as a warning.
    Rlimit {
        resource: u32,
        soft: u64,
        hard: u64,
        required: bool,
    },
    /// `/proc/self/oom_score_adj`; `required` as above.
    OomScoreAdj { value: i32, required: bool },
    /// Writes the label for the coming execve: `attr/apparmor/exec` or `attr/exec`, on verified procfs.
    LsmLabel { apparmor: bool, label: String },
    /// Supplementary groups, gid and uid (`setgroups`, `setresgid`, `setresuid`), keeping capabilities.
    Identity {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// The capability sets, as bit sets; applied bounding set first (before Identity does its part the
    /// executor keeps caps). Anything not in `bounding` is dropped.
    Capabilities {
        bounding: u64,
        permitted: u64,
        effective: u64,
        inheritable: u64,
        ambient: u64,
    },
    /// `umask`.
    Umask(u32),
    /// `chdir`, made if missing (0755, as the root of the container); verified to be beneath the root.
    Workdir { path: PathBuf, create: bool },
    /// `prctl(PR_SET_NO_NEW_PRIVS)`.
    NoNewPrivileges,
    /// Loads the BPF program: an array of packed `struct sock_filter` (8 bytes each, native endian).
    Seccomp { program: Vec<u64>, flags: u32 },
    /// `--init`: the child stays PID 1 as a tiny init and runs [`Exec`] as its child: it forwards every
    /// signal, reaps, and exits as the child exits.
    Init,
}

/// The command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Paths to try in order (`PATH` was expanded by the compiler).
    pub candidates: Vec<CString>,
    /// `argv`.
    pub argv: Vec<CString>,
    /// `envp`, `KEY=value`.
    pub env: Vec<CString>,
}
