//! The overlay of old kernels: made by `mount(2)` in a mount namespace that lives only as long as
//! the helper thread, then cloned out of it.
//!
//! Layers are named by descriptor number relative to `/proc/self/fd`, so that hundreds of them fit
//! into the one page that `mount(2)` takes. Detached layers are attached in that namespace first.

use std::fmt::Write;
use std::os::fd::{AsRawFd, OwnedFd};

use hull_sys::{Named, Result as CallResult, mount, namespace, process, resolve};
use rustix::fs::OFlags;
use rustix::mount::MountFlags;

use super::{Overlay, options};
use crate::{MountFd, Result};

/// `CLONE_NEWNS`.
const NEW_MOUNT_NAMESPACE: u32 = 0x0002_0000;

pub(super) fn overlay(overlay: &Overlay<'_>) -> Result<MountFd> {
    let made = namespace::on_own_thread(|| {
        process::unshare_fs()?;
        process::unshare(NEW_MOUNT_NAMESPACE)?;
        mount::make_all_private()?;
        mount_and_clone(overlay)
    })?;
    let made = MountFd::from_fd(made);
    if overlay.attrs != 0 {
        made.set_attrs(overlay.attrs, 0, false)?;
    }
    Ok(made)
}

/// In the private namespace: a tmpfs over `/` bears the mount points, the way to `/proc` stays the
/// thread's root beneath it.
fn mount_and_clone(overlay: &Overlay<'_>) -> CallResult<OwnedFd> {
    let base = mount::FsContext::open("tmpfs")?.mount(0)?;
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .named(|| "open(\"/\")".to_owned())?;
    mount::attach(&base, &root)?;
    for (index, layer) in overlay.detached.iter().enumerate() {
        let place = resolve::mkdir_in_root(&base, index.to_string(), 0o755)?;
        mount::attach(layer, &place)?;
    }
    let target = resolve::mkdir_in_root(&base, "overlay", 0o755)?;
    // ORDER: relative names below are looked up here.
    rustix::process::chdir("/proc/self/fd").named(|| "chdir(\"/proc/self/fd\")".to_owned())?;
    let data = data(overlay);
    let place = target.as_raw_fd().to_string();
    let c_data = std::ffi::CString::new(data.as_str()).unwrap_or_default();
    rustix::mount::mount("overlay", &place, "overlay", MountFlags::empty(), Some(c_data.as_c_str()))
        .named(|| format!("mount(overlay, {data:?})"))?;
    let made = resolve::open_in_root(&base, "overlay", OFlags::PATH)?;
    let clone = mount::clone_tree(&made, false)?;
    Ok(clone)
}

fn data(overlay: &Overlay<'_>) -> String {
    let mut data = String::from("lowerdir=");
    for (index, lower) in overlay.lowers.iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        _ = write!(data, "{colon}{}", lower.as_raw_fd());
    }
    if let (Some(upper), Some(work)) = (overlay.upper, overlay.work) {
        _ = write!(data, ",upperdir={},workdir={}", upper.as_raw_fd(), work.as_raw_fd());
    }
    for option in options(overlay) {
        _ = write!(data, ",{option}");
    }
    data
}
