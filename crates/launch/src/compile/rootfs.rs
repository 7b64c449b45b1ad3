//! What every container finds mounted: `/proc`, `/dev` and its nodes, `/sys`, the cgroup file
//! systems, shared memory and queues; which paths are hidden; and the sealing of the root.
//!
//! A mount of the user at the same path replaces the default one; with one at `/dev`, nothing is
//! made below it (as docker).

use std::path::{Path, PathBuf};

use hull_confine::devices::LINKS;

use super::bits::{NODEV, NOEXEC, NOSUID, RDONLY, STRICTATIME};
use super::facts::{CgroupMount, DeviceFact, Facts, Mqueue};
use super::mounts::{covers, covers_dev};
use crate::plan::{Attrs, IdMaps, Node, Slot, Step, Target};
use crate::spec::{Shm, Spec};

const STRICT: u64 = NOSUID | NODEV | NOEXEC;
const CGROUP: &str = "/sys/fs/cgroup";

type Options = Vec<(String, Option<String>)>;

/// All default mounts, parents first.
pub(super) fn base_mounts(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    proc(spec, facts, steps);
    if !covers_dev(spec) {
        dev(spec, facts, steps);
    }
    sys(spec, facts, steps);
    if !covers(spec, CGROUP) && !covers(spec, "/sys") {
        cgroup(spec, facts, steps);
    }
    // ORDER: after /dev, where nearly all of them stand, before the user's mounts, which may cover them.
    for device in &facts.devices {
        if !covers_dev(spec) || !device.path.starts_with("/dev") {
            steps.push(node(device));
        }
    }
}

fn proc(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    if covers(spec, "/proc") {
        return;
    }
    steps.push(match facts.procfs {
        Some(mount) => attach(mount, "/proc", 0, true),
        None => new_mount("proc", vec![], STRICT, "/proc"),
    });
}

fn dev(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    let label = |options| labelled(spec, facts, options);
    let options = label(options(&[("mode", "755"), ("size", "65536k")]));
    steps.push(new_mount("tmpfs", options, NOSUID | STRICTATIME, "/dev"));
    for (path, to) in LINKS.into_iter().chain([("/dev/core", "/proc/kcore")]) {
        steps.push(Step::Symlink { path: path.into(), to: to.into() });
    }
    if !covers(spec, "/dev/pts") {
        steps.push(new_mount("devpts", label(devpts(facts)), NOSUID | NOEXEC, "/dev/pts"));
    }
    if !covers(spec, "/dev/mqueue") {
        match facts.mqueue {
            Mqueue::New => steps.push(new_mount("mqueue", label(vec![]), STRICT, "/dev/mqueue")),
            Mqueue::Shared(mount) => steps.push(attach(mount, "/dev/mqueue", STRICT, false)),
            Mqueue::None => {}
        }
    }
    if !covers(spec, "/dev/shm") {
        shm(spec, facts, steps);
    }
}

fn devpts(facts: &Facts) -> Options {
    let mut options = options(&[("ptmxmode", "0666"), ("mode", "0620")]);
    options.insert(0, ("newinstance".to_owned(), None));
    if facts.id_maps.as_ref().is_none_or(|maps| maps_gid(maps, 5)) {
        options.push(("gid".to_owned(), Some("5".to_owned())));
    }
    options
}

fn maps_gid(maps: &IdMaps, gid: u32) -> bool {
    maps.gids.iter().any(|range| gid >= range.inside && gid - range.inside < range.length)
}

fn shm(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    match (spec.shm, facts.shm) {
        (Shm::Own { size }, _) => {
            let size = size.to_string();
            let options = labelled(spec, facts, options(&[("mode", "1777"), ("size", &size)]));
            steps.push(new_mount("tmpfs", options, STRICT, "/dev/shm"));
        }
        (Shm::Shared, Some(mount)) => steps.push(attach(mount, "/dev/shm", STRICT, false)),
        (Shm::Shared, None) | (Shm::None, _) => {}
    }
}

fn sys(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    if covers(spec, "/sys") {
        return;
    }
    steps.push(match facts.sysfs {
        // The host's view of devices and network: never writable.
        Some(mount) => attach(mount, "/sys", STRICT | RDONLY, true),
        None => new_mount("sysfs", vec![], STRICT | writable(spec), "/sys"),
    });
}

