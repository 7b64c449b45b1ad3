//! [`EngineConfig`]: where one engine lives and which descriptors it was born with.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hull_types::Digest;

/// Where one engine lives. Several may live side by side on one host.
pub struct EngineConfig {
    /// Durable state: `/var/lib/hull`.
    pub root: PathBuf,
    /// State of this boot: `/run/hull`.
    pub run: PathBuf,
    /// The listening address as users write it: `unix:///run/hull/engine.sock`.
    pub host: String,
    /// Whether prepared parts are kept (`HULL_POOLS=off` turns it off).
    pub pools: bool,
    /// The socket to the keeper that started this engine (`HULL_KEEPER_FD`).
    pub keeper: OwnedFd,
    /// The pid of that keeper, this process's parent.
    pub keeper_pid: Option<u32>,
    /// The listening socket, for a successor of the keeper.
    pub listener: Option<OwnedFd>,
    /// What the host's owner wants, or why that is not known.
    pub settings: Result<crate::Settings, hull_types::Fault>,
    /// The version to report.
    pub version: String,
    /// The commit it was built from, or empty.
    pub commit: String,
    /// When it was built, or empty.
    pub built: String,
}

impl EngineConfig {
    /// The name of this engine in names that are global in the kernel: `hull` for the default root,
    /// else `hull-` and eight hex digits that the root determines.
    pub fn instance(&self) -> String {
        instance_of(&self.root)
    }
}

/// As [`EngineConfig::instance`], of any root.
pub(crate) fn instance_of(root: &Path) -> String {
    if root == Path::new("/var/lib/hull") {
        return "hull".to_owned();
    }
    let digest = Digest::of(root.as_os_str().as_encoded_bytes()).to_string();
    let hex = digest.rsplit(':').next().unwrap_or_default();
    format!("hull-{}", &hex[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_follows_from_the_root() {
        assert_eq!(instance_of(Path::new("/var/lib/hull")), "hull");
        let other = instance_of(Path::new("/tmp/x"));
        assert!(other.starts_with("hull-") && other.len() == 13, "{other}");
        assert_ne!(other, instance_of(Path::new("/tmp/y")));
    }
}
