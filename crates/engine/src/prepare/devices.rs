//! Device nodes of a container: the six that everyone has, `--device`, and all of the host's for
//! `--privileged`.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use hull_confine::devices::{Access, Kind, Mapping, NODES, Rule};
use hull_launch::compile::DeviceFact;
use hull_launch::spec::Spec;
use hull_types::Fault;
use rustix::fs::FileType;

use super::fds::Fds;
use super::files;

/// How deep a directory of devices may nest.
const DEEPEST: usize = 8;

/// Nodes, and the rules that allow their use.
#[derive(Default)]
pub(super) struct Granted {
    pub nodes: Vec<DeviceFact>,
    pub rules: Vec<Rule>,
}

/// All of them. `bind`: nodes are bound from the host, as mknod does not work in a user namespace.
pub(super) fn gather(spec: &Spec, bind: bool, fds: &mut Fds) -> Result<Granted, Fault> {
    let mut granted = Granted::default();
    for node in NODES {
        granted.nodes.push(DeviceFact {
            path: node.path.into(),
            kind: FileType::CharacterDevice.as_raw_mode(),
            major: node.major,
            minor: node.minor,
            mode: 0o666,
            uid: 0,
            gid: 0,
            bind: None,
        });
    }
    for mapping in &spec.devices {
        granted.map(mapping)?;
    }
    if spec.privileged {
        granted.everything(Path::new("/dev"), 0)?;
    }
    if bind {
        granted.bind_all(spec, fds)?;
    }
    Ok(granted)
}

impl Granted {
    /// One `--device`: a node, or a directory with all nodes below it.
    fn map(&mut self, mapping: &Mapping) -> Result<(), Fault> {
        let found = fs::metadata(&mapping.host).map_err(|error| {
            Fault::invalid(format!(
                "error gathering device information while adding custom device \"{}\"",
                mapping.host
            ))
            .cause(error)
        })?;
        let before = self.nodes.len();
        if found.is_dir() {
            self.directory(Path::new(&mapping.host), Path::new(&mapping.container), mapping.access, 0)?;
        } else {
            self.node(&found, PathBuf::from(&mapping.container), mapping.access);
        }
        if self.nodes.len() == before {
            return Err(Fault::invalid(format!(
                "error gathering device information while adding custom device \"{}\": not a device node",
                mapping.host
            )));
        }
        Ok(())
    }

    fn directory(&mut self, host: &Path, container: &Path, access: Access, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Ok(());
        }
        for (path, found) in listing(host)? {
            let Some(name) = path.file_name() else { continue };
            let inside = container.join(name);
            if found.is_dir() {
                self.directory(&path, &inside, access, depth + 1)?;
            } else {
                self.node(&found, inside, access);
            }
        }
        Ok(())
    }

    /// Every node below `/dev` that is no terminal and stands for hardware or the kernel.
    fn everything(&mut self, directory: &Path, depth: usize) -> Result<(), Fault> {
        const NOT: [&str; 6] = ["pts", "shm", "fd", "mqueue", ".udev", "console"];
        if depth > DEEPEST {
            return Ok(());
        }
        for (path, found) in listing(directory)? {
            let hidden =
                depth == 0 && path.file_name().and_then(|name| name.to_str()).is_some_and(|name| NOT.contains(&name));
            if hidden || path == Path::new("/dev/ptmx") {
                continue;
            }
            if found.is_dir() {
                self.everything(&path, depth + 1)?;
            } else {
                self.node(&found, path, Access::RWM);
            }
        }
        Ok(())
    }

    /// A later node at the same path replaces the earlier one.
    fn node(&mut self, found: &fs::Metadata, path: PathBuf, access: Access) {
        let kind = found.file_type();
        let (bits, rule) = match (kind.is_char_device(), kind.is_block_device()) {
            (true, _) => (FileType::CharacterDevice, Kind::Char),
            (_, true) => (FileType::BlockDevice, Kind::Block),
            _ => return,
        };
        let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
        self.nodes.retain(|node| node.path != path);
        self.nodes.push(DeviceFact {
            path,
            kind: bits.as_raw_mode(),
            major,
            minor,
            mode: found.mode() & 0o777,
            uid: found.uid(),
            gid: found.gid(),
            bind: None,
        });
        self.rules.push(Rule { kind: rule, major: Some(major), minor: Some(minor), access });
    }

    fn bind_all(&mut self, spec: &Spec, fds: &mut Fds) -> Result<(), Fault> {
        for node in &mut self.nodes {
            let host = host_path(spec, &node.path);
            let (mount, stat) = files::bind_host(&host, false)?;
            let same = FileType::from_raw_mode(stat.st_mode).as_raw_mode() == node.kind
                && (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (node.major, node.minor);
            if !same {
                return Err(Fault::internal(format!("the host's `{}` is not the device it should be", host.display())));
            }
            node.bind = Some(fds.push(mount.into_fd())?);
        }
        Ok(())
    }
}

/// Where the host has the node that the container sees at `path`.
pub(super) fn host_path(spec: &Spec, path: &Path) -> PathBuf {
    let mapped = spec.devices.iter().rev().find_map(|mapping| {
        let below = path.strip_prefix(&mapping.container).ok()?;
        let host = PathBuf::from(&mapping.host);
        Some(if below.as_os_str().is_empty() { host } else { host.join(below) })
    });
    mapped.unwrap_or_else(|| path.to_owned())
}

/// Entries that are not links, by path; one that vanishes meanwhile is left out.
fn listing(directory: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>, Fault> {
    let failed = |error: std::io::Error| {
        Fault::internal(format!("cannot list the devices in `{}`", directory.display())).cause(error)
    };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_symlink() => entries.push((path, found)),
            _ => {}
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_path_of_a_node_follows_its_mapping() {
        let mut spec = crate::prepare::plain_spec();
        spec.devices = vec![
            Mapping::from_wire("/dev/snd", "/dev/sound", "").unwrap(),
            Mapping::from_wire("/dev/zero", "/dev/nil", "").unwrap(),
        ];
        for (inside, host) in
            [("/dev/sound/timer", "/dev/snd/timer"), ("/dev/nil", "/dev/zero"), ("/dev/null", "/dev/null")]
        {
            assert_eq!(host_path(&spec, Path::new(inside)), Path::new(host));
        }
    }

    #[test]
    fn privileged_gets_the_hosts_nodes_but_no_terminals() {
        let mut spec = crate::prepare::plain_spec();
        spec.privileged = true;
        let granted = gather(&spec, false, &mut Fds::default()).unwrap();
        assert!(granted.nodes.iter().any(|node| node.path == Path::new("/dev/null")));
        assert!(!granted.nodes.iter().any(|node| node.path.starts_with("/dev/pts")));
        let mut paths: Vec<_> = granted.nodes.iter().map(|node| &node.path).collect();
        let all = paths.len();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), all);
    }

    #[test]
    fn a_device_that_is_none_is_refused() {
        let mut spec = crate::prepare::plain_spec();
        spec.devices = vec![Mapping::from_wire("/etc/hostname", "/dev/x", "").unwrap()];
        assert!(gather(&spec, false, &mut Fds::default()).is_err());
    }
}
