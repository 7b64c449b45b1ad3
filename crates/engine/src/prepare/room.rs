//! A stopped container's files as it would see them, with its binds and volumes, for as long as somebody works on them.
//!
//! They are mounted in a mount namespace of one thread, which ends with the work: nothing has to be unmounted, and
//! the host does not see it. tmpfs mounts are not there: their content comes with a run.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use hull_launch::plan::Namespaces;
use hull_launch::spec::{MountKind, Readonly, Spec};
use hull_mount::MountFd;
use hull_types::Fault;
use rustix::fs::{CWD, Mode, OFlags};

use super::{Parts, files, mounts};

/// `MOUNT_ATTR_RDONLY`.
const READ_ONLY: u64 = 1;

struct Extra {
    target: PathBuf,
    mount: MountFd,
    directory: bool,
}

/// Calls `work` with the root directory of a container that does not run.
///
/// # Errors
/// Something cannot be mounted; else those of `work`.
pub(crate) fn in_room<T: Send>(
    parts: &Parts,
    spec: &Spec,
    rootfs: &hull_snapshot::Rootfs<'_>,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    let root = parts.snapshots.reopen(rootfs)?.mount;
    let extras = extras(parts, spec)?;
    let place = parts.root.join("containers");
    hull_sys::namespace::on_own_thread(|| {
        hull_sys::process::unshare(Namespaces::MOUNT.0)?;
        hull_sys::mount::make_all_private()?;
        let covered = rustix::fs::openat(CWD, &place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| hull_sys::Error::new("open(the containers' directory)", errno))?;
        hull_sys::mount::attach(&root, &covered)?;
        for extra in &extras {
            let at = match extra.directory {
                true => hull_sys::resolve::mkdir_in_root(&root, &extra.target, 0o755)?,
                false => hull_sys::resolve::mkfile_in_root(&root, &extra.target, 0o644)?,
            };
            hull_sys::mount::attach(&extra.mount, &at)?;
        }
        Ok(work(root.as_fd()))
    })?
}

/// Binds and volumes, cloned while the thread still stands in the engine's namespace.
fn extras(parts: &Parts, spec: &Spec) -> Result<Vec<Extra>, Fault> {
    let mut extras = Vec::new();
    for wish in &spec.mounts {
        let (mount, directory, readonly) = match &wish.kind {
            MountKind::Tmpfs { .. } => continue,
            MountKind::Bind { source, recursive, readonly, .. } => {
                // One that is made by the start, or is gone: what is copied must not make it.
                if !source.exists() {
                    continue;
                }
                let (mount, stat) = files::bind_host(source, *recursive)?;
                (mount, files::is_directory(&stat), readonly)
            }
            MountKind::Volume { name, subpath, readonly, .. } => {
                let (mount, directory) = mounts::volume(parts, name, subpath.as_deref())?;
                (mount, directory, readonly)
            }
            MountKind::Image { reference, layers, subpath, .. } => {
                let (mount, directory) = mounts::image(parts, reference, layers, subpath.as_deref(), None)?;
                (mount, directory, &Readonly::Top)
            }
        };
        mount.propagation(hull_mount::Propagation::Private, true)?;
        if *readonly != Readonly::No {
            mount.set_attrs(READ_ONLY, 0, *readonly == Readonly::Tree)?;
        }
        extras.push(Extra { target: wish.target.clone(), mount, directory });
    }
    Ok(extras)
}
