//! A volume's first use: an empty one gets what the image has at the target.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::FlockOperation;

use super::{Volumes, failed};
use crate::error::Error;
use crate::options::Content;
use crate::{Result, copy};

impl Volumes {
    /// Marks the volume as used. At its first use it gets what `image` has: content, owner and mode.
    /// `unshift` turns owners as seen through `image` into owners on disk. Tells whether it was filled.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Depth`], [`Error::Io`]. It is then as empty as before.
    pub fn first_use(
        &self,
        name: &str,
        image: Option<BorrowedFd<'_>>,
        unshift: &dyn Fn(u32, bool) -> u32,
    ) -> Result<bool> {
        let home = self.directory.join(name);
        if home.join("used").exists() {
            return Ok(false);
        }
        let data = self.data(name)?;
        let io = |attempt| move |source: io::Error| failed(attempt, name, source);
        let lock = File::open(&home).map_err(io("lock the directory"))?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| failed("lock the directory", name, error.into()))?;
        if home.join("used").exists() {
            return Ok(false);
        }
        let filled = self.fill(name, data.as_fd(), image, unshift)?;
        if filled {
            // ORDER: after a power cut, what is marked as used is whole.
            rustix::fs::syncfs(&data).map_err(|error| failed("sync the content", name, error.into()))?;
        }
        File::create(home.join("used")).map_err(io("mark the use"))?;
        // Best effort: beside `used` it means nothing.
        let _ = fs::remove_file(home.join("filling"));
        Ok(filled)
    }

    fn fill(
        &self,
        name: &str,
        data: BorrowedFd<'_>,
        image: Option<BorrowedFd<'_>>,
        unshift: &dyn Fn(u32, bool) -> u32,
    ) -> Result<bool> {
        let filling = self.directory.join(name).join("filling");
        let io = |attempt| move |source: io::Error| failed(attempt, name, source);
        let content = self.content(name)?;
        // COMPAT(docker 28): what it copies into one is gone before anybody sees it.
        let in_memory = matches!(&content, Content::Mounted(wish) if matches!(wish.kind.as_str(), "tmpfs" | "ramfs"));
        let (foreign, place) = match content {
            Content::Own => (false, self.mountpoint(name)),
            Content::Shown(shown) => (true, shown.path),
            Content::Mounted(_) => (true, PathBuf::from(format!("/proc/self/fd/{}", data.as_raw_fd()))),
        };
        if filling.exists() && !foreign {
            // A crash in the middle: begin again.
            copy::empty(&place).map_err(io("empty the directory"))?;
        }
        let Some(image) = image.filter(|_| !in_memory) else { return Ok(false) };
        if !copy::is_empty(&place).map_err(io("read the directory"))? {
            return Ok(false);
        }
        File::create(&filling).map_err(io("mark the filling"))?;
        let copied = copy::tree(image, data, unshift);
        if let Err(error) = copied {
            if !foreign {
                // Best effort: `filling` makes the next use begin again.
                let _ = copy::empty(&place);
            }
            return Err(match error {
                copy::Failure::Depth => Error::Depth { name: name.to_owned(), limit: copy::DEEPEST },
                copy::Failure::Io(source) => failed("fill the directory", name, source),
            });
        }
        Ok(true)
    }
}
