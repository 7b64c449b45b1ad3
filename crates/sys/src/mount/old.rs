//! `mount(2)` where a kernel or a filter has no `fsopen` (5.2) or no `mount_setattr` (5.12).
//!
//! Only for a process whose mount namespace is its own and tells nobody of what is mounted in it: a new file system
//! lies over the root for a moment, and attributes change once the mount is attached.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};

use super::{MOUNT_ATTR_ATIME, SetAttr, clone_at, detach};
use crate::error::{Error, Named, Result};
use crate::resolve;

const RDONLY: u64 = 0x1;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;

/// `MOUNT_ATTR_*`, `MS_*` and `ST_*` of what needs no thought.
const PLAIN: [(u64, u32, u64); 6] = [
    (RDONLY, 1, 1),
    (0x2, 2, 2),
    (0x4, 4, 4),
    (0x8, 8, 8),
    (0x80, 2048, 2048),
    // KERNEL(5.10): nosymfollow.
    (0x20_0000, 256, 0x2000),
];

/// Options that are flags of `mount(2)`.
const FLAGS: [(&str, u32); 7] = [
    ("ro", 1),
    ("sync", 16),
    ("mand", 64),
    ("dirsync", 128),
    ("silent", 32768),
    ("iversion", 1 << 23),
    ("lazytime", 1 << 25),
];

/// What lies over the root: a lookup of `/` starts beneath it, one of `/..` does not.
const OVER_ROOT: &str = "/..";

/// A new file system as a detached mount, by `mount(2)` over the root, from where it is cloned.
pub fn detached(fstype: &str, options: &[(String, Option<String>)], attrs: u64) -> Result<OwnedFd> {
    let source = options.iter().find(|(key, _)| key == "source").and_then(|(_, value)| value.as_deref());
    let flag = |key: &str| FLAGS.iter().find(|(name, _)| *name == key).map(|(_, bit)| *bit);
    let given = options.iter().filter(|(_, value)| value.is_none()).filter_map(|(key, _)| flag(key));
    // The file system itself is read-only only if an option says so, as with `fsmount`.
    let flags = given.fold(bits(attrs & !RDONLY), |all, bit| all | bit);
    let rest = options.iter().filter(|(key, value)| key != "source" && (value.is_some() || flag(key).is_none()));
    let words: Vec<_> = rest.map(|(key, value)| value.as_ref().map_or(key.clone(), |v| format!("{key}={v}"))).collect();
    let describe = || format!("mount({fstype:?}, {:?}, {flags:#x})", words.join(","));
    let data = CString::new(words.join(",")).map_err(|_| Error::new(describe(), Errno::INVAL))?;
    let ms = MountFlags::from_bits_retain(flags);
    rustix::mount::mount(source.unwrap_or(fstype), "/", fstype, ms, Some(data.as_c_str())).named(describe)?;
    let sealed = if attrs & RDONLY == 0 { Ok(()) } else { remount(OVER_ROOT, attrs) };
    let clone = sealed.and_then(|()| clone_at(Path::new(OVER_ROOT), false));
    // ORDER: whatever came of it, the root is to be found again.
    detach(Path::new(OVER_ROOT))?;
    clone
}

/// As [`super::set_attributes`], of a mount that is attached beneath `root`. `proc` is a procfs that shows this process.
pub fn change(proc: BorrowedFd<'_>, root: BorrowedFd<'_>, mount: BorrowedFd<'_>, attrs: &SetAttr<'_>) -> Result<()> {
    if attrs.idmap.is_some() {
        return Err(Error::new("mount_setattr(idmap)", Errno::NOSYS));
    }
    let back = open(".", OFlags::DIRECTORY)?;
    // ORDER: names of descriptors are relative to it: nothing depends on what is mounted at /proc.
    rustix::process::fchdir(proc).named(|| "fchdir(procfs)".to_owned())?;
    let changed = change_here(root, mount, attrs);
    rustix::process::fchdir(&back).named(|| "fchdir(back)".to_owned())?;
    changed
}

fn change_here(root: BorrowedFd<'_>, mount: BorrowedFd<'_>, attrs: &SetAttr<'_>) -> Result<()> {
    if attrs.set | attrs.clear != 0 {
        change_one(mount, attrs)?;
        if attrs.recursive {
            for below in beneath(root, mount)? {
                change_one(below.as_fd(), attrs)?;
            }
        }
    }
    if attrs.propagation != 0 {
        let recursive = if attrs.recursive { MountPropagationFlags::REC } else { MountPropagationFlags::empty() };
        let flags = MountPropagationFlags::from_bits_retain(attrs.propagation as u32) | recursive;
        let name = name(mount);
        rustix::mount::mount_change(&name, flags).named(|| format!("mount({name:?}, {flags:?})"))?;
    }
    Ok(())
}

