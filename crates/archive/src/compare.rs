//! [`differs`]: whether two trees are the same, down to attributes and times.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::Error;
use crate::extract::is_opaque;
use crate::walk::{Step, Visit, names, walk};

/// The first difference between two unpacked layers, in words; `None` if there is none.
///
/// # Errors
/// If one of them cannot be read.
pub fn differs(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<Option<String>, Error> {
    let mut found = None;
    let tell = |path: &[u8], what: &str| Some(format!("`{}` {what}", crate::error::shown(path)));
    if names(one).ok().map(sorted) != names(other).ok().map(sorted) {
        return Ok(tell(b".", "does not hold the same names"));
    }
    walk(one, |visit| {
        if found.is_some() {
            return Ok(Step::Over);
        }
        found = compare(visit, other)?.and_then(|what| tell(visit.path, what));
        Ok::<_, Error>(Step::In)
    })?;
    Ok(found)
}

fn sorted(mut names: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    names.sort_unstable();
    names
}

fn compare(visit: &Visit<'_>, root: BorrowedFd<'_>) -> Result<Option<&'static str>, Error> {
    let fail = |call| move |errno| Error::file(call, visit.path, errno);
    let Some((parent, name)) = twin(root, visit.path).map_err(fail("open"))? else { return Ok(Some("is missing")) };
    let stat = match rustix::fs::statat(&parent, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Some("is missing")),
        Err(errno) => return Err(fail("stat")(errno)),
    };
    if look(&visit.stat) != look(&stat) {
        return Ok(Some("has another type, owner, mode, size or time"));
    }
    let open = |flags| {
        let mine = visit.open(flags).map_err(fail("open"))?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let theirs = rustix::fs::openat(&parent, &name[..], flags, Mode::empty()).map_err(fail("open"))?;
        Ok::<_, Error>((mine, theirs))
    };
    match visit.kind() {
        FileType::RegularFile => {
            let (mine, theirs) = open(OFlags::RDONLY)?;
            if attributes(&mine) != attributes(&theirs) {
                return Ok(Some("has other attributes"));
            }
            let same = same_bytes(File::from(mine), File::from(theirs)).map_err(Error::Read)?;
            Ok((!same).then_some("has other content"))
        }
        FileType::Directory => {
            let (mine, theirs) = open(OFlags::RDONLY | OFlags::DIRECTORY)?;
            if attributes(&mine) != attributes(&theirs) || is_opaque(mine.as_fd()) != is_opaque(theirs.as_fd()) {
                return Ok(Some("has other attributes"));
            }
            let list = |fd| names(fd).map(sorted).map_err(fail("readdir"));
            Ok((list(mine)? != list(theirs)?).then_some("does not hold the same names"))
        }
        FileType::Symlink => {
            let read = |parent: BorrowedFd<'_>, name: &[u8]| {
                rustix::fs::readlinkat(parent, name, Vec::new()).map_err(fail("readlink"))
            };
            Ok((read(visit.parent, visit.name)? != read(parent.as_fd(), &name)?).then_some("is another link"))
        }
        _ => Ok(None),
    }
}

/// Type and mode, owner, device, and of files also size and time.
fn look(stat: &Stat) -> (u32, u32, u32, u64, i64, i64, i64) {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let device = if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) { stat.st_rdev } else { 0 };
    let size = if kind == FileType::RegularFile { stat.st_size } else { 0 };
    // A whiteout's time is that of the unpacking.
    let timed = kind != FileType::CharacterDevice && kind != FileType::Directory;
    let (secs, nanos) = if timed { (stat.st_mtime, stat.st_mtime_nsec as i64) } else { (0, 0) };
    (stat.st_mode, stat.st_uid, stat.st_gid, device, size, secs, nanos)
}

/// The directory that holds `path` beneath `root`, and its last name.
fn twin(root: BorrowedFd<'_>, path: &[u8]) -> Result<Option<(OwnedFd, Vec<u8>)>, Errno> {
    let (dir, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b""[..], path),
    };
    match crate::walk::reopen(root, dir) {
        Ok(fd) => Ok(Some((fd, name.to_vec()))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn attributes(fd: &OwnedFd) -> Vec<(Vec<u8>, Vec<u8>)> {
    crate::pack::xattrs(fd.as_fd())
}

fn same_bytes(mut one: impl Read, mut other: impl Read) -> std::io::Result<bool> {
    let (mut mine, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = one.read(&mut mine)?;
        if read == 0 {
            return Ok(other.read(&mut theirs[..1])? == 0);
        }
        match other.read_exact(&mut theirs[..read]) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        if mine[..read] != theirs[..read] {
            return Ok(false);
        }
    }
}
