//! Looking at files of the host and beneath a container's root, by descriptor.

use std::io::Read;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use hull_mount::MountFd;
use hull_types::Fault;
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// The largest passwd or group file that is read: some sites have very many users.
const LARGEST: u64 = 16 << 20;

/// The regular file at `path` beneath `root`; empty if there is none.
pub(super) fn read_beneath(root: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>, Fault> {
    // ORDER: looked at before it is opened: opening a device could already do something.
    let place = match hull_sys::resolve::open_in_root(root, path, OFlags::PATH) {
        Ok(place) => place,
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(Fault::from(error)),
    };
    let stat = stat(&place)?;
    let refuse = |why: String| Err(Fault::invalid(format!("the image's `{path}` {why}")));
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return refuse("is not a regular file".to_owned());
    }
    if u64::try_from(stat.st_size).unwrap_or(u64::MAX) > LARGEST {
        return refuse(format!("is larger than {} MiB", LARGEST >> 20));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = hull_sys::resolve::open_in_root(root, path, flags).map_err(Fault::from)?;
    let again = self::stat(&file)?;
    if (again.st_dev, again.st_ino) != (stat.st_dev, stat.st_ino) {
        return refuse("changes while it is read".to_owned());
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::from(file).take(LARGEST).read_to_end(&mut bytes);
    read.map_err(|error| Fault::internal(format!("cannot read the image's `{path}`")).cause(error))?;
    Ok(bytes)
}

/// What stands at `path` beneath `root`, with `O_PATH`; `None` if nothing does.
pub(super) fn find_beneath(root: BorrowedFd<'_>, path: &Path) -> Result<Option<OwnedFd>, Fault> {
    match hull_sys::resolve::open_in_root(root, path, OFlags::PATH) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(Fault::from(error)),
    }
}

/// A clone of what stands at a path of the host, where the administrator's links are followed.
pub(super) fn bind_host(path: &Path, recursive: bool) -> Result<(MountFd, Stat), Fault> {
    let place = open_host(path)?;
    let stat = stat(&place)?;
    let mount = hull_mount::bind_shared(&place, recursive)?;
    Ok((mount, stat))
}

/// Opens a path of the host with `O_PATH`.
pub(super) fn open_host(path: &Path) -> Result<OwnedFd, Fault> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
        let fault = match errno {
            Errno::NOENT | Errno::NOTDIR => {
                Fault::invalid(format!("bind source path does not exist: {}", path.display()))
            }
            _ => Fault::invalid(format!("cannot open the bind source `{}`", path.display())),
        };
        fault.cause(errno)
    })
}

pub(super) fn stat(fd: &OwnedFd) -> Result<Stat, Fault> {
    rustix::fs::fstat(fd).map_err(|errno| Fault::internal("cannot look at an open file").cause(errno))
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
