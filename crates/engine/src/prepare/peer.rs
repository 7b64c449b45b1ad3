//! Other containers whose namespaces are joined: looked up once, one descriptor each.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use hull_launch::plan::{IdMaps, Namespaces, Slot};
use hull_launch::spec::Spec;
use hull_types::Fault;
use rustix::fs::{CWD, Mode, OFlags};

use super::Peers;
use super::fds::Fds;
use super::{files, ranges};

/// A container whose namespaces are joined.
#[derive(Clone)]
pub(super) struct Known {
    pub slot: Slot,
    pub pid: i32,
    pub spec: Arc<Spec>,
}

/// Those found so far.
#[derive(Default)]
pub(super) struct Found(BTreeMap<String, Known>);

impl Found {
    /// The running container `id`; its pidfd goes into the plan.
    pub fn get(&mut self, id: &str, what: &str, peers: &dyn Peers, fds: &mut Fds) -> Result<Known, Fault> {
        if let Some(known) = self.0.get(id) {
            return Ok(known.clone());
        }
        let short = &id[..12.min(id.len())];
        let peer = peers.running(id).ok_or_else(|| {
            Fault::conflict(format!("cannot join {what} of a non running container: {short}"))
                .hint(format!("start it first: `hull start {short}`"))
        })?;
        let slot = fds.push(peer.pidfd)?;
        let known = Known { slot, pid: peer.pid, spec: peer.spec };
        self.0.insert(id.to_owned(), known.clone());
        Ok(known)
    }
}

impl Known {
    /// A clone of the mount at `path` in its mount namespace; `None` if nothing is mounted there.
    pub fn mount_at(&self, fds: &Fds, path: &str) -> Result<Option<OwnedFd>, Fault> {
        let pidfd = fds.get(self.slot);
        let found = hull_sys::namespace::on_own_thread(|| {
            hull_sys::process::unshare_fs()?;
            hull_sys::process::setns(pidfd, Namespaces::MOUNT.0)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::openat(CWD, "/", flags, Mode::empty())
                .map_err(|errno| hull_sys::Error::new("open(\"/\")", errno))?;
            let place = hull_sys::resolve::open_in_root(&root, path, OFlags::PATH)?;
            hull_sys::mount::clone_tree(&place, false)
        });
        match found {
            Ok(mount) => Ok(Some(mount)),
            Err(error) if error.errno == rustix::io::Errno::NOENT => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The maps of its user namespace.
    pub fn maps(&self) -> Result<IdMaps, Fault> {
        maps_of(self.pid)
    }

    /// Its user namespace, for id-mapped mounts.
    pub fn userns(&self) -> Result<OwnedFd, Fault> {
        let path = format!("/proc/{}/ns/user", self.pid);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, Path::new(&path), flags, Mode::empty())
            .map_err(|errno| Fault::internal("cannot open the joined user namespace").cause(errno))
    }
}

/// The maps of a process's user namespace.
pub(crate) fn maps_of(pid: i32) -> Result<IdMaps, Fault> {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/{file}"))
            .map_err(|error| Fault::internal("cannot read the maps of a user namespace").cause(error))
    };
    Ok(IdMaps { uids: ranges::parse(&read("uid_map")?), gids: ranges::parse(&read("gid_map")?) })
}

/// The root directory of a process, as the host sees it.
pub(crate) fn root_of(pid: i32) -> Result<OwnedFd, Fault> {
    files::open_host(Path::new(&format!("/proc/{pid}/root")))
        .map_err(|fault| Fault { summary: "cannot open the container's root".to_owned(), ..fault })
}
