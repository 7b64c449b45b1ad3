//! `linux.namespaces`, their maps, offsets and sysctls.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use hull_launch::compile::Joined;
use hull_launch::plan::{IdMaps, IdRange, Namespaces, Slot};
use hull_launch::spec::{Bundle, NamespaceWish, NamespaceWishes, TimeOffsets, Userns};
use hull_sys::namespace;
use rustix::fs::{Mode, OFlags};

use super::fds::Fds;
use crate::config::{IdMapping, Linux, Namespace};
use crate::error::{Doing, Error, Result};

/// What the container stands in.
#[derive(Debug)]
pub struct Spaces {
    /// Which are new.
    pub wishes: NamespaceWishes,
    /// Which are joined, by descriptor.
    pub joined: Joined,
    /// `CLONE_NEW*` of all that are not the host's.
    pub bits: u32,
    /// The maps of its user namespace, if it is new.
    pub maps: Option<IdMaps>,
}

impl Spaces {
    /// It has a user namespace that is not the host's.
    pub fn in_userns(&self) -> bool {
        self.has(Namespaces::USER)
    }

    /// It has this namespace.
    pub fn has(&self, one: Namespaces) -> bool {
        Namespaces(self.bits).contains(one)
    }
}

/// The kind's name in the specification, and its bit.
const KINDS: [(&str, Namespaces); 8] = [
    ("pid", Namespaces::PID),
    ("network", Namespaces::NETWORK),
    ("mount", Namespaces::MOUNT),
    ("ipc", Namespaces::IPC),
    ("uts", Namespaces::UTS),
    ("user", Namespaces::USER),
    ("cgroup", Namespaces::CGROUP),
    ("time", Namespaces::TIME),
];

/// `CLONE_NEW*` of a configuration's namespaces.
pub fn bits(linux: &Linux) -> u32 {
    let known = linux.namespaces.iter().filter_map(|one| KINDS.iter().find(|(name, _)| *name == one.kind));
    known.fold(0, |bits, (_, one)| bits | one.0)
}

/// Opens what is joined and makes the user namespace.
pub fn open(linux: &Linux, fds: &mut Fds) -> Result<Spaces> {
    check(linux)?;
    let mut wishes = NamespaceWishes { ipc_shareable: true, ..host() };
    let mut joined = Joined::default();
    for (at, one) in linux.namespaces.iter().enumerate() {
        let path = one.path.as_deref().filter(|path| !path.is_empty());
        let slot = match path {
            Some(path) => Some(fds.push(open_path(at, one, path)?)),
            None => None,
        };
        enter(one, slot, &mut wishes, &mut joined);
    }
    wishes.time_offsets = time_offsets(linux)?;
    let mut maps = None;
    if linux.namespaces.iter().any(|one| one.kind == "user") && joined.user.is_none() {
        let wish = IdMaps { uids: ranges(&linux.uid_mappings), gids: ranges(&linux.gid_mappings) };
        joined.user = Some(fds.push(new_user(&wish)?));
        wishes.user = Userns::Maps(wish.clone());
        maps = Some(wish);
    }
    Ok(Spaces { wishes, joined, bits: bits(linux), maps })
}

/// A user namespace with these maps.
pub fn new_user(maps: &IdMaps) -> Result<OwnedFd> {
    let lines = |list: &[IdRange]| -> Vec<_> { list.iter().map(|r| (r.inside, r.outside, r.length)).collect() };
    Ok(namespace::new_user(&lines(&maps.uids), &lines(&maps.gids))?)
}

/// As the launch has them.
pub fn ranges(mappings: &[IdMapping]) -> Vec<IdRange> {
    let range = |m: &IdMapping| IdRange { inside: m.container_id, outside: m.host_id, length: m.size };
    mappings.iter().map(range).collect()
}

fn host() -> NamespaceWishes {
    NamespaceWishes {
        pid: NamespaceWish::Host,
        uts: NamespaceWish::Host,
        ipc: NamespaceWish::Host,
        ipc_shareable: false,
        net: NamespaceWish::Host,
        cgroup: NamespaceWish::Host,
        time: NamespaceWish::Host,
        time_offsets: None,
        user: Userns::Host,
    }
}

