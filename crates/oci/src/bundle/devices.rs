//! The nodes of `/dev`: those that every container has, and `linux.devices`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use hull_confine::devices::NODES;
use hull_launch::compile::DeviceFact;
use hull_sys::mount::{self, FsContext};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::fds::Fds;
use super::namespaces::Spaces;
use crate::config::{Device, Linux};
use crate::error::{Doing, Error, Result};

/// All of them, the bundle's in place of the usual ones of the same path.
pub fn all(linux: &Linux, spaces: &Spaces, fds: &mut Fds) -> Result<Vec<DeviceFact>> {
    let given = linux.devices.iter().enumerate().map(|(at, device)| one(at, device)).collect::<Result<Vec<_>>>()?;
    let usual = NODES.iter().map(|node| DeviceFact {
        path: node.path.into(),
        kind: FileType::CharacterDevice.as_raw_mode(),
        major: node.major,
        minor: node.minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
        bind: None,
    });
    let mut all: Vec<DeviceFact> = usual.filter(|node| !given.iter().any(|other| other.path == node.path)).collect();
    // As under runc, the container's own terminals are behind /dev/ptmx, whatever the bundle says.
    all.extend(given.into_iter().filter(|device| device.path != Path::new("/dev/ptmx")));
    if spaces.in_userns() || !may_make_nodes() {
        for device in &mut all {
            // The kernel lets nobody make nodes in a user namespace: the host's is bound.
            let bound = match mount::clone_at(&device.path, false) {
                Err(error) if error.errno == Errno::NOENT => made(device)?,
                bound => bound?,
            };
            device.bind = Some(fds.push(bound));
        }
    }
    Ok(all)
}

/// A node that the host has not: made on a file system in memory that nobody else sees.
fn made(device: &DeviceFact) -> Result<OwnedFd> {
    let what = || format!("make the device {:?}", device.path);
    let context = FsContext::open("tmpfs")?;
    context.string("size", "4k")?;
    let directory = context.mount(0)?;
    let kind = FileType::from_raw_mode(device.kind);
    let number = rustix::fs::makedev(device.major, device.minor);
    rustix::fs::mknodat(&directory, "node", kind, Mode::from_raw_mode(device.mode), number).doing(what)?;
    let node = rustix::fs::openat(&directory, "node", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).doing(what)?;
    Ok(mount::clone_tree(node, false)?)
}

fn may_make_nodes() -> bool {
    rustix::process::geteuid().is_root()
}

fn one(at: usize, device: &Device) -> Result<DeviceFact> {
    let field = |name: &str| format!("linux.devices[{at}].{name}");
    let path = PathBuf::from(&device.path);
    if !path.is_absolute() || path == Path::new("/") || device.path.contains('\0') {
        return Err(Error::invalid(field("path"), format!("{:?} is no absolute path", device.path)));
    }
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => return Err(Error::invalid(field("type"), format!("{other:?} is none of c, b, u and p"))),
    };
    let number = |value: Option<i64>, name: &str| match value {
        None if kind == FileType::Fifo => Ok(0),
        None => Err(Error::invalid(field(name), "is missing")),
        Some(value) => {
            u32::try_from(value).map_err(|_| Error::invalid(field(name), format!("{value} is out of range")))
        }
    };
    Ok(DeviceFact {
        path,
        kind: kind.as_raw_mode(),
        major: number(device.major, "major")?,
        minor: number(device.minor, "minor")?,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
        bind: None,
    })
}