fn change_one(mount: BorrowedFd<'_>, attrs: &SetAttr<'_>) -> Result<()> {
    let mut clear = attrs.clear;
    if attrs.set & MOUNT_ATTR_ATIME != 0 {
        clear |= MOUNT_ATTR_ATIME;
    }
    remount(&name(mount), (present(mount)? & !clear) | attrs.set)
}

/// All attributes at once: what is not given is cleared.
fn remount(name: &str, attrs: u64) -> Result<()> {
    let flags = MountFlags::from_bits_retain(bits(attrs)) | MountFlags::BIND;
    rustix::mount::mount_remount(name, flags, c"").named(|| format!("mount({name:?}, MS_REMOUNT | {flags:?})"))
}

/// The attributes that a mount has.
fn present(mount: BorrowedFd<'_>) -> Result<u64> {
    let flags = rustix::fs::fstatvfs(mount).named(|| format!("fstatfs({})", name(mount)))?.f_flag;
    let plain = PLAIN.iter().filter(|(_, _, st)| flags.bits() & st != 0).fold(0, |all, (attr, ..)| all | attr);
    Ok(if flags.contains(StatVfsMountFlags::NOATIME) {
        plain | NOATIME
    } else if flags.contains(StatVfsMountFlags::RELATIME) {
        plain
    } else {
        plain | STRICTATIME
    })
}

/// `MS_*` of `MOUNT_ATTR_*`.
fn bits(attrs: u64) -> u32 {
    let plain = PLAIN.iter().filter(|(attr, ..)| attrs & attr != 0).fold(0, |all, (_, ms, _)| all | ms);
    plain
        | match attrs & MOUNT_ATTR_ATIME {
            NOATIME => 1 << 10,
            STRICTATIME => 1 << 24,
            _ => 1 << 21,
        }
}

/// The descriptor's name below procfs.
fn name(fd: BorrowedFd<'_>) -> String {
    format!("self/fd/{}", fd.as_raw_fd())
}

/// What is mounted beneath a mount, however deep.
fn beneath(root: BorrowedFd<'_>, mount: BorrowedFd<'_>) -> Result<Vec<OwnedFd>> {
    let describe = || "read(\"self/mountinfo\")".to_owned();
    let table = std::fs::read_to_string("self/mountinfo").named(describe)?;
    let lines: Vec<_> = table.lines().filter_map(line).collect();
    let mut inside = vec![id(mount)?];
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(parent) = inside.get(at).copied() {
        let children = lines.iter().filter(|(_, above, _)| *above == parent);
        for (child, _, place) in children {
            inside.push(*child);
            places.push((*child, place));
        }
        at += 1;
    }
    let open = |(expected, place): (u64, &String)| {
        let fd = resolve::open_in_root(root, place, OFlags::PATH)?;
        // A path is only a hint: it has to be the same mount.
        if id(fd.as_fd())? != expected {
            return Err(Error::new(format!("open the mount at {place:?}"), Errno::STALE));
        }
        Ok(fd)
    };
    places.into_iter().map(open).collect()
}

/// Id, the id above and the mount point of a line of mountinfo: proc_pid_mountinfo(5).
fn line(line: &str) -> Option<(u64, u64, String)> {
    let mut fields = line.split(' ');
    let (id, above) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let place = fields.nth(2)?;
    let place = place.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\");
    Some((id, above, place))
}

/// The id of the mount that a descriptor lies on.
fn id(fd: BorrowedFd<'_>) -> Result<u64> {
    let path = format!("self/fdinfo/{}", fd.as_raw_fd());
    let text = std::fs::read_to_string(&path).named(|| format!("read({path:?})"))?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")).and_then(|id| id.trim().parse().ok());
    id.ok_or_else(|| Error::new(format!("read({path:?}): no mnt_id"), Errno::INVAL))
}

fn open(path: &str, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).named(|| format!("open({path:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_their_older_flags() {
        assert_eq!(bits(0), 1 << 21, "relatime is no attribute, and a flag");
        assert_eq!(bits(RDONLY | 0xe | NOATIME), 0xf | 1 << 10);
        assert_eq!(bits(STRICTATIME | 0x20_0000), 256 | 1 << 24);
    }

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let text = "36 35 98:0 /mnt1 /a\\040b\\134c rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(line(text), Some((36, 35, "/a b\\c".to_owned())));
        assert_eq!(line("36"), None);
    }
}
