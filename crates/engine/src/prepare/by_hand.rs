//! The facts of a start once more, with a [`Thing`] in the place of each descriptor: what the launch plan is compiled from to be
//! told and not to be walked. Of a container that runs they are read from it, else they are those of a start to come. Opens
//! nothing for long, makes nothing.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_cgroup::{Beginning, Cgroup, Version};
use hull_launch::compile::{self, CgroupJoin, EtcFile, Facts, Joined, MountFact, Mqueue, Streams};
use hull_launch::plan::{IdMaps, LaunchPlan, Slot};
use hull_launch::spec::{MountKind, MountWish, NamespaceWish, Shm, Spec, Userns};
use hull_types::{ContainerId, Digest, Fault};

use super::fds::Fds;
use super::{Parts, cgroup, devices, files, identity, mounts, peer};

/// What a descriptor of the plan stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// Of no interest to the reader of a script.
    Unseen,
    /// The root file system.
    Root,
    /// A path of the host, perhaps with what is mounted beneath it.
    Path(PathBuf, bool),
    /// A file that the engine writes for the container: `hosts`, `hostname` or `resolv.conf`.
    Written(&'static str),
    /// An image's files: layers, bottom first, and what lies there.
    Layers(Vec<Digest>, PathBuf),
    /// The process that holds the namespaces made ahead.
    Holder,
    /// PID 1 of another container.
    Process(i32),
    /// Something that no command can take hold of, in words.
    Foreign(String),
}

/// A start, to be told.
pub(crate) struct Told {
    pub plan: LaunchPlan,
    /// By slot.
    pub things: Vec<Thing>,
    /// The cgroup's directories and what is written there.
    pub groups: Vec<Beginning>,
    pub v2: bool,
    /// The maps of its own user namespace.
    pub maps: Option<IdMaps>,
}

/// A container.
pub(crate) struct Of<'a> {
    pub id: &'a ContainerId,
    pub spec: &'a Spec,
    /// What its root file system stands on.
    pub base: &'a hull_snapshot::Base,
    /// PID 1 on the host, if it runs.
    pub pid: Option<i32>,
    pub group: &'a Cgroup,
    /// PID 1 of a running container.
    pub peer: &'a dyn Fn(&str) -> Option<i32>,
}

/// Gathers and compiles.
pub(crate) fn tell(parts: &Parts, of: &Of<'_>) -> Result<Told, Fault> {
    let spec = of.spec;
    let mut things = Things::default();
    let root = root(parts, of)?;
    let user = things.user(of)?;
    let maps = maps(parts, of)?;
    let joined = things.joined(of, user)?;
    let shm = things.shm(of)?;
    let own = things.not_owned(of, user.is_some());
    let mut granted = devices::gather(spec, false, &mut Fds::default())?;
    let groups = of.group.beginning(&cgroup::limits(spec, &granted))?;
    for node in granted.nodes.iter_mut().filter(|_| user.is_some()) {
        node.bind = Some(things.add(Thing::Path(devices::host_path(spec, &node.path), false)));
    }
    let shares = shares_cgroups(of)?;
    let of_host = parts.cgroups.mountpoint().filter(|_| shares);
    let of_host = of_host.map(|path| things.add(Thing::Path(path.to_owned(), false)));
    let etc = [("/etc/resolv.conf", "resolv.conf"), ("/etc/hostname", "hostname"), ("/etc/hosts", "hosts")];
    let none = things.add(Thing::Unseen);
    let facts = Facts {
        key: of.id.to_string(),
        who: identity::resolve(root.as_fd(), &spec.process)?,
        root: things.add(Thing::Root),
        id_maps: maps.clone(),
        joined,
        cgroup: Some(CgroupJoin::V2(none)),
        cgroup_mounts: cgroup::mounts(parts, of.group, of_host),
        mounts: spec.mounts.iter().map(|wish| things.mount(parts, &root, wish)).collect::<Result<_, _>>()?,
        shm,
        mqueue: own.mqueue,
        sysfs: own.sysfs,
        procfs: own.procfs,
        devices: granted.nodes,
        etc: etc.map(|(path, name)| EtcFile { path: path.into(), mount: things.add(Thing::Written(name)) }).into(),
        streams: Streams::Pipes { stdin: none, stdout: none, stderr: none },
        seccomp: None,
        apparmor: parts.host.lsm.apparmor,
        selinux: parts.host.lsm.selinux,
    };
    let plan = compile::compile(spec, &facts)?.plan;
    let v2 = parts.cgroups.version() == Version::V2;
    Ok(Told { plan, things: things.0, groups, v2, maps: maps.filter(|_| user == Some(true)) })
}

/// Where its users and directories are looked up: its root, or what will be below it.
fn root(parts: &Parts, of: &Of<'_>) -> Result<OwnedFd, Fault> {
    use hull_snapshot::Base;
    match (of.pid, of.base) {
        (Some(pid), _) => peer::root_of(pid),
        (None, Base::Layers(layers)) => Ok(parts.snapshots.view(layers, None)?.into_fd()),
        (None, Base::Host) => files::open_host(Path::new("/")),
    }
}

/// The maps of the user namespace that it stands in, or will: a range that is free now, if it has none yet.
fn maps(parts: &Parts, of: &Of<'_>) -> Result<Option<IdMaps>, Fault> {
    let maps = match (&of.spec.namespaces.user, of.pid) {
        (Userns::Host, _) => return Ok(None),
        (_, Some(pid)) => peer::maps_of(pid)?,
        (Userns::Container(id), None) => peer::maps_of(joined(of, id)?)?,
        (Userns::Maps(maps), None) => maps.clone(),
        (Userns::Auto { size }, None) => {
            parts.ranges.of(&parts.root.join("containers"), of.id.as_str(), *size, true)?
        }
    };
    Ok(Some(maps))
}