fn check(linux: &Linux) -> Result<()> {
    let mut seen = 0;
    for (at, one) in linux.namespaces.iter().enumerate() {
        let field = format!("linux.namespaces[{at}].type");
        let Some((_, bit)) = KINDS.iter().find(|(name, _)| *name == one.kind) else {
            return Err(Error::invalid(field, format!("there is no namespace {:?}", one.kind)));
        };
        if seen & bit.0 != 0 {
            return Err(Error::invalid(field, format!("{:?} is given twice", one.kind)));
        }
        seen |= bit.0;
        if one.kind == "mount" && one.path.as_ref().is_some_and(|path| !path.is_empty()) {
            let reason = "a container's mounts are made in a mount namespace of its own";
            return Err(Error::unsupported(format!("linux.namespaces[{at}].path"), reason));
        }
    }
    if seen & Namespaces::MOUNT.0 == 0 {
        return Err(Error::unsupported("linux.namespaces", "without a mount namespace the host's mounts would change"));
    }
    let user = linux.namespaces.iter().find(|one| one.kind == "user");
    let joins = user.is_some_and(|one| one.path.as_ref().is_some_and(|path| !path.is_empty()));
    for (field, list) in [("linux.uidMappings", &linux.uid_mappings), ("linux.gidMappings", &linux.gid_mappings)] {
        if user.is_none() && !list.is_empty() {
            return Err(Error::invalid(field, "needs a user namespace"));
        }
        if user.is_some() && !joins && list.is_empty() {
            return Err(Error::invalid(field, "a new user namespace needs a map"));
        }
    }
    if seen & Namespaces::TIME.0 == 0 && !linux.time_offsets.is_empty() {
        return Err(Error::invalid("linux.timeOffsets", "needs a time namespace"));
    }
    if seen & Namespaces::NETWORK.0 == 0 && !linux.net_devices.is_empty() {
        return Err(Error::invalid("linux.netDevices", "needs a network namespace"));
    }
    Ok(())
}

fn open_path(at: usize, one: &Namespace, path: &str) -> Result<OwnedFd> {
    let field = || format!("linux.namespaces[{at}].path");
    if !path.starts_with('/') {
        return Err(Error::invalid(field(), format!("{path:?} is not absolute")));
    }
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open the {} namespace {path:?}", one.kind))?;
    match namespace::kind(&fd) {
        Ok(kind) if KINDS.iter().any(|(name, bit)| *name == one.kind && bit.0 == kind) => Ok(fd),
        _ => Err(Error::invalid(field(), format!("{path:?} is no {} namespace", one.kind))),
    }
}

fn enter(one: &Namespace, slot: Option<Slot>, wishes: &mut NamespaceWishes, joined: &mut Joined) {
    let (wish, place) = match one.kind.as_str() {
        "pid" => (&mut wishes.pid, &mut joined.pid),
        "network" => (&mut wishes.net, &mut joined.net),
        "ipc" => (&mut wishes.ipc, &mut joined.ipc),
        "uts" => (&mut wishes.uts, &mut joined.uts),
        "cgroup" => (&mut wishes.cgroup, &mut joined.cgroup),
        "time" => (&mut wishes.time, &mut joined.time),
        "user" => {
            joined.user = slot;
            return;
        }
        // The mount namespace is always new.
        _ => return,
    };
    (*wish, *place) = (NamespaceWish::New, slot);
}

fn time_offsets(linux: &Linux) -> Result<Option<TimeOffsets>> {
    let mut offsets = TimeOffsets::default();
    for (clock, offset) in &linux.time_offsets {
        let field = format!("linux.timeOffsets.{clock}");
        if offset.nanosecs > 999_999_999 {
            return Err(Error::invalid(field, "nanosecs is above 999999999"));
        }
        let total = offset.secs.checked_mul(1_000_000_000).and_then(|n| n.checked_add(i64::from(offset.nanosecs)));
        let total = total.ok_or_else(|| Error::invalid(field.clone(), "is out of range"))?;
        match clock.as_str() {
            "monotonic" => offsets.monotonic = total,
            "boottime" => offsets.boottime = total,
            _ => return Err(Error::invalid(field, "there is no such clock")),
        }
    }
    Ok((!linux.time_offsets.is_empty()).then_some(offsets))
}

/// Host names need a namespace of their own to be set in.
pub fn check_names(bundle: &Bundle, spaces: &Spaces) -> Result<()> {
    for (field, name) in [("hostname", &bundle.hostname), ("domainname", &bundle.domainname)] {
        if name.is_some() && !spaces.has(Namespaces::UTS) {
            return Err(Error::invalid(field, "unable to set it without a private UTS namespace"));
        }
    }
    Ok(())
}

/// Only what a namespace of the container confines.
pub fn sysctls(linux: &Linux, spaces: &Spaces) -> Result<BTreeMap<String, String>> {
    let private =
        hull_confine::sysctl::Private { ipc: spaces.has(Namespaces::IPC), net: spaces.has(Namespaces::NETWORK) };
    let mut checked = BTreeMap::new();
    for (key, value) in &linux.sysctl {
        let field = || format!("linux.sysctl.{key}");
        let path = if matches!(key.as_str(), "kernel.domainname" | "kernel/domainname") && spaces.has(Namespaces::UTS) {
            "kernel/domainname".to_owned()
        } else {
            hull_confine::sysctl::check(key, value, private).map_err(|error| Error::invalid(field(), error))?
        };
        checked.insert(path, value.clone());
    }
    Ok(checked)
}
