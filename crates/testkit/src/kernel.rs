//! Reading the kernel from outside: cgroup files and /proc of a process.

use std::fs;
use std::path::{Path, PathBuf};

/// How cgroups are mounted here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// One tree at this mount point.
    V2(PathBuf),
    /// A directory per controller beneath this one.
    V1(PathBuf),
}

/// What `/proc/self/mountinfo` says about cgroups.
pub fn cgroups() -> Cgroups {
    let base = PathBuf::from("/sys/fs/cgroup");
    if base.join("cgroup.controllers").is_file() { Cgroups::V2(base) } else { Cgroups::V1(base) }
}

/// Whether the controllers are on v2.
pub fn on_v2() -> bool {
    matches!(cgroups(), Cgroups::V2(_))
}

/// The content of a cgroup's file, found by walking from the cgroup of `pid`: `v1` is
/// (controller, file), `v2` the file's name.
#[track_caller]
pub fn cgroup_file(pid: u32, v1: (&str, &str), v2: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process lives");
    let path = match cgroups() {
        Cgroups::V2(base) => {
            let own = text.lines().find_map(|l| l.strip_prefix("0::")).expect("a v2 line");
            base.join(own.trim_start_matches('/')).join(v2)
        }
        Cgroups::V1(base) => {
            let own = text
                .lines()
                .filter_map(|l| l.split_once(':').and_then(|(_, rest)| rest.split_once(':')))
                .find(|(controllers, _)| controllers.split(',').any(|c| c == v1.0))
                .map(|(_, path)| path)
                .expect("the controller is mounted");
            base.join(v1.0).join(own.trim_start_matches('/')).join(v1.1)
        }
    };
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).trim().to_string()
}

/// A field of `/proc/<pid>/status`.
#[track_caller]
pub fn status_field(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    text.lines()
        .find_map(|l| l.strip_prefix(field).and_then(|l| l.strip_prefix(':')))
        .unwrap_or_else(|| panic!("/proc/{pid}/status has no {field}"))
        .trim()
        .to_string()
}

/// The direct children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|t| fs::read_to_string(Path::new(&t.path()).join("children")).ok())
        .flat_map(|text| text.split_whitespace().filter_map(|w| w.parse().ok()).collect::<Vec<u32>>())
        .collect()
}
