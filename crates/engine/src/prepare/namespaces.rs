//! Namespaces: which are joined by which descriptor, the user namespace made ahead, and what then has
//! to be bound from the host because the container does not own it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_launch::compile::{Joined, Mqueue};
use hull_launch::plan::{IdMaps, Slot};
use hull_launch::spec::{NamespaceWish, Shm, Userns};
use hull_types::Fault;

use super::fds::Fds;
use super::files;
use super::peer::Found;
use super::{Parts, StartInput};

/// The user namespace that the container shall stand in.
pub(super) struct User {
    pub fd: OwnedFd,
    pub maps: IdMaps,
}

/// What is known about the namespaces of one start.
pub(super) struct Spaces {
    pub joined: Joined,
    pub user: Option<User>,
    pub shm: Option<Slot>,
    pub mqueue: Mqueue,
    pub sysfs: Option<Slot>,
    pub procfs: Option<Slot>,
}

/// Gathers them.
pub(super) fn gather(parts: &Parts, input: &StartInput<'_>, found: &mut Found, fds: &mut Fds) -> Result<Spaces, Fault> {
    let wish = &input.spec.namespaces;
    let mut joined = Joined::default();
    for (wish, what, place) in [
        (&wish.pid, "PID", &mut joined.pid),
        (&wish.uts, "UTS namespace", &mut joined.uts),
        (&wish.ipc, "IPC", &mut joined.ipc),
        (&wish.net, "network", &mut joined.net),
        (&wish.cgroup, "cgroup namespace", &mut joined.cgroup),
        (&wish.time, "time namespace", &mut joined.time),
    ] {
        if let NamespaceWish::Container(id) = wish {
            *place = Some(found.get(id, what, input.peers, fds)?.slot);
        }
    }
    let user = user(parts, input, found, fds)?;
    if let Some(user) = &user {
        let copy = hull_sys::fds::duplicate(&user.fd)?;
        joined.user = Some(fds.push(copy)?);
    }
    joined.net = match network(parts, input, user.as_ref())? {
        Some(netns) => Some(fds.push(netns)?),
        None => joined.net,
    };
    let mut spaces = Spaces { joined, user, shm: None, mqueue: Mqueue::New, sysfs: None, procfs: None };
    shared_memory(input, found, fds, &mut spaces)?;
    if spaces.user.is_some() {
        not_owned(input, found, fds, &mut spaces)?;
    }
    Ok(spaces)
}

/// A new network namespace, wired to the container's networks. `None`: it is another's, or `clone3` makes it.
fn network(parts: &Parts, input: &StartInput<'_>, user: Option<&User>) -> Result<Option<OwnedFd>, Fault> {
    if input.spec.namespaces.net != NamespaceWish::New {
        return Ok(None);
    }
    let netns = match user {
        // ORDER: a namespace made ahead belongs to the engine's user namespace, so it is of use only
        // to a container without one of its own.
        None => match (input.ready)() {
            Some(netns) => netns,
            None => parts.netns.take()?.into_fd(),
        },
        Some(_) if input.endpoints.is_empty() => return Ok(None),
        Some(user) => hull_sys::namespace::new_network_of(user.fd.as_fd())?,
    };
    if !input.endpoints.is_empty() {
        (input.wire)(netns.as_fd())?;
    }
    Ok(Some(netns))
}

fn user(parts: &Parts, input: &StartInput<'_>, found: &mut Found, fds: &mut Fds) -> Result<Option<User>, Fault> {
    let maps = match &input.spec.namespaces.user {
        Userns::Host => return Ok(None),
        Userns::Container(id) => {
            let peer = found.get(id, "user namespace", input.peers, fds)?;
            return Ok(Some(User { fd: peer.userns()?, maps: peer.maps()? }));
        }
        Userns::Auto { size } => {
            let (id, ephemeral) = (input.id.as_str(), input.rootfs.ephemeral);
            parts.ranges.of(&parts.root.join("containers"), id, *size, ephemeral)?
        }
        Userns::Maps(maps) => maps.clone(),
    };
    Ok(Some(User { fd: (input.userns)(&maps)?, maps }))
}

/// `/dev/shm` of the host or of the container whose IPC namespace is joined.
fn shared_memory(input: &StartInput<'_>, found: &mut Found, fds: &mut Fds, spaces: &mut Spaces) -> Result<(), Fault> {
    if input.spec.shm != Shm::Shared {
        return Ok(());
    }
    let mount = match &input.spec.namespaces.ipc {
        NamespaceWish::Container(id) => {
            let peer = found.get(id, "IPC", input.peers, fds)?;
            if peer.spec.shm == Shm::None { None } else { peer.mount_at(fds, "/dev/shm")? }
        }
        _ if Path::new("/dev/shm").is_dir() => Some(files::bind_host(Path::new("/dev/shm"), false)?.0.into_fd()),
        _ => None,
    };
    spaces.shm = mount.map(|fd| fds.push(fd)).transpose()?;
    Ok(())
}

/// A user namespace may mount procfs, sysfs and mqueue only for namespaces that it owns.
fn not_owned(input: &StartInput<'_>, found: &mut Found, fds: &mut Fds, spaces: &mut Spaces) -> Result<(), Fault> {
    let wish = &input.spec.namespaces;
    // The other container's namespace is owned by the user namespace that both stand in, if that
    // container made it.
    let mut owned = |of: fn(&hull_launch::spec::NamespaceWishes) -> &NamespaceWish| match of(wish) {
        NamespaceWish::New => Ok(true),
        NamespaceWish::Host => Ok(false),
        NamespaceWish::Container(id) => {
            let peer = found.get(id, "namespaces", input.peers, fds)?;
            let same = wish.user == Userns::Container(id.clone()) || peer.spec.namespaces.user == wish.user;
            Ok::<bool, Fault>(same && *of(&peer.spec.namespaces) == NamespaceWish::New)
        }
    };
    let (pid, ipc, net) = (owned(|w| &w.pid)?, owned(|w| &w.ipc)?, owned(|w| &w.net)?);
    let bind = |path: &str, fds: &mut Fds| -> Result<Slot, Fault> {
        fds.push(files::bind_host(Path::new(path), false)?.0.into_fd())
    };
    if !net {
        spaces.sysfs = Some(bind("/sys", fds)?);
    }
    if !pid {
        if wish.pid != NamespaceWish::Host {
            return Err(Fault::invalid(
                "a container in a user namespace cannot join the PID namespace of one outside it",
            ));
        }
        spaces.procfs = Some(bind("/proc", fds)?);
    }
    if !ipc {
        let mount = match &wish.ipc {
            NamespaceWish::Container(id) => found.get(id, "IPC", input.peers, fds)?.mount_at(fds, "/dev/mqueue")?,
            _ if Path::new("/dev/mqueue").is_dir() => {
                Some(files::bind_host(Path::new("/dev/mqueue"), false)?.0.into_fd())
            }
            _ => None,
        };
        spaces.mqueue = match mount {
            Some(fd) => Mqueue::Shared(fds.push(fd)?),
            None => Mqueue::None,
        };
    }
    Ok(())
}
