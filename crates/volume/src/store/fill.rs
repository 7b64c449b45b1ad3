//! Filling an empty volume with what an image has.
//!
//! ```text
//! empty ──copy──▶ staged/ (nobody sees it) ──synced──▶ staged/ + whole ──move──▶ filled
//!   ▲               │ cut short: forgotten               │ cut short: the move goes on
//!   └───────────────┘                                    └─────▶ filled
//! ```
//! What somebody has put into the volume meanwhile stays.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Volumes, failed};
use crate::error::Error;
use crate::options::Content;
use crate::{Result, copy};

/// Where the content is copied to.
const STAGED: &str = "staged";
/// That it is there as a whole.
const WHOLE: &str = "whole";

/// What a volume is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The image's directory.
    pub image: BorrowedFd<'a>,
    /// The directory in the volume that is meant, if it is not the whole.
    pub subpath: Option<&'a Path>,
    /// On the disk when that is acknowledged.
    pub lasting: bool,
}

impl Volumes {
    /// Whether a volume may be filled, as far as that is seen without mounting anything.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    pub fn may_be_filled(&self, name: &str, subpath: Option<&Path>) -> Result<bool> {
        match self.content(name)? {
            Content::Own if subpath.is_some() => Ok(true),
            Content::Own => {
                copy::is_empty(&self.mountpoint(name)).map_err(|source| failed("read the directory", name, source))
            }
            // COMPAT(docker 28): what it copies into memory is gone before anybody sees it.
            Content::Mounted(wish) => Ok(!matches!(wish.kind.as_str(), "tmpfs" | "ramfs")),
            Content::Shown(_) => Ok(true),
        }
    }

    /// Gives an empty volume, or an empty directory in it, what an image has: content, owner and mode; whether it did.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Depth`], [`Error::Io`]. A volume with a directory of its own is as empty as before.
    pub fn fill(&self, name: &str, filling: &Filling<'_>) -> Result<bool> {
        let home = self.directory.join(name);
        let io = |attempt| move |source: io::Error| failed(attempt, name, source);
        let lock = File::open(&home).map_err(io("lock the directory"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| failed("lock the directory", name, error.into()))?;
        let own = matches!(self.content(name)?, Content::Own);
        if own {
            resume(&home).map_err(io("fill the directory"))?;
        }
        // Whoever mounts one that is not there is told.
        let Some(to) = place(self.data(name)?, filling.subpath) else { return Ok(false) };
        if !copy::is_empty(&path_of(&to)).map_err(io("read the directory"))? {
            return Ok(false);
        }
        let copied = match own {
            true => stage(&home, filling).and_then(|()| Ok(settle(&home, filling.lasting)?)),
            false => copy::tree(filling.image, to.as_fd()),
        };
        match copied {
            Ok(()) => Ok(true),
            Err(copy::Failure::Depth) => Err(Error::Depth { name: name.to_owned(), limit: copy::DEEPEST }),
            Err(copy::Failure::Io(source)) => Err(failed("fill the directory", name, source)),
        }
    }
}

/// The directory in a volume that is meant.
fn place(data: OwnedFd, subpath: Option<&Path>) -> Option<OwnedFd> {
    match subpath {
        None => Some(data),
        Some(subpath) => {
            hull_sys::resolve::open_in_root(data.as_fd(), subpath, OFlags::RDONLY | OFlags::DIRECTORY).ok()
        }
    }
}

/// The path of an open directory, wherever that is mounted.
fn path_of(directory: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()))
}

/// Ends what was cut short.
pub(super) fn resume(home: &Path) -> io::Result<()> {
    match (home.join(WHOLE).try_exists()?, home.join(STAGED).try_exists()?) {
        (true, _) => settle(home, true),
        (false, true) => fs::remove_dir_all(home.join(STAGED)),
        (false, false) => Ok(()),
    }
}

fn stage(home: &Path, filling: &Filling<'_>) -> std::result::Result<(), copy::Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let place = home.join(STAGED);
    let staged = || {
        fs::DirBuilder::new().mode(0o700).create(&place)?;
        let to = File::open(&place)?;
        copy::tree(filling.image, to.as_fd())?;
        if filling.lasting {
            // ORDER: after a power cut, what is marked as whole is.
            rustix::fs::syncfs(&to)?;
        }
        let mut mark = File::create(home.join(WHOLE))?;
        io::Write::write_all(&mut mark, filling.subpath.map_or(&[], |path| path.as_os_str().as_bytes()))?;
        if filling.lasting {
            mark.sync_all()?;
            File::open(home)?.sync_all()?;
        }
        Ok(())
    };
    staged().inspect_err(|_| {
        // Best effort: the next one begins with it.
        let _ = fs::remove_file(home.join(WHOLE));
        let _ = fs::remove_dir_all(&place);
    })
}

/// Moves what is staged as a whole into the volume.
fn settle(home: &Path, lasting: bool) -> io::Result<()> {
    let subpath = fs::read(home.join(WHOLE))?;
    let subpath = (!subpath.is_empty()).then(|| Path::new(OsStr::from_bytes(&subpath)));
    let from = home.join(STAGED);
    match File::open(&from) {
        Ok(staged) => {
            if let Some(to) = place(File::open(home.join("_data"))?.into(), subpath) {
                move_into(&from, &to)?;
                copy::dress(staged.as_fd(), to.as_fd())?;
                if lasting {
                    rustix::fs::fsync(&to)?;
                }
            }
            fs::remove_dir_all(&from)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::remove_file(home.join(WHOLE))
}

fn move_into(from: &Path, to: &OwnedFd) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        match renameat_with(CWD, entry.path(), to, entry.file_name(), RenameFlags::NOREPLACE) {
            // Somebody has put his own there meanwhile.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