fn shares_cgroups(of: &Of<'_>) -> Result<bool, Fault> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/cgroup")).ok();
    Ok(match &of.spec.namespaces.cgroup {
        NamespaceWish::New => false,
        NamespaceWish::Host => true,
        NamespaceWish::Container(id) => namespace(&joined(of, id)?.to_string()) == namespace("self"),
    })
}

/// PID 1 of a container whose namespaces it joins.
fn joined(of: &Of<'_>, id: &str) -> Result<i32, Fault> {
    (of.peer)(id).ok_or_else(|| {
        let short = &id[..12.min(id.len())];
        Fault::conflict(format!("container {short} whose namespaces it joins does not run"))
            .hint(format!("start it first: `hull start {short}`"))
    })
}

#[derive(Default)]
struct Things(Vec<Thing>);

/// What a user namespace does not let its container mount itself.
struct NotOwned {
    mqueue: Mqueue,
    sysfs: Option<Slot>,
    procfs: Option<Slot>,
}

impl Things {
    fn add(&mut self, thing: Thing) -> Slot {
        self.0.push(thing);
        Slot(u16::try_from(self.0.len() - 1).unwrap_or(u16::MAX))
    }

    /// Whether there is a user namespace other than the engine's, and whether it is the container's own.
    fn user(&self, of: &Of<'_>) -> Result<Option<bool>, Fault> {
        Ok(match &of.spec.namespaces.user {
            Userns::Host => None,
            Userns::Auto { .. } | Userns::Maps(_) => Some(true),
            Userns::Container(_) => Some(false),
        })
    }

    fn process(&mut self, of: &Of<'_>, id: &str) -> Result<Slot, Fault> {
        let pid = joined(of, id)?;
        Ok(self.add(Thing::Process(pid)))
    }

    fn joined(&mut self, of: &Of<'_>, user: Option<bool>) -> Result<Joined, Fault> {
        let wish = &of.spec.namespaces;
        let mut joined = Joined::default();
        for (wish, place) in [
            (&wish.pid, &mut joined.pid),
            (&wish.uts, &mut joined.uts),
            (&wish.ipc, &mut joined.ipc),
            (&wish.net, &mut joined.net),
            (&wish.cgroup, &mut joined.cgroup),
            (&wish.time, &mut joined.time),
        ] {
            if let NamespaceWish::Container(id) = wish {
                *place = Some(self.process(of, id)?);
            }
        }
        if wish.net == NamespaceWish::New {
            joined.net = Some(self.add(Thing::Holder));
        }
        joined.user = match (&wish.user, user) {
            (Userns::Container(id), _) => Some(self.process(of, id)?),
            (_, Some(_)) => Some(self.add(Thing::Holder)),
            (_, None) => None,
        };
        Ok(joined)
    }

    fn shm(&mut self, of: &Of<'_>) -> Result<Option<Slot>, Fault> {
        if of.spec.shm != Shm::Shared {
            return Ok(None);
        }
        Ok(Some(self.add(match &of.spec.namespaces.ipc {
            NamespaceWish::Container(_) => Thing::Foreign("`/dev/shm` of the container whose IPC it shares".into()),
            _ => Thing::Path("/dev/shm".into(), false),
        })))
    }

    fn not_owned(&mut self, of: &Of<'_>, user: bool) -> NotOwned {
        let wish = &of.spec.namespaces;
        let mut own = NotOwned { mqueue: Mqueue::New, sysfs: None, procfs: None };
        if !user {
            return own;
        }
        if wish.net == NamespaceWish::Host {
            own.sysfs = Some(self.add(Thing::Path("/sys".into(), false)));
        }
        if wish.pid == NamespaceWish::Host {
            own.procfs = Some(self.add(Thing::Path("/proc".into(), false)));
        }
        if wish.ipc == NamespaceWish::Host {
            own.mqueue = Mqueue::Shared(self.add(Thing::Path("/dev/mqueue".into(), false)));
        }
        own
    }

    fn mount(&mut self, parts: &Parts, root: impl AsFd, wish: &MountWish) -> Result<MountFact, Fault> {
        let (thing, directory) = match &wish.kind {
            MountKind::Bind { source, recursive, create, .. } => {
                // One that is missing becomes a directory.
                let directory = source.is_dir() || (*create && !source.exists());
                (Thing::Path(source.clone(), *recursive), directory)
            }
            MountKind::Volume { name, subpath, .. } => volume(parts, name, subpath.as_deref())?,
            MountKind::Image { layers, subpath, .. } => {
                (Thing::Layers(layers.clone(), subpath.clone().unwrap_or_default()), true)
            }
            MountKind::Tmpfs { .. } => {
                return Ok(MountFact::Made { mode: mounts::covered_mode(root.as_fd(), &wish.target)? });
            }
        };
        Ok(MountFact::Detached { mount: self.add(thing), directory })
    }
}

fn volume(parts: &Parts, name: &str, subpath: Option<&Path>) -> Result<(Thing, bool), Fault> {
    let options: BTreeMap<String, String> = parts.volumes.inspect(name)?.options;
    let (whole, recursive) = match (options.get("device"), options.get("o").map(String::as_str)) {
        (Some(device), Some(o)) if o.split(',').any(|one| one.ends_with("bind")) => {
            (PathBuf::from(device), o.contains("rbind"))
        }
        (None, _) if options.is_empty() => (parts.volumes.mountpoint(name), false),
        _ => return Ok((Thing::Foreign(format!("the file system of the volume {name}")), true)),
    };
    let path = subpath.map_or_else(|| whole.clone(), |below| whole.join(below));
    let directory = path.is_dir();
    Ok((Thing::Path(path, recursive), directory))
}
