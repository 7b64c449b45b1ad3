//! The plan of one launch: what the keeper clones and every step its child then takes, in order.
//!
//! A plan is data. It is compiled without I/O, travels to the keeper with its file descriptors, and
//! is walked with system calls only. A [`Slot`] stands for a descriptor that travels with it.
//! Paths named `target` or `path` are resolved beneath the container's root (`RESOLVE_IN_ROOT`, no
//! magic links) and never followed out of it.
//!
//! # Order of steps
//!
//! The executor walks the steps as given; the compiler keeps this order:
//!
//! 1. as the keeper's twin, with all its rights and the host's `/proc`: `JoinCgroups`, `OomScoreAdj`,
//!    `LsmLabel`, `Rlimit` (raising needs `CAP_SYS_RESOURCE` of the host), `Keyring`
//! 2. `Unshare(time)`, `TimeOffsets`, then a `Rebirth` later on (time takes effect in a child)
//! 3. `Enter` of namespaces that the host's user namespace owns (network, ipc, uts)
//! 4. `Enter(user)`, `BecomeNamespaceRoot`, `Rebirth` with the namespaces that it shall own
//! 5. `Enter` of the rest, `Unshare(cgroup)`, `Hostname`, `Domainname`, `LoopbackUp`, `Sysctl`
//! 6. `AttachRoot`, then every mount, node, link, masked and read-only path, `Terminal`, `Remount`
//! 7. `PivotRoot`, `Stdio` or `Terminal`, `Session`
//! 8. `Umask`, `Workdir`, `Seccomp` (if not no-new-privileges), `Identity`, `Capabilities`,
//!    `NoNewPrivileges`, `Seccomp` (if no-new-privileges), `Init`
//!
//! A container without a user namespace of its own skips 4: its pid, mount, uts and ipc namespaces
//! come from [`Clone3::new`]. An exec skips 6 and `PivotRoot`: after `Enter(mount)` the root of that
//! namespace is the root beneath which paths are resolved.

use std::ffi::CString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Index into the file descriptors that travel with the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot(pub u16);

/// The kinds of namespace, as a set of `CLONE_NEW*` bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces(pub u32);

