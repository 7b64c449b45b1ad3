//! The root file system of `hull/host`: this machine's own, read-only below a tmpfs.
//!
//! The lower directory is `/` alone, without what is mounted on it. The upper one lies on a tmpfs of
//! its own and already holds an empty directory in place of each hidden one. Both go when the last
//! descriptor of the overlay is closed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use hull_mount::{MountFd, Overlay};
use rustix::fs::{CWD, Mode, OFlags, XattrFlags};

use crate::{Error, Result, dir};

/// Directories that a container must not see, or that would show it the host's moving parts.
const HIDDEN: &[&str] = &["/root", "/home", "/run", "/tmp", "/var/lib/hull"];

/// Makes the overlay. `engine_root` is hidden as well.
pub(crate) fn mount(engine_root: &Path, userns: Option<&OwnedFd>) -> Result<MountFd> {
    let mut lower = MountFd::from_fd(open("/")?);
    if let Some(userns) = userns {
        lower = hull_mount::bind(&lower, false)?;
        lower.idmap(userns.as_fd(), false).map_err(Error::Idmapped)?;
    }
    let memory = hull_mount::tmpfs(&[("mode", Some("0755"))], 0)?;
    let like = rustix::fs::fstat(&lower).map_err(Error::file("stat", "/"))?;
    dir::make(&memory, "upper", 0o755)?;
    dir::dress(&memory, "upper", &like)?;
    dir::make(&memory, "work", 0o755)?;
    let (upper, work) = (dir::open(&memory, "upper")?, dir::open(&memory, "work")?);
    for path in hidden(engine_root) {
        hide(lower.as_fd(), &upper, &path)?;
    }
    let (lower, memory) = (lower.as_fd(), memory.as_fd());
    // The lower one is a clone only if it is idmapped.
    let detached = [memory, lower];
    hull_mount::overlay(&Overlay {
        lowers: &[lower],
        upper: Some(upper.as_fd()),
        work: Some(work.as_fd()),
        volatile: true,
        detached: &detached[..1 + usize::from(userns.is_some())],
        ..Overlay::default()
    })
    .map_err(|error| Error::mount(error, userns.is_some()))
}

/// Existing directories to hide, links resolved, without those that lie beneath another one.
fn hidden(engine_root: &Path) -> Vec<PathBuf> {
    let named = HIDDEN.iter().map(Path::new).chain([engine_root]);
    let mut paths: Vec<PathBuf> = named.filter_map(|path| std::fs::canonicalize(path).ok()).collect();
    paths.retain(|path| path.is_dir() && path != Path::new("/"));
    paths.sort();
    paths.dedup_by(|later, earlier| later.starts_with(earlier));
    paths
}

/// Makes an empty, opaque directory at `path` in the upper directory; those above it look as below.
fn hide(root: BorrowedFd<'_>, upper: &OwnedFd, path: &Path) -> Result<()> {
    let names: Vec<&str> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    let (mut below, mut above) = (dir::open(root, ".")?, dir::open(upper, ".")?);
    for (at, name) in names.iter().enumerate() {
        // Something else is mounted over a part of the path; `/` itself does not show the directory.
        let Ok(next) = dir::open(&below, name) else { return Ok(()) };
        let like = rustix::fs::fstat(&next).map_err(Error::file("stat", *name))?;
        if dir::make(&above, name, 0o755)? {
            dir::dress(&above, name, &like)?;
        }
        (below, above) = (next, dir::open(&above, name)?);
        if at + 1 == names.len() {
            rustix::fs::fsetxattr(&above, "trusted.overlay.opaque", b"y", XattrFlags::empty())
                .map_err(Error::file("hide", path.display().to_string()))?;
        }
    }
    Ok(())
}

fn open(path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(Error::file("open", path))
}
