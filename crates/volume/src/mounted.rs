//! File systems that are mounted while somebody uses a volume: each in a mount namespace of its own, of which it is the
//! root and the only mount. The descriptor of the namespace is all that holds it; the host never sees it.
//!
//! ```text
//! absent ──first use──▶ mounted (namespace held here, and by whom it is reported to) ──last use──▶ absent
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::net::ToSocketAddrs;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hull_mount::MountFd;
use hull_sys::mount::FsContext;
use hull_sys::{Named, Result, mount, namespace, process};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::options::FileSystem;

/// `CLONE_NEWNS`.
const MOUNT_NAMESPACE: u32 = 0x0002_0000;

/// Told of each volume that is mounted, and then of its end.
type Listener = Box<dyn Fn(&str, Option<&OwnedFd>) + Send + Sync>;

/// One volume's namespace, if it is mounted. Locked while it is mounted, which a server may make slow.
type Place = Arc<Mutex<Option<OwnedFd>>>;

/// All of them.
#[derive(Default)]
pub(crate) struct Mounted {
    places: Mutex<BTreeMap<String, Place>>,
    listener: OnceLock<Listener>,
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").field("places", &self.places).finish_non_exhaustive()
    }
}

impl Mounted {
    pub fn report_to(&self, listener: Listener) {
        // There is one engine, which comes once.
        let _ = self.listener.set(listener);
    }

    /// Takes one over from an earlier engine.
    pub fn adopt(&self, name: &str, namespace: OwnedFd) {
        *lock(&self.place(name)) = Some(namespace);
    }

    /// The names of those that are mounted.
    pub fn names(&self) -> Vec<String> {
        lock(&self.places).keys().cloned().collect()
    }

    /// Another descriptor of a mounted one's namespace.
    pub fn namespace(&self, name: &str) -> Option<OwnedFd> {
        let place = lock(&self.places).get(name).cloned()?;
        lock(&place).as_ref()?.try_clone().ok()
    }

    /// The root directory of the volume, mounted if it is not.
    pub fn root(&self, name: &str, wish: &FileSystem) -> Result<OwnedFd> {
        self.with(name, wish, || {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::open("/", flags, Mode::empty()).named(|| "open(the volume's root)".to_owned())
        })
    }

    /// A detached mount of what `place` is a descriptor of, which lies in the volume.
    pub fn bind(&self, name: &str, wish: &FileSystem, place: impl AsFd + Sync) -> Result<MountFd> {
        self.with(name, wish, || Ok(MountFd::from_fd(mount::clone_tree(&place, false)?)))
    }

    /// Unmounts it if `is_used` denies; asked while nobody can begin to mount it.
    pub fn release_unless(&self, name: &str, is_used: impl FnOnce() -> bool) {
        let Some(place) = lock(&self.places).get(name).cloned() else { return };
        let mut held = lock(&place);
        if is_used() {
            return;
        }
        let gone = held.take();
        lock(&self.places).remove(name);
        if gone.is_some() {
            self.tell(name, None);
        }
    }

    fn place(&self, name: &str) -> Place {
        lock(&self.places).entry(name.to_owned()).or_default().clone()
    }

    fn with<T: Send>(&self, name: &str, wish: &FileSystem, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let place = self.place(name);
        let mut held = lock(&place);
        if held.is_none() {
            match make(wish) {
                Ok(made) => {
                    self.tell(name, Some(&made));
                    *held = Some(made);
                }
                Err(error) => {
                    lock(&self.places).remove(name);
                    return Err(error);
                }
            }
            // Released between the look-up and the lock, it would be in no list.
            lock(&self.places).entry(name.to_owned()).or_insert_with(|| Arc::clone(&place));
        }
        let namespace = held.as_ref().map(AsFd::as_fd);
        namespace::on_own_thread(|| {
            process::unshare_fs()?;
            if let Some(namespace) = namespace {
                process::setns(namespace, MOUNT_NAMESPACE)?;
            }
            work()
        })
    }

    fn tell(&self, name: &str, namespace: Option<&OwnedFd>) {
        if let Some(listener) = self.listener.get() {
            listener(name, namespace);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the kernel has such a file system; nothing is mounted.
pub(crate) fn is_known(kind: &str) -> bool {
    !matches!(FsContext::open(kind), Err(error) if error.errno == Errno::NODEV)
}

/// Mounts it, as the root of a mount namespace that holds nothing else.
fn make(wish: &FileSystem) -> Result<OwnedFd> {
    namespace::on_own_thread(|| {
        // ORDER: a device is looked up in the host's namespace.
        let context = FsContext::open(&wish.kind)?;
        context.string("source", &wish.device)?;
        for (key, value) in &wish.options {
            match value {
                Some(value) if key == "addr" => context.string(key, &address(&wish.kind, value)?)?,
                Some(value) => context.string(key, value)?,
                None => context.flag(key)?,
            }
        }
        let made = context.mount(wish.attrs)?;
        process::unshare_fs()?;
        process::unshare(MOUNT_NAMESPACE)?;
        mount::make_all_private()?;
        // ORDER: /proc is out of reach afterwards.
        let own = namespace::own("mnt")?;
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        mount::attach(&made, root.named(|| "open(\"/\")".to_owned())?)?;
        rustix::process::fchdir(&made).named(|| "fchdir(the volume)".to_owned())?;
        match mount::pivot_root_here() {
            // An initramfs cannot be pivoted away from: it stays beneath, out of sight.
            Err(error) if error.errno == Errno::INVAL => {}
            result => result?,
        }
        Ok(own)
    })
}

/// COMPAT(docker 28): the kernel's clients of NFS and CIFS want a number where the user may give a name.
fn address(kind: &str, value: &str) -> Result<String> {
    let is_remote = kind.starts_with("nfs") || kind == "cifs";
    if !is_remote || value.parse::<std::net::IpAddr>().is_ok() {
        return Ok(value.to_owned());
    }
    let found = (value, 0).to_socket_addrs().ok().and_then(|mut all| all.next());
    let unknown = || hull_sys::Error::new(format!("resolve the address {value:?}"), Errno::HOSTUNREACH);
    found.map(|address| address.ip().to_string()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address_or_no_server_is_not_looked_up() {
        for (kind, value, wanted) in [
            ("nfs", "10.1.2.3", "10.1.2.3"),
            ("nfs4", "fd00::1", "fd00::1"),
            ("cifs", "127.0.0.1", "127.0.0.1"),
            ("ext4", "localhost", "localhost"),
        ] {
            assert_eq!(address(kind, value).unwrap(), wanted, "{kind} {value}");
        }
    }
}