impl Namespaces {
    /// `CLONE_NEWTIME`.
    pub const TIME: Self = Self(0x0000_0080);
    /// `CLONE_NEWNS`.
    pub const MOUNT: Self = Self(0x0002_0000);
    /// `CLONE_NEWCGROUP`.
    pub const CGROUP: Self = Self(0x0200_0000);
    /// `CLONE_NEWUTS`.
    pub const UTS: Self = Self(0x0400_0000);
    /// `CLONE_NEWIPC`.
    pub const IPC: Self = Self(0x0800_0000);
    /// `CLONE_NEWUSER`.
    pub const USER: Self = Self(0x1000_0000);
    /// `CLONE_NEWPID`.
    pub const PID: Self = Self(0x2000_0000);
    /// `CLONE_NEWNET`.
    pub const NETWORK: Self = Self(0x4000_0000);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Everything needed to make one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The name under which the exit is recorded: a container id or an exec id. A file name:
    /// letters, digits, `.`, `_` and `-`, at most 255 bytes, not starting with a dot.
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
    /// Namespaces made new by `clone3` itself (pid, mount, uts, ipc, net, user). `cgroup` is made by
    /// [`Step::Unshare`] after the process has joined its cgroup, `time` by `Unshare` and `Rebirth`.
    pub new: Namespaces,
    /// The pid namespace to be born into (a pidfd of a process in it, or an nsfs fd), if another
    /// container's or the host's. Not together with `new` containing pid.
    pub join_pid: Option<Slot>,
    /// uid and gid maps that the keeper writes before the child goes on; with `new` containing user.
    /// The child then starts as 0:0 of that namespace, without supplementary groups.
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
    /// Path inside the container. Links in it are followed beneath the root, except in `/proc`,
    /// `/sys` and `/dev` themselves: if one of these three is a link in the image, it is refused.
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
    /// `MOUNT_ATTR_*` bits to clear. The atime bits are a field (`MOUNT_ATTR__ATIME`, 0x70): it is
    /// cleared of itself when one of them is set.
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
    JoinCgroups {
        /// Opened for writing.
        tasks: Vec<Slot>,
    },
    /// `setns` to a namespace fd, or to those `namespaces` of the process that a pidfd names.
    /// Entering a pid namespace takes effect at the next [`Step::Rebirth`] (or use
    /// [`Clone3::join_pid`]). After entering a mount namespace, its root is the root.
    Enter {
        /// An nsfs fd or a pidfd.
        fd: Slot,
        /// With an nsfs fd its one kind, with a pidfd any set.
        namespaces: Namespaces,
    },
    /// `unshare`. Of cgroup: after the process is in its cgroup. Of time: takes effect at the next
    /// [`Step::Rebirth`].
    Unshare {
        /// What is made new.
        namespaces: Namespaces,
    },
    /// Writes `/proc/self/timens_offsets`, in nanoseconds, after `Unshare(time)`, before `Rebirth`
    /// and before any user namespace is entered.
    TimeOffsets {
        /// Offset of `CLOCK_MONOTONIC`.
        monotonic: i64,
        /// Offset of `CLOCK_BOOTTIME`.
        boottime: i64,
    },
    /// Becomes uid 0, gid 0 of the user namespace just entered, with no supplementary groups.
    BecomeNamespaceRoot,
    /// The process clones itself with these new namespaces (possibly none), the copy goes on with
    /// the next step as a child of the keeper, and the former process ends. The keeper reports the
    /// copy's pid. Not allowed when the process is PID 1 of a namespace ([`Clone3::new`] with pid).
    Rebirth {
        /// What is made new, owned by the user namespace the process is in. Not time, not cgroup.
        new: Namespaces,
    },
    /// A new session keyring, so that the keeper's is not seen. Skipped where the kernel has none.
    Keyring,
    /// As `Keyring`, of this name: a process that is executed later joins the same one.
    NamedKeyring(String),
    /// `sethostname`.
    Hostname(String),
    /// `setdomainname`.
    Domainname(String),
    /// Sets `lo` up in the current network namespace.
    LoopbackUp,
    /// Makes the detached mount the coming root: attached in the child's own mount namespace, over
    /// the present root, which stays until [`Step::PivotRoot`].
    AttachRoot {
        /// The detached mount.
        mount: Slot,
        /// Applied before anything is attached beneath it.
        attrs: Attrs,
    },
    /// Attaches a detached mount beneath the root, after `attrs` are applied to it.
    Attach {
        /// The detached mount (a tree, if it was cloned recursively).
        mount: Slot,
        /// Where.
        target: Target,
        /// Applied while it is detached. KERNEL(5.12): without `mount_setattr`, as soon as it is attached.
        attrs: Attrs,
        /// What reaches differently far, applied next in this order.
        then: Vec<Attrs>,
    },
    /// `fsopen` + `fsmount` in the namespaces of the child, then attached.
    NewMount {
        /// `proc`, `sysfs`, `tmpfs`, `devpts`, `mqueue`, `cgroup2`, `cgroup`, …
        fstype: String,
        /// (`key`, `Some(value)`) or a flag. v1 controllers are flags; a named hierarchy is
        /// (`name`, `systemd`) with the flag `none`.
        options: Vec<(String, Option<String>)>,
        /// `set` goes to `fsmount`; `clear` and `recursive` have no meaning.
        attrs: Attrs,
        /// Where.
        target: Target,
    },
    /// A tmpfs whose first content is the directory it hides (tmpcopyup); else as `NewMount`.
    TmpfsCopyUp {
        /// Options of tmpfs.
        options: Vec<(String, Option<String>)>,
        /// As for `NewMount`.
        attrs: Attrs,
        /// Where.
        target: Target,
    },
    /// `mknodat` beneath the root, then mode and owner; a node already there is replaced only if it
    /// is an empty regular file, kept if it is the same device, else refused. Not in a user
    /// namespace: there, `Attach` a bind of the host's node with [`Node::File`].
    Device {
        /// Path inside the container; parents are made (0755).
        path: PathBuf,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`.
        kind: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link beneath the root; whatever is already there is left as it is.
    Symlink {
        /// Path inside the container; parents are made (0755).
        path: PathBuf,
        /// What it says.
        to: PathBuf,
    },
    /// Bind onto itself, read-only (with what is mounted beneath). A missing path is skipped.
    /// Before `PivotRoot`.
    ReadonlyPath(PathBuf),
    /// A directory: an empty read-only tmpfs over it. A file: the keeper's null device (char 1:3,
    /// verified), read-only. Missing: skipped. Before `PivotRoot`.
    MaskedPath(PathBuf),
    /// Changes attributes of the mount that `path` is the root of (`/` for the container's root).
    Remount {
        /// Path inside the container.
        path: PathBuf,
        /// What changes.
        attrs: Attrs,
    },
    /// Opens the container's own `/dev/pts/ptmx` (verified to be devpts), sends the master to the
    /// keeper, makes the peer (`TIOCGPTPEER`) the controlling terminal of a new session and stdio,
    /// and with `console` binds it to `/dev/console`. After devpts is mounted. Not with
    /// `Stdio` and `Session`.
    Terminal {
        /// Height; 0 leaves it.
        rows: u16,
        /// Width; 0 leaves it.
        columns: u16,
        /// Bind it to `/dev/console` (before `PivotRoot`).
        console: bool,
        /// Owner of the terminal: the container's uid, as seen in its user namespace.
        owner: u32,
    },
    /// fds 0, 1 and 2.
    Stdio {
        /// Becomes fd 0.
        stdin: Slot,
        /// Becomes fd 1.
        stdout: Slot,
        /// Becomes fd 2.
        stderr: Slot,
        /// Given ownership of pipes, so that `/dev/stdout` can be opened again by that user; a
        /// refusal by the kernel is ignored. `None` leaves owners.
        owner: Option<u32>,
    },
    /// fds 0, 1 and 2 stay what the launcher's are; pipes among them are given to this user, as by `Stdio`.
    OwnStreams {
        /// The container's uid, as seen in its user namespace.
        owner: u32,
    },
    /// `setsid` without a terminal.
    Session,
    /// `pivot_root`, then the old root is detached. Without `AttachRoot`: an error.
    PivotRoot,
    /// Writes through the keeper's private procfs, verified to be procfs, in the namespaces the
    /// child is in by now.
    Sysctl {
        /// In dots or slashes.
        key: String,
        /// Without newline.
        value: String,
    },
    /// `prlimit`. If not `required`, a refusal by the kernel is only reported as a warning.
    Rlimit {
        /// `RLIMIT_*`.
        resource: u32,
        /// Soft limit.
        soft: u64,
        /// Hard limit.
        hard: u64,
        /// Whether a refusal fails the launch.
        required: bool,
    },
    /// `/proc/self/oom_score_adj`; `required` as above.
    OomScoreAdj {
        /// -1000 to 1000.
        value: i32,
        /// Whether a refusal fails the launch.
        required: bool,
    },
    /// Writes the label for the coming execve: `attr/apparmor/exec` or `attr/exec`, on verified procfs.
    LsmLabel {
        /// AppArmor, else SELinux.
        apparmor: bool,
        /// Profile name or context.
        label: String,
    },
    /// Supplementary groups, gid and uid (`setgroups`, `setresgid`, `setresuid`), keeping the
    /// permitted capabilities for [`Step::Capabilities`], which must follow.
    Identity {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Supplementary groups, exactly these.
        groups: Vec<u32>,
    },
    /// The capability sets, as bit sets: first the bounding set is reduced, then the sets are
    /// written, then ambient ones raised. Anything not in `bounding` is dropped. Bits that the
    /// kernel or the keeper does not have are left out of the request silently.
    Capabilities {
        /// Bounding set.
        bounding: u64,
        /// Permitted set.
        permitted: u64,
        /// Effective set.
        effective: u64,
        /// Inheritable set.
        inheritable: u64,
        /// Ambient set.
        ambient: u64,
    },
    /// `umask`.
    Umask(u32),
    /// `chdir`, made if missing (0755, as the root of the container); verified to be beneath the root.
    Workdir {
        /// Absolute path inside the container.
        path: PathBuf,
        /// Whether a missing one is made.
        create: bool,
    },
    /// `prctl(PR_SET_NO_NEW_PRIVS)`.
    NoNewPrivileges,
    /// Loads the BPF program: an array of packed `struct sock_filter` (8 bytes each, native endian).
    Seccomp {
        /// The instructions.
        program: Vec<u64>,
        /// `SECCOMP_FILTER_FLAG_*`.
        flags: u32,
        /// Whether the filter lets a process ask for the time.
        clock: bool,
    },
    /// The present tree no longer tells the host of what is mounted in it (`MS_SLAVE | MS_REC`): for a child
    /// whose mount namespace is a copy of the host's, before its first mount.
    ForgetPeers,
    /// Tells the launcher where the walk is, and goes on when that says so.
    Sync(Point),
    /// Runs these programs, one after the other; the first that fails ends the launch. Before
    /// `PivotRoot` they are found in the host's tree, after it in the container's.
    Hooks(Vec<Hook>),
    /// Instead of `PivotRoot`, where the root is on an initramfs: `chroot`; the old root stays beneath.
    ChangeRoot,
    /// `sched_setattr`.
    Scheduler(Scheduler),
    /// `ioprio_set`: class and level.
    IoPriority {
        /// `IOPRIO_CLASS_*`.
        class: u16,
        /// 0 to 7.
        level: u16,
    },
    /// `personality`.
    Personality(u32),
    /// `sched_setaffinity`.
    Affinity(Vec<u32>),
    /// As `Seccomp`, with a listener, whose descriptor the launcher takes out of the child. No system call is made
    /// between the load and the answer: the filter may ask for every one.
    SeccompListener {
        /// The instructions.
        program: Vec<u64>,
        /// `SECCOMP_FILTER_FLAG_*`, with `NEW_LISTENER`.
        flags: u32,
    },
    /// Says that all is set up and waits for one byte in this FIFO, after the command was seen to be there.
    /// From here on a failure is said on the process's own stderr, and the FIFO loses every permission bit: whoever
    /// wrote the byte sees that when the last reader is gone. With `execve` the reader goes, too, and the bits stay.
    AwaitStart {
        /// The FIFO, open for reading and writing.
        fifo: Slot,
    },
    /// `--init`: the child stays PID 1 as a tiny init and runs [`Exec`] as its child: it forwards every
    /// signal, reaps, and exits as the child exits. The last step.
    Init,
}

/// Where a walk can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Point {
    /// All namespaces are made, and nothing is configured in them.
    Namespaces,
    /// All mounts are made; the host's tree can still be seen.
    Mounted,
}

/// A program that is run on the way (OCI runtime-spec, "POSIX-platform Hooks").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// `createContainer` and so on, for messages.
    pub kind: String,
    /// Absolute path.
    pub path: PathBuf,
    /// `argv`, with its first element; empty: the path alone.
    pub args: Vec<String>,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// Seconds until it is killed; `None` waits.
    pub timeout: Option<u32>,
    /// What it reads on stdin, up to and after the number of the process, which only the child knows.
    pub state: (String, String),
}

/// `struct sched_attr` (sched_setattr(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// For `SCHED_DEADLINE`, in nanoseconds.
    pub runtime: u64,
    /// As above.
    pub deadline: u64,
    /// As above.
    pub period: u64,
}

/// The command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Paths to try in order (`PATH` was expanded by the compiler). As execvp(3): `ENOENT` and
    /// `ENOTDIR` go on to the next, `EACCES` is remembered and goes on, anything else ends the search.
    pub candidates: Vec<CString>,
    /// `argv`.
    pub argv: Vec<CString>,
    /// `envp`, `KEY=value`.
    pub env: Vec<CString>,
}

/// The step index that a failure report bears when the step was [`LaunchPlan::exec`].
pub const STEP_EXEC: u32 = u32::MAX;

/// The step index that a failure report bears when the keeper's own part ([`Clone3`]) failed.
pub const STEP_CLONE: u32 = u32::MAX - 1;
