//! What the compiler is told about the host and about what was made for this launch.
//!
//! Every kernel object is a [`Slot`] into the descriptors that travel with the plan; every other
//! fact is a value. Whoever gathers facts has already refused what cannot be.

use std::path::PathBuf;
use std::sync::Arc;

use hull_confine::seccomp::Program;

use crate::plan::{IdMaps, Namespaces, Slot};

/// Whom the process runs as, resolved against the image's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// Supplementary groups inside.
    pub groups: Vec<u32>,
    /// The home directory, for `HOME`.
    pub home: String,
}

/// How the process enters its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupJoin {
    /// v2: the directory for `CLONE_INTO_CGROUP`.
    V2(Slot),
    /// v1: the `tasks` file of each hierarchy, opened for writing.
    V1(Vec<Slot>),
}

/// One cgroup file system under `/sys/fs/cgroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupMount {
    /// v2: mounted at `/sys/fs/cgroup` itself, anew: only in a cgroup namespace of the container's own.
    Unified,
    /// v2: a detached clone of the host's mount, for a container in the host's cgroup namespace.
    /// KERNEL: mounting cgroup2 anew from there sets the flags of every mount of it, the host's too
    /// (`nsdelegate` would be lost).
    Host(Slot),
    /// v1: a directory below a tmpfs.
    Named {
        /// The directory's name: `memory`, `cpu,cpuacct`, `systemd`, `unified`.
        directory: String,
        /// Mount options, `memory` or `name=systemd` with `none`; `None` is a v2 hierarchy of a hybrid host.
        options: Option<Vec<String>>,
    },
}

/// Namespaces that are joined, by pidfd or nsfs descriptor. `None`: see the spec's wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// For `Clone3::join_pid`.
    pub pid: Option<Slot>,
    /// UTS.
    pub uts: Option<Slot>,
    /// IPC.
    pub ipc: Option<Slot>,
    /// Network; also that of a pool, made ahead (`lo` is up).
    pub net: Option<Slot>,
    /// Cgroup.
    pub cgroup: Option<Slot>,
    /// Time.
    pub time: Option<Slot>,
    /// User: made ahead by the keeper for this container, or another container's.
    pub user: Option<Slot>,
}

/// The fact for one [`crate::spec::MountWish`], at the same index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountFact {
    /// A detached mount, its attributes and propagation already set but for what the plan does.
    Detached {
        /// The mount.
        mount: Slot,
        /// Its root is a directory.
        directory: bool,
    },
    /// Made by the child itself (tmpfs).
    Made {
        /// Permission bits of the directory that it covers, kept unless others are asked for.
        mode: Option<u32>,
    },
}

/// Where `/dev/mqueue` comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mqueue {
    /// The child mounts it.
    #[default]
    New,
    /// A detached mount, where the child's user namespace does not own the IPC namespace.
    Shared(Slot),
    /// There is none to share.
    None,
}

/// A device node of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceFact {
    /// Where it stands in the container.
    pub path: PathBuf,
    /// `S_IFCHR` or `S_IFBLK`.
    pub kind: u32,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// The host's node as a detached mount, where mknod does not work (user namespaces).
    pub bind: Option<Slot>,
}

/// A file that the engine writes for the container, bound from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcFile {
    /// `/etc/hosts`, `/etc/hostname` or `/etc/resolv.conf`.
    pub path: PathBuf,
    /// The detached mount of the file.
    pub mount: Slot,
}

/// The process's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Three descriptors.
    Pipes {
        /// fd 0.
        stdin: Slot,
        /// fd 1.
        stdout: Slot,
        /// fd 2.
        stderr: Slot,
    },
    /// Those of the launcher, as they are.
    Inherited,
    /// A terminal of this size.
    Terminal {
        /// Rows; 0 leaves the kernel's default.
        rows: u16,
        /// Columns.
        columns: u16,
    },
}

/// Everything the compiler is told for a container's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The key of the launch.
    pub key: String,
    /// Whom it runs as.
    pub who: Who,
    /// The detached root file system.
    pub root: Slot,
    /// The maps of the user namespace that is entered, new or another container's.
    pub id_maps: Option<IdMaps>,
    /// Namespaces to join.
    pub joined: Joined,
    /// How it enters its cgroup; `None` leaves it in the keeper's.
    pub cgroup: Option<CgroupJoin>,
    /// What stands under `/sys/fs/cgroup`.
    pub cgroup_mounts: Vec<CgroupMount>,
    /// By index of `Spec::mounts`.
    pub mounts: Vec<MountFact>,
    /// The shared `/dev/shm`, with [`crate::spec::Shm::Shared`].
    pub shm: Option<Slot>,
    /// `/dev/mqueue`.
    pub mqueue: Mqueue,
    /// The host's `/sys` as a detached tree, where the kernel does not let the child mount its own.
    pub sysfs: Option<Slot>,
    /// The host's `/proc` likewise.
    pub procfs: Option<Slot>,
    /// Default and asked-for devices.
    pub devices: Vec<DeviceFact>,
    /// Files bound over the image's.
    pub etc: Vec<EtcFile>,
    /// The streams.
    pub streams: Streams,
    /// The compiled seccomp filter; `None` loads none.
    pub seccomp: Option<Arc<Program>>,
    /// AppArmor is the active major module.
    pub apparmor: bool,
    /// SELinux is active.
    pub selinux: bool,
}

/// Everything the compiler is told for an exec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecFacts {
    /// The key of the launch.
    pub key: String,
    /// Whom it runs as.
    pub who: Who,
    /// The pidfd of the container's PID 1.
    pub target: Slot,
    /// The namespaces in which the container differs from the host, all but pid.
    pub namespaces: Namespaces,
    /// The pid namespace is not the host's.
    pub own_pid: bool,
    /// How it enters the container's cgroup.
    pub cgroup: Option<CgroupJoin>,
    /// The streams.
    pub streams: Streams,
    /// The compiled seccomp filter.
    pub seccomp: Option<Arc<Program>>,
    /// AppArmor is the active major module.
    pub apparmor: bool,
    /// SELinux is active.
    pub selinux: bool,
}
