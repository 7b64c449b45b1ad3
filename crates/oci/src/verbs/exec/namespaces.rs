//! The namespaces of a running container: by its pidfd, or one by one.

use hull_launch::plan::{Namespaces, Slot};
use hull_sys::{namespace, pidfd};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::bundle::Fds;
use crate::container::Container;
use crate::error::{Error, Result};

/// In the order in which they can be entered: that of mounts when nothing of the host is looked up any more.
const ALL: [(Namespaces, &str); 7] = [
    (Namespaces::USER, "user"),
    (Namespaces::IPC, "ipc"),
    (Namespaces::UTS, "uts"),
    (Namespaces::NETWORK, "net"),
    (Namespaces::CGROUP, "cgroup"),
    (Namespaces::TIME, "time"),
    (Namespaces::MOUNT, "mnt"),
];

/// What is entered: one descriptor for all, or (KERNEL(5.3): without pidfd_open) the pid namespace's and the others.
pub fn target(container: &Container, bits: Namespaces, fds: &mut Fds) -> Result<(Slot, Vec<(Slot, Namespaces)>)> {
    let pid = Pid::from_raw(container.state.pid).ok_or(Error::NotRunning)?;
    if !matches!(pidfd::open(pid), Err(error) if error.errno == Errno::NOSYS) {
        return Ok((fds.push(container.pidfd()?), Vec::new()));
    }
    let target = fds.push(namespace::of(pid, "pid")?);
    let mut apart = Vec::new();
    for (kind, name) in ALL {
        if bits.contains(kind) {
            apart.push((fds.push(namespace::of(pid, name)?), kind));
        }
    }
    // ORDER: looked at once the namespaces are held, so that they are not another process's.
    if container.is_alive() { Ok((target, apart)) } else { Err(Error::NotRunning) }
}
