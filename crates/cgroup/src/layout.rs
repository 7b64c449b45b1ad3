//! Where the cgroup file systems are: mount table and the engine's own cgroup → [`Layout`].
//!
//! Pure: bytes of /proc files in, a value out. Version 2 is used when no version 1 hierarchy with a
//! controller is mounted; else version 1, with a controller-less v2 mount beside it (hybrid).

use std::path::{Path, PathBuf};

/// One version 1 hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers (`cpu`, `cpuacct`), or its name as `name=systemd`.
    pub controllers: Vec<String>,
    /// Where the host has mounted it.
    pub mountpoint: PathBuf,
}

impl Hierarchy {
    /// Whether it carries the controller.
    pub fn carries(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The v2 mount point.
    V2(PathBuf),
    /// The v1 hierarchies, in the order of the mount table.
    V1(Vec<Hierarchy>),
}

/// Reads `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
pub(crate) fn parse(mountinfo: &str) -> Option<Layout> {
    let mut unified: Option<PathBuf> = None;
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mountpoint, fstype, options)) = fields(line) else {
            continue;
        };
        match fstype {
            "cgroup2" => unified = unified.or(Some(mountpoint)),
            "cgroup" => {
                let controllers: Vec<String> = options
                    .split(',')
                    .filter(|o| o.starts_with("name=") || CONTROLLERS.contains(o))
                    .map(String::from)
                    .collect();
                let known = hierarchies.iter().any(|h| h.controllers == controllers);
                if !controllers.is_empty() && !known {
                    hierarchies.push(Hierarchy { controllers, mountpoint });
                }
            }
            _ => {}
        }
    }
    let v1 = hierarchies.iter().any(|h| h.controllers.iter().any(|c| !c.starts_with("name=")));
    match unified {
        _ if v1 => Some(Layout::V1(hierarchies)),
        Some(path) => Some(Layout::V2(path)),
        None => None,
    }
}

/// Every controller of version 1; other mount options are not names of one.
const CONTROLLERS: [&str; 14] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
];

/// Mount point, file system type and super options of a line.
fn fields(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mountpoint = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let fstype = after.next()?;
    Some((unescape(mountpoint), fstype, after.nth(1)?))
}

/// Undoes the octal escapes of the mount table.
fn unescape(text: &str) -> PathBuf {
    let text = text.replace("\\040", " ").replace("\\011", "\t");
    PathBuf::from(text.replace("\\012", "\n").replace("\\134", "\\"))
}

/// The v2 path in `/proc/self/cgroup`, relative to the mount.
pub(crate) fn own_v2_path(cgroup: &str) -> Option<&Path> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    (!path.starts_with("..")).then(|| Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v2_host() {
        let text = "24 1 0:20 / /sys rw - sysfs sysfs rw\n\
            30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(parse(text), Some(Layout::V2("/sys/fs/cgroup".into())));
    }

    #[test]
    fn a_hybrid_host_with_comounted_controllers() {
        let text = "\
            31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            33 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
            34 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            35 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let Some(Layout::V1(list)) = parse(text) else {
            panic!("not v1");
        };
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].controllers, ["cpu", "cpuacct"]);
        assert_eq!(list[0].mountpoint, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert!(list[0].carries("cpuacct"));
        assert_eq!(list[1].controllers, ["name=systemd"]);
    }

    #[test]
    fn v2_with_only_the_named_v1_hierarchy_is_v2() {
        let text = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n\
            31 24 0:27 / /run/named rw - cgroup cgroup rw,none,name=systemd\n";
        assert_eq!(parse(text), Some(Layout::V2("/sys/fs/cgroup".into())));
        assert_eq!(parse("1 0 8:1 / / rw - ext4 /dev/sda rw\n"), None);
    }

    #[test]
    fn the_own_path_is_relative_and_inside() {
        let text = "9:name=systemd:/x\n0::/system.slice/hull.service\n";
        assert_eq!(own_v2_path(text), Some(Path::new("system.slice/hull.service")));
        assert_eq!(own_v2_path("0::/"), Some(Path::new("")));
        assert_eq!(own_v2_path("0::/../outside"), None);
        assert_eq!(own_v2_path("3:cpu:/"), None);
    }
}
