//! Counting the bytes of a tree that a container may be changing meanwhile.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use crate::{Error, Result};

/// Levels that are descended; what lies deeper is not counted.
const LEVELS: usize = 128;

/// Bytes of the regular files beneath `dir`.
///
/// # Errors
/// A directory cannot be read.
pub fn bytes(dir: &OwnedFd) -> Result<u64> {
    count(dir, 0)
}

fn count(dir: &OwnedFd, level: usize) -> Result<u64> {
    let mut sum = 0;
    for entry in Dir::read_from(dir).map_err(Error::file("list", "upper"))? {
        let Ok(entry) = entry else { break };
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // What vanishes meanwhile counts nothing.
        let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => sum += stat.st_size.cast_unsigned(),
            FileType::Directory if level < LEVELS => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                if let Ok(child) = rustix::fs::openat(dir, name, flags, Mode::empty()) {
                    sum += count(&child, level + 1)?;
                }
            }
            _ => {}
        }
    }
    Ok(sum)
}
