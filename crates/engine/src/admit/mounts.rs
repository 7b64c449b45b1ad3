//! All mounts of a request in one list: `Binds`, `Mounts`, `Tmpfs`, `VolumesFrom`, and the volumes of
//! the image. No target twice; volumes without a name get one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hull_launch::spec::{Idmap, MountKind, MountWish, NamespaceWishes, Propagation, Readonly, Userns};
use hull_types::{ContainerId, Fault};
use hull_wire as wire;

use super::text::shown;
use super::{Context, VolumeWish, binds, tmpfs};

/// The mounts and the volumes that must be made for them.
pub(super) fn all(
    context: &Context<'_>,
    config: &wire::ContainerConfig,
    host: &wire::HostConfig,
    namespaces: &NamespaceWishes,
) -> Result<(Vec<MountWish>, Vec<VolumeWish>), Fault> {
    let mut list = List::default();
    for entry in &host.binds {
        list.add(binds::parse(entry, context.host.lsm.selinux)?)?;
    }
    for mount in &host.mounts {
        let known = list.volumes.len();
        list.add(one(mount)?)?;
        if let (Some(volume), Some(options)) = (list.volumes.get_mut(known), &mount.volume_options) {
            volume.labels.clone_from(&options.labels);
            volume.options = options.driver_config.clone().unwrap_or_default().options;
        }
    }
    for (target, options) in &host.tmpfs {
        list.add(MountWish { target: binds::target(target)?, kind: tmpfs::from_text(options)? })?;
    }
    // What is asked for by name goes before what others and the image bring.
    for entry in &host.volumes_from {
        let (who, readonly) = binds::volumes_from(entry)?;
        let (_, spec) = context.containers.container(who)?;
        spec.mounts.iter().for_each(|mount| list.inherit(mount, readonly));
    }
    for path in config.volumes.keys() {
        list.of_image(path)?;
    }
    list.idmaps(namespaces)?;
    Ok((list.mounts, list.volumes))
}

#[derive(Default)]
struct List {
    mounts: Vec<MountWish>,
    volumes: Vec<VolumeWish>,
}

impl List {
    fn add(&mut self, wish: MountWish) -> Result<(), Fault> {
        if self.has(&wish.target) {
            return Err(Fault::invalid(format!("Duplicate mount point: {}", wish.target.display())));
        }
        if let MountKind::Volume { name, anonymous, .. } = &wish.kind
            && !self.volumes.iter().any(|volume| volume.name == *name)
        {
            let (name, anonymous) = (name.clone(), *anonymous);
            self.volumes.push(VolumeWish { name, anonymous, labels: BTreeMap::new(), options: BTreeMap::new() });
        }
        self.mounts.push(wish);
        Ok(())
    }

    fn has(&self, target: &std::path::Path) -> bool {
        self.mounts.iter().any(|mount| mount.target == target)
    }

    /// Another container's mount; it stays that one's, so it is never anonymous here.
    fn inherit(&mut self, mount: &MountWish, read_only: bool) {
        if self.has(&mount.target) || matches!(mount.kind, MountKind::Tmpfs { .. }) {
            return;
        }
        let mut mount = mount.clone();
        match &mut mount.kind {
            MountKind::Bind { readonly, .. } if read_only => *readonly = Readonly::Tree,
            MountKind::Volume { readonly, anonymous, nocopy, idmap, .. } => {
                (*anonymous, *nocopy) = (false, true);
                if *idmap == Idmap::Container {
                    // Its namespace is not ours: `idmaps` decides anew.
                    *idmap = Idmap::None;
                }
                if read_only {
                    *readonly = Readonly::Tree;
                }
            }
            _ => {}
        }
        self.mounts.push(mount);
    }

    fn of_image(&mut self, path: &str) -> Result<(), Fault> {
        let target = binds::target(path)?;
        if self.has(&target) {
            return Ok(());
        }
        let kind = volume(String::new())?;
        self.add(MountWish { target, kind })
    }

