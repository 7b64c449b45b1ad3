//! Mounts as they are asked for (`Mount`) and as they are reported (`MountPoint`).

use std::collections::BTreeMap;

use crate::macros::wire;

wire! {
    /// A mount as `--mount` asks for it.
    struct Mount {
        #[serde(rename = "Type")] omit kind: String,
        omit source: String,
        omit target: String,
        omit read_only: bool,
        omit consistency: String,
        omit bind_options: Option<BindOptions>,
        omit volume_options: Option<VolumeOptions>,
        omit image_options: Option<ImageOptions>,
        omit tmpfs_options: Option<TmpfsOptions>,
    }

    /// Options of a bind mount.
    struct BindOptions {
        omit propagation: String,
        omit non_recursive: bool,
        omit create_mountpoint: bool,
        omit read_only_non_recursive: bool,
        omit read_only_force_recursive: bool,
    }

    /// Options of a volume mount.
    struct VolumeOptions {
        omit no_copy: bool,
        omit labels: BTreeMap<String, String>,
        omit subpath: String,
        omit driver_config: Option<DriverConfig>,
    }

    /// A volume's driver and its options.
    struct DriverConfig {
        omit name: String,
        omit options: BTreeMap<String, String>,
    }

    /// Options of an image mount.
    struct ImageOptions {
        omit subpath: String,
    }

    /// Options of a tmpfs mount; the mode is a decimal number.
    struct TmpfsOptions {
        omit size_bytes: i64,
        omit mode: u32,
        omit options: Vec<Vec<String>>,
    }

    /// A mount of an existing container.
    struct MountPoint {
        #[serde(rename = "Type")] omit kind: String,
        omit name: String,
        source: String,
        destination: String,
        omit driver: String,
        mode: String,
        #[serde(rename = "RW")] rw: bool,
        propagation: String,
    }
}
