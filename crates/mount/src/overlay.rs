//! Overlays as detached mounts.
//!
//! KERNEL(6.13): layers are given as descriptors. KERNEL(6.5): as `/proc/self/fd/N`, one `lowerdir+`
//! each. Before, and for detached (idmapped) layers before 6.15: `mount(2)` in a private mount
//! namespace, the result cloned out of it. Which one is chosen by the kernel's version, once.

mod private;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;

use hull_sys::Named;
use hull_sys::mount::FsContext;

use crate::{Error, MountFd, Result};

/// The most lower directories overlayfs stacks (`OVL_MAX_STACK`).
pub const MAX_LOWERS: usize = 500;

/// What an overlay is made of: directories as descriptors, the topmost lower first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overlay<'a> {
    /// Lower directories, topmost first.
    pub lowers: &'a [BorrowedFd<'a>],
    /// The upper directory; `None` makes a read-only overlay.
    pub upper: Option<BorrowedFd<'a>>,
    /// The work directory, on the file system of `upper`.
    pub work: Option<BorrowedFd<'a>>,
    /// No syncs: what the upper directory holds is not expected to survive.
    pub volatile: bool,
    /// `user.overlay.*` attributes instead of `trusted.overlay.*`.
    pub userxattr: bool,
    /// The roots of those mounts that layers lie in and that are attached nowhere (idmapped clones).
    /// `upper` and `work` must lie in one mount, and `work` belong to the root of the ids it shows.
    pub detached: &'a [BorrowedFd<'a>],
    /// `MOUNT_ATTR_*` of the result.
    pub attrs: u64,
}

/// Makes the overlay. One lower directory without an upper is a read-only clone of it.
pub fn overlay(overlay: &Overlay<'_>) -> Result<MountFd> {
    match (overlay.lowers, overlay.upper) {
        ([], _) => return Err(Error::NoLowers),
        (lowers, _) if lowers.len() > MAX_LOWERS => {
            return Err(Error::TooManyLowers { given: lowers.len(), allowed: MAX_LOWERS });
        }
        ([only], None) if overlay.detached.is_empty() => {
            let clone = crate::bind(only, false)?;
            clone.set_attrs(overlay.attrs | crate::RDONLY, 0, false)?;
            return Ok(clone);
        }
        (_, Some(_)) if overlay.work.is_none() => return Err(Error::NoWork),
        _ => {}
    }
    match overlay.work {
        Some(work) => as_owner_of(work, || make(overlay)),
        None => make(overlay),
    }
}

/// Works with the file system ids of the owner of `work`: overlayfs makes its own files there with the
/// ids of whoever mounts it, and in an idmapped mount the host's root has none.
fn as_owner_of(work: BorrowedFd<'_>, make: impl FnOnce() -> Result<MountFd> + Send) -> Result<MountFd> {
    let stat = rustix::fs::fstat(work).named(|| "fstat(workdir)".to_owned())?;
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    if (stat.st_uid, stat.st_gid) == own {
        return make();
    }
    hull_sys::namespace::on_own_thread(|| {
        hull_sys::caps::set_fs_identity(stat.st_uid, stat.st_gid)?;
        Ok(make())
    })?
}

fn make(overlay: &Overlay<'_>) -> Result<MountFd> {
    match Way::of_this_kernel() {
        way if !overlay.detached.is_empty() && way < Way::DetachedLayers => private::overlay(overlay),
        Way::MountCall => private::overlay(overlay),
        Way::AppendPath => configure(overlay, set_path),
        Way::AppendFd | Way::DetachedLayers => configure(overlay, set_fd),
    }
}

/// What the running kernel's overlayfs takes, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    MountCall,
    AppendPath,
    AppendFd,
    DetachedLayers,
}

impl Way {
    fn of_this_kernel() -> Self {
        static WAY: OnceLock<Way> = OnceLock::new();
        *WAY.get_or_init(|| {
            let release = rustix::system::uname();
            Self::of_release(&release.release().to_string_lossy())
        })
    }

    fn of_release(release: &str) -> Self {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        match version {
            v if v >= (6, 15) => Self::DetachedLayers,
            v if v >= (6, 13) => Self::AppendFd,
            v if v >= (6, 5) => Self::AppendPath,
            _ => Self::MountCall,
        }
    }
}

type SetLayer = fn(&FsContext, &str, BorrowedFd<'_>) -> hull_sys::Result<()>;

fn set_fd(context: &FsContext, key: &str, fd: BorrowedFd<'_>) -> hull_sys::Result<()> {
    context.fd(key, fd)
}

fn set_path(context: &FsContext, key: &str, fd: BorrowedFd<'_>) -> hull_sys::Result<()> {
    context.string(key, &format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

fn configure(overlay: &Overlay<'_>, set_layer: SetLayer) -> Result<MountFd> {
    let context = FsContext::open("overlay")?;
    context.string("source", "overlay")?;
    for lower in overlay.lowers {
        set_layer(&context, "lowerdir+", *lower)?;
    }
    if let (Some(upper), Some(work)) = (overlay.upper, overlay.work) {
        set_layer(&context, "upperdir", upper)?;
        set_layer(&context, "workdir", work)?;
    }
    for option in options(overlay) {
        match option.split_once('=') {
            Some((key, value)) => context.string(key, value)?,
            None => context.flag(option)?,
        }
    }
    Ok(MountFd::from_fd(context.mount(overlay.attrs)?))
}

/// The options besides the layers.
///
/// `index=off`: an upper directory may be mounted again elsewhere after an unclean stop.
/// `metacopy=off`, `redirect_dir=nofollow`: an image's layer cannot smuggle in a redirect to other data, and
/// an upper directory holds whole what is written as a layer.
fn options(overlay: &Overlay<'_>) -> impl Iterator<Item = &'static str> {
    let volatile = overlay.volatile && overlay.upper.is_some();
    ["index=off", "metacopy=off", "redirect_dir=nofollow"]
        .into_iter()
        .chain(volatile.then_some("volatile"))
        .chain(overlay.userxattr.then_some("userxattr"))
}

#[cfg(test)]
mod tests;