    /// In a user namespace volumes are shifted unless they bring maps of their own; `idmap` without
    /// one has nothing to shift by.
    fn idmaps(&mut self, namespaces: &NamespaceWishes) -> Result<(), Fault> {
        let userns = namespaces.user != Userns::Host;
        for mount in &mut self.mounts {
            match &mut mount.kind {
                MountKind::Volume { idmap: idmap @ Idmap::None, .. } if userns => *idmap = Idmap::Container,
                MountKind::Bind { idmap: Idmap::Container, .. } | MountKind::Volume { idmap: Idmap::Container, .. }
                    if !userns =>
                {
                    return Err(Fault::invalid(format!(
                        "the mount at `{}` asks for `idmap`, but the container has no user namespace of its own",
                        mount.target.display()
                    ))
                    .hint("add `--userns auto`, or give maps: `idmap=uids=0-1000-1;gids=0-1000-1`"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A volume; without a name it gets one and goes with the container.
fn volume(name: String) -> Result<MountKind, Fault> {
    let anonymous = name.is_empty();
    let name = if anonymous { ContainerId::new_random().to_string() } else { binds::volume_name(&name)? };
    Ok(MountKind::Volume { name, anonymous, subpath: None, readonly: Readonly::No, nocopy: false, idmap: Idmap::None })
}

/// One entry of `Mounts`.
fn one(mount: &wire::Mount) -> Result<MountWish, Fault> {
    if mount.target.is_empty() {
        return Err(invalid(mount, "field Target must not be empty"));
    }
    if !matches!(mount.consistency.as_str(), "" | "default" | "consistent" | "cached" | "delegated") {
        return Err(invalid(mount, "invalid consistency mode"));
    }
    let target = binds::target(&mount.target)?;
    foreign_options(mount)?;
    let kind = match mount.kind.as_str() {
        "bind" => bind(mount)?,
        "volume" => named(mount)?,
        "tmpfs" => in_memory(mount)?,
        "image" => image(mount)?,
        "npipe" | "cluster" => {
            return Err(Fault::unsupported(format!("mounts of type {} are not supported", shown(&mount.kind)))
                .hint("use `bind`, `volume`, `image` or `tmpfs`"));
        }
        _ => return Err(invalid(mount, "mount type unknown")),
    };
    Ok(MountWish { target, kind })
}

fn invalid(mount: &wire::Mount, why: &str) -> Fault {
    Fault::invalid(format!("invalid mount config for type {}: {why}", shown(&mount.kind)))
}

fn foreign_options(mount: &wire::Mount) -> Result<(), Fault> {
    for (kind, given) in [
        ("bind", mount.bind_options.as_ref().is_some_and(|o| *o != wire::BindOptions::default())),
        ("volume", mount.volume_options.as_ref().is_some_and(|o| *o != wire::VolumeOptions::default())),
        ("tmpfs", mount.tmpfs_options.as_ref().is_some_and(|o| *o != wire::TmpfsOptions::default())),
        ("image", mount.image_options.is_some()),
    ] {
        if given && mount.kind != kind {
            return Err(invalid(mount, &format!("options of type `{kind}` must not be specified")));
        }
    }
    Ok(())
}

fn bind(mount: &wire::Mount) -> Result<MountKind, Fault> {
    let options = mount.bind_options.clone().unwrap_or_default();
    if mount.source.is_empty() {
        return Err(invalid(mount, "field Source must not be empty"));
    }
    if !mount.source.starts_with('/') {
        return Err(invalid(
            mount,
            &format!("invalid mount path: {} mount path must be absolute", shown(&mount.source)),
        ));
    }
    let propagation = match options.propagation.as_str() {
        "" => Propagation::default(),
        word => binds::propagation(word).ok_or_else(|| invalid(mount, "invalid propagation mode"))?,
    };
    let source = PathBuf::from(super::command::clean(&mount.source));
    if !options.create_mountpoint && !source.exists() {
        return Err(invalid(mount, &format!("bind source path does not exist: {}", source.display())));
    }
    Ok(MountKind::Bind {
        source,
        create: options.create_mountpoint,
        recursive: !options.non_recursive,
        readonly: readonly(mount, &options, propagation)?,
        propagation,
        idmap: Idmap::None,
    })
}

fn readonly(mount: &wire::Mount, options: &wire::BindOptions, propagation: Propagation) -> Result<Readonly, Fault> {
    let (top, force) = (options.read_only_non_recursive, options.read_only_force_recursive);
    if top && force {
        return Err(invalid(mount, "ReadOnlyForceRecursive and ReadOnlyNonRecursive conflict"));
    }
    if force && !mount.read_only {
        return Err(invalid(mount, "ReadOnlyForceRecursive requires ReadOnly"));
    }
    if top && !mount.read_only {
        return Err(invalid(mount, "ReadOnlyNonRecursive requires ReadOnly"));
    }
    if force && options.non_recursive {
        return Err(invalid(mount, "ReadOnlyForceRecursive conflicts with NonRecursive"));
    }
    if force && propagation != Propagation::RPrivate {
        return Err(invalid(mount, "ReadOnlyForceRecursive requires propagation to be `rprivate`"));
    }
    Ok(match mount.read_only {
        false => Readonly::No,
        true if top => Readonly::Top,
        true => Readonly::Tree,
    })
}

fn named(mount: &wire::Mount) -> Result<MountKind, Fault> {
    let options = mount.volume_options.clone().unwrap_or_default();
    let driver = options.driver_config.unwrap_or_default();
    if !matches!(driver.name.as_str(), "" | "local") {
        return Err(Fault::unsupported("volume drivers are not supported: `local` is the only one"));
    }
    hull_volume::content(&driver.options)?;
    let path = PathBuf::from(&options.subpath);
    let down = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    if !path.components().all(down) {
        return Err(invalid(mount, "subpath must be a relative path within the volume"));
    }
    if mount.source.starts_with('/') {
        return Err(invalid(mount, "a volume is named, not given by a path; use type `bind`"));
    }
    let mut kind = volume(mount.source.clone())?;
    if let MountKind::Volume { readonly, nocopy, subpath, .. } = &mut kind {
        *readonly = if mount.read_only { Readonly::Tree } else { Readonly::No };
        *nocopy = options.no_copy;
        *subpath = (!options.subpath.is_empty()).then_some(path);
    }
    Ok(kind)
}

/// Which image that is, and what is in it, is found out with the container's own.
fn image(mount: &wire::Mount) -> Result<MountKind, Fault> {
    if mount.source.is_empty() {
        return Err(invalid(mount, "field Source must not be empty"));
    }
    let path = PathBuf::from(&mount.image_options.clone().unwrap_or_default().subpath);
    let down = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    if !path.components().all(down) {
        return Err(invalid(mount, "subpath must be a relative path within the volume"));
    }
    let subpath = (!path.as_os_str().is_empty()).then_some(path);
    Ok(MountKind::Image { reference: mount.source.clone(), id: String::new(), layers: Vec::new(), subpath })
}

fn in_memory(mount: &wire::Mount) -> Result<MountKind, Fault> {
    if !mount.source.is_empty() {
        return Err(invalid(mount, "field Source must not be specified"));
    }
    let mut kind = tmpfs::from_options(&mount.tmpfs_options.clone().unwrap_or_default())?;
    if let MountKind::Tmpfs { attrs, .. } = &mut kind
        && mount.read_only
    {
        *attrs |= 1;
    }
    Ok(kind)
}