fn cgroup(spec: &Spec, facts: &Facts, steps: &mut Vec<Step>) {
    let attrs = if spec.writable_cgroups { STRICT } else { STRICT | writable(spec) };
    let mut tmpfs = false;
    for mount in &facts.cgroup_mounts {
        match mount {
            CgroupMount::Unified => steps.push(new_mount("cgroup2", vec![], attrs, CGROUP)),
            CgroupMount::Host(mount) => steps.push(attach(*mount, CGROUP, attrs, false)),
            CgroupMount::Named { directory, options } => {
                if !tmpfs {
                    let options = super::rootfs::options(&[("mode", "755"), ("size", "64k")]);
                    steps.push(new_mount("tmpfs", options, STRICT, CGROUP));
                    tmpfs = true;
                }
                named(directory, options.as_deref(), attrs, steps);
            }
        }
    }
    if tmpfs {
        // ORDER: after the last mount point in it is made.
        steps.push(Step::Remount { path: CGROUP.into(), attrs: set(RDONLY) });
    }
}

/// One hierarchy of v1, and a link for each controller that shares it (`cpu` → `cpu,cpuacct`).
fn named(directory: &str, options: Option<&[String]>, attrs: u64, steps: &mut Vec<Step>) {
    let target = format!("{CGROUP}/{directory}");
    let Some(options) = options else {
        steps.push(new_mount("cgroup2", vec![], attrs, &target));
        return;
    };
    let flags = options.iter().map(|option| match option.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (option.clone(), None),
    });
    let mut all: Options = Vec::new();
    if options.iter().any(|option| option.starts_with("name=")) && options.len() == 1 {
        all.push(("none".to_owned(), None));
    }
    all.extend(flags);
    steps.push(new_mount("cgroup", all, attrs, &target));
    if options.len() > 1 {
        for controller in options.iter().filter(|one| !one.contains('=')) {
            let path = PathBuf::from(format!("{CGROUP}/{controller}"));
            steps.push(Step::Symlink { path, to: directory.into() });
        }
    }
}

/// `--privileged` may write `/sys` and its cgroup, unless a user namespace stands between.
fn writable(spec: &Spec) -> u64 {
    if spec.privileged { 0 } else { RDONLY }
}

pub(super) fn node(device: &DeviceFact) -> Step {
    match device.bind {
        Some(mount) => Step::Attach {
            mount,
            target: Target { path: device.path.clone(), create: Some(Node::File) },
            attrs: set(NOSUID | NOEXEC),
            then: vec![],
        },
        None => Step::Device {
            path: device.path.clone(),
            kind: device.kind,
            major: device.major,
            minor: device.minor,
            mode: device.mode,
            uid: device.uid,
            gid: device.gid,
        },
    }
}

/// Read-only and masked paths.
pub(super) fn hidden_paths(readonly: &[PathBuf], masked: &[PathBuf], steps: &mut Vec<Step>) {
    // ORDER: read-only first: a masked path below a read-only one must stay on top of it. Both after
    // every mount, which could otherwise cover them.
    steps.extend(readonly.iter().cloned().map(Step::ReadonlyPath));
    steps.extend(masked.iter().cloned().map(Step::MaskedPath));
}

/// `--read-only`.
pub(super) fn seal(readonly_root: bool, steps: &mut Vec<Step>) {
    if readonly_root {
        // ORDER: after the last mount point, node and the working directory are made on it.
        steps.push(Step::Remount { path: "/".into(), attrs: set(RDONLY) });
    }
}

pub(super) fn options(pairs: &[(&str, &str)]) -> Options {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect()
}

/// SELinux labels what is made in memory by a mount option.
pub(super) fn labelled(spec: &Spec, facts: &Facts, mut options: Options) -> Options {
    if let (true, Some(label)) = (facts.selinux, &spec.process.lsm.selinux_mount) {
        options.push(("context".to_owned(), Some(label.clone())));
    }
    options
}

fn set(bits: u64) -> Attrs {
    Attrs { set: bits, ..Attrs::default() }
}

fn new_mount(fstype: &str, options: Options, attrs: u64, target: impl AsRef<Path>) -> Step {
    Step::NewMount { fstype: fstype.to_owned(), options, attrs: set(attrs), target: directory(target) }
}

fn attach(mount: Slot, target: &str, attrs: u64, recursive: bool) -> Step {
    let attrs = Attrs { set: attrs, recursive, propagation: super::bits::MS_PRIVATE, clear: 0 };
    Step::Attach { mount, target: directory(target), attrs, then: vec![] }
}

fn directory(path: impl AsRef<Path>) -> Target {
    Target { path: path.as_ref().to_owned(), create: Some(Node::Dir) }
}
