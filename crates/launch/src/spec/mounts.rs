//! What the user asks to be mounted.

use std::path::PathBuf;

use hull_types::Digest;
use serde::{Deserialize, Serialize};

use crate::plan::IdMaps;

/// One mount of the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountWish {
    /// Absolute path inside the container, without `.` and `..`, never `/`.
    pub target: PathBuf,
    /// What is mounted there.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// A missing source becomes a directory (`-v`); else it is refused (`--mount`).
        create: bool,
        /// Mounts below the source come along.
        recursive: bool,
        /// Whether it may be written.
        readonly: Readonly,
        /// How mount events travel.
        propagation: Propagation,
        /// Whose ids its files bear.
        idmap: Idmap,
    },
    /// A volume.
    Volume {
        /// Its name (64 hex digits if it has none of its own).
        name: String,
        /// It was made for this container and goes with it.
        anonymous: bool,
        /// A directory of the volume instead of its top.
        subpath: Option<PathBuf>,
        /// Whether it may be written.
        readonly: Readonly,
        /// An empty volume does not get what the image has at the target.
        nocopy: bool,
        /// Whose ids its files bear.
        idmap: Idmap,
    },
    /// An image's files, read-only.
    Image {
        /// As it was named.
        reference: String,
        /// Its id.
        id: String,
        /// Its layers' chain ids, bottom first.
        layers: Vec<Digest>,
        /// What lies there instead of the whole.
        subpath: Option<PathBuf>,
    },
    /// A file system in memory.
    Tmpfs {
        /// Options of the file system: `size=…`, `mode=…`, `nr_inodes=…`, `uid=…`, `gid=…`, `huge=…`.
        options: Vec<(String, Option<String>)>,
        /// `MOUNT_ATTR_*` bits.
        attrs: u64,
        /// It starts with what the image has at the target.
        copy_up: bool,
    },
}

/// Whether a mount may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readonly {
    /// It may.
    #[default]
    No,
    /// The mount itself may not; those below it may.
    Top,
    /// Neither it nor any mount below it.
    Tree,
}

/// How mount events travel between the host's tree and the container's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Not at all, in the whole tree.
    #[default]
    RPrivate,
    /// Both ways.
    Shared,
    /// Both ways, in the whole tree.
    RShared,
    /// Into the container only.
    Slave,
    /// Into the container only, in the whole tree.
    RSlave,
}

/// Whose ids the files of a mount bear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Idmap {
    /// The host's, as they are. In a user namespace foreign ids show as nobody.
    #[default]
    None,
    /// Shifted by the container's own maps: root of the container owns what root of the host owns.
    Container,
    /// Shifted by these maps: `inside` is the id on disk, `outside` the one it is seen as.
    Maps(IdMaps),
}

/// `/dev/shm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shm {
    /// A tmpfs of its own, of this many bytes.
    Own {
        /// Size in bytes.
        size: u64,
    },
    /// None (`--ipc none`).
    None,
    /// That of the IPC namespace's owner: the host or another container.
    Shared,
}
