//! The overlay of old kernels: made by `mount(2)` in a mount namespace that lives only as long as
//! the helper thread, then cloned out of it.
//!
//! Layers are named by descriptor number relative to `/proc/self/fd`, so that hundreds of them fit
//! into the one page that `mount(2)` takes. Detached layers are attached in that namespace first; the
//! others are opened again in it, since overlayfs (until 6.15) takes only what is mounted there.

use std::fmt::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use hull_sys::{Error as CallError, Named, Result as CallResult, mount, namespace, process, resolve};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;

use super::{Overlay, options};
use crate::{MountFd, NEW_MOUNT_NAMESPACE, Result};

pub(super) fn overlay(overlay: &Overlay<'_>) -> Result<MountFd> {
    let made = namespace::on_own_thread(|| {
        // ORDER: a path is that of the namespace that the descriptor belongs to.
        let mut layers = Layers::named(overlay)?;
        process::unshare_fs()?;
        process::unshare(NEW_MOUNT_NAMESPACE)?;
        mount::make_all_private()?;
        layers.reopen()?;
        mount_and_clone(overlay, &layers)
    })?;
    let made = MountFd::from_fd(made);
    if overlay.attrs != 0 {
        made.set_attrs(overlay.attrs, 0, false)?;
    }
    Ok(made)
}

/// The layers: lower ones, then upper and work directory if there are any.
struct Layers<'a>(Vec<Layer<'a>>);

/// A layer, and where it is unless its mount is attached nowhere.
struct Layer<'a> {
    given: BorrowedFd<'a>,
    path: Option<PathBuf>,
    here: Option<OwnedFd>,
}

impl<'a> Layers<'a> {
    fn named(overlay: &Overlay<'a>) -> CallResult<Self> {
        let detached = overlay.detached.iter().map(|fd| mount_id(*fd)).collect::<CallResult<Vec<_>>>()?;
        let writable = overlay.upper.into_iter().chain(overlay.work);
        let all = overlay.lowers.iter().copied().chain(writable).map(|given| {
            let own = detached.is_empty() || !detached.contains(&mount_id(given)?);
            let path = own.then(|| path_of(given)).transpose()?;
            Ok(Layer { given, path, here: None })
        });
        all.collect::<CallResult<_>>().map(Self)
    }

    /// Opens each by its path in the namespace that the thread is in now. It has to be the same
    /// directory: a path is only a hint.
    fn reopen(&mut self) -> CallResult<()> {
        for layer in &mut self.0 {
            if let Some(path) = &layer.path {
                let fd = open(path)?;
                if identity(layer.given)? != identity(fd.as_fd())? {
                    let call = format!("open({path:?}): something else is mounted over the layer");
                    return Err(CallError::new(call, Errno::STALE));
                }
                layer.here = Some(fd);
            }
        }
        Ok(())
    }

    /// The descriptors' numbers.
    fn numbers(&self) -> impl Iterator<Item = RawFd> {
        self.0.iter().map(|layer| layer.here.as_ref().map_or(layer.given.as_raw_fd(), |fd| fd.as_raw_fd()))
    }
}

fn open(path: &Path) -> CallResult<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).named(|| format!("open({path:?})"))
}

fn path_of(fd: BorrowedFd<'_>) -> CallResult<PathBuf> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let target = rustix::fs::readlink(&link, Vec::new()).named(|| format!("readlink({link:?})"))?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())))
}

fn identity(fd: BorrowedFd<'_>) -> CallResult<(u64, u64)> {
    let stat = rustix::fs::fstat(fd).named(|| "fstat(layer)".to_owned())?;
    Ok((stat.st_dev, stat.st_ino))
}

fn mount_id(fd: BorrowedFd<'_>) -> CallResult<u64> {
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
    stat.map(|stat| stat.stx_mnt_id).named(|| "statx(layer, STATX_MNT_ID)".to_owned())
}

/// In the private namespace: a tmpfs over `/` bears the mount points, the way to `/proc` stays the
/// thread's root beneath it.
fn mount_and_clone(overlay: &Overlay<'_>, layers: &Layers<'_>) -> CallResult<OwnedFd> {
    let base = mount::FsContext::open("tmpfs")?.mount(0)?;
    let root =
        rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).named(|| "open(\"/\")".to_owned())?;
    mount::attach(&base, &root)?;
    for (index, layer) in overlay.detached.iter().enumerate() {
        let place = resolve::mkdir_in_root(&base, index.to_string(), 0o755)?;
        mount::attach(layer, &place)?;
    }
    let target = resolve::mkdir_in_root(&base, "overlay", 0o755)?;
    // ORDER: relative names below are looked up here.
    rustix::process::chdir("/proc/self/fd").named(|| "chdir(\"/proc/self/fd\")".to_owned())?;
    let data = data(overlay, layers);
    let place = target.as_raw_fd().to_string();
    let c_data = std::ffi::CString::new(data.as_str()).unwrap_or_default();
    rustix::mount::mount("overlay", &place, "overlay", MountFlags::empty(), Some(c_data.as_c_str()))
        .named(|| format!("mount(overlay, {data:?})"))?;
    let made = resolve::open_in_root(&base, "overlay", OFlags::PATH)?;
    let clone = mount::clone_tree(&made, false)?;
    Ok(clone)
}

fn data(overlay: &Overlay<'_>, layers: &Layers<'_>) -> String {
    let mut data = String::from("lowerdir=");
    let lowers = overlay.lowers.len();
    for (index, number) in layers.numbers().enumerate() {
        let before = match index {
            0 => "",
            index if index < lowers => ":",
            index if index == lowers => ",upperdir=",
            _ => ",workdir=",
        };
        _ = write!(data, "{before}{number}");
    }
    for option in options(overlay) {
        _ = write!(data, ",{option}");
    }
    data
}
