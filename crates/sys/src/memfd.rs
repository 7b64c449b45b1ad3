//! Sealed anonymous files.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use crate::error::{Named, Result};

/// `MFD_EXEC`, KERNEL(6.3): wanted where sysctl vm.memfd_noexec is set, unknown before.
const MFD_EXEC: u32 = 0x10;

fn all_seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

fn create(name: &str, flags: MemfdFlags) -> Result<File> {
    rustix::fs::memfd_create(name, flags | MemfdFlags::CLOEXEC)
        .map(File::from)
        .named(|| format!("memfd_create({name:?})"))
}

/// An executable copy of `source` that nobody can change any more. Close-on-exec.
pub fn sealed_copy(name: &str, mut source: impl Read) -> Result<OwnedFd> {
    let flags = MemfdFlags::ALLOW_SEALING;
    let executable = MemfdFlags::from_bits_retain(MFD_EXEC);
    let mut file = match create(name, flags | executable) {
        Err(error) if error.errno == Errno::INVAL => create(name, flags)?,
        file => file?,
    };
    std::io::copy(&mut source, &mut file).named(|| format!("copy into memfd {name:?}"))?;
    seal(&file)?;
    Ok(file.into())
}

/// A memfd with these bytes, read from the start, not sealed. Close-on-exec.
pub fn with_bytes(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let mut file = create(name, MemfdFlags::empty())?;
    file.write_all(bytes).named(|| format!("write({name:?}, {} bytes)", bytes.len()))?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).named(|| format!("lseek({name:?})"))?;
    Ok(file.into())
}

fn seal(file: impl AsFd) -> Result<()> {
    rustix::fs::fcntl_add_seals(file, all_seals()).named(|| "fcntl(F_ADD_SEALS)".to_owned())
}

/// Whether the file can no longer be written.
pub fn is_sealed(file: impl AsFd) -> bool {
    rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_copy_cannot_be_written() {
        let fd = sealed_copy("test", &b"abc"[..]).unwrap();
        assert!(is_sealed(&fd));
        assert_eq!(rustix::io::write(&fd, b"x"), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(Errno::PERM));
        assert!(!is_sealed(with_bytes("test", b"abc").unwrap()));
    }
}
