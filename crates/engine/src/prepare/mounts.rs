//! The user's mounts: binds and volumes as detached mounts, and what tmpfs mounts will cover.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hull_launch::compile::MountFact;
use hull_launch::plan::{IdMaps, IdRange};
use hull_launch::spec::{Idmap, MountKind, MountWish, Propagation};
use hull_mount::MountFd;
use hull_types::{Digest, Fault};

use super::fds::Fds;
use super::files;
use super::namespaces::User;
use super::{Parts, StartInput};

/// One fact for each wish, in the same order.
pub(super) fn gather(
    parts: &Parts,
    input: &StartInput<'_>,
    root: BorrowedFd<'_>,
    user: Option<&User>,
    fds: &mut Fds,
) -> Result<Vec<MountFact>, Fault> {
    let one = |wish: &MountWish| match &wish.kind {
        MountKind::Bind { source, create, recursive, propagation, idmap, .. } => {
            if *create {
                make_source(source)?;
            }
            let (mount, stat) = files::bind_host(source, *recursive)?;
            peer_group(source, *propagation)?;
            shift(input, &mount, idmap, user, *recursive, source)?;
            let directory = files::is_directory(&stat);
            Ok(MountFact::Detached { mount: fds.push(mount.into_fd())?, directory })
        }
        MountKind::Volume { name, subpath, idmap, .. } => {
            let (mount, directory) = volume(parts, name, subpath.as_deref())?;
            shift(input, &mount, idmap, user, false, &parts.volumes.mountpoint(name))?;
            Ok(MountFact::Detached { mount: fds.push(mount.into_fd())?, directory })
        }
        MountKind::Image { reference, layers, subpath, .. } => {
            let (mount, directory) = image(parts, reference, layers, subpath.as_deref(), user.map(|user| &user.fd))?;
            Ok(MountFact::Detached { mount: fds.push(mount.into_fd())?, directory })
        }
        MountKind::Tmpfs { .. } => Ok(MountFact::Made { mode: covered_mode(root, &wish.target)? }),
    };
    input.spec.mounts.iter().map(one).collect()
}

/// COMPAT(docker 28): `-v` makes a missing source as a directory.
fn make_source(source: &Path) -> Result<(), Fault> {
    if source.exists() {
        return Ok(());
    }
    fs::create_dir_all(source).map_err(|error| {
        Fault::invalid(format!("error while creating mount source path '{}'", source.display())).cause(error)
    })
}

/// Events can only travel from and to a mount that is shared itself.
fn peer_group(source: &Path, propagation: Propagation) -> Result<(), Fault> {
    let needs = match propagation {
        Propagation::Private | Propagation::RPrivate => return Ok(()),
        Propagation::Shared | Propagation::RShared => &["shared:"][..],
        Propagation::Slave | Propagation::RSlave => &["shared:", "master:"][..],
    };
    let Some((mountpoint, optional)) = mount_of(source) else { return Ok(()) };
    if optional.split(' ').any(|field| needs.iter().any(|need| field.starts_with(need))) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "path {} is mounted on {mountpoint} but it is not a shared{} mount",
        source.display(),
        if needs.len() > 1 { " or slave" } else { "" }
    ))
    .hint(format!("`mount --make-shared {mountpoint}` on the host makes it one")))
}

/// Mount point and optional fields of the mount that `path` lies on (proc_pid_mountinfo(5)).
fn mount_of(path: &Path) -> Option<(String, String)> {
    let path = fs::canonicalize(path).ok()?;
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mut best: Option<(String, String)> = None;
    for line in table.lines() {
        let (before, _) = line.split_once(" - ")?;
        let mut fields = before.splitn(7, ' ');
        let mountpoint = fields.nth(4)?.replace("\\040", " ");
        let optional = fields.nth(1).unwrap_or_default().to_owned();
        // A later line covers an earlier one at the same place.
        let longer = best.as_ref().is_none_or(|(known, _)| mountpoint.len() >= known.len());
        if path.starts_with(&mountpoint) && longer {
            best = Some((mountpoint, optional));
        }
    }
    best
}

/// Makes the ids of a mount those that the container shall see.
fn shift(
    input: &StartInput<'_>,
    mount: &MountFd,
    idmap: &Idmap,
    user: Option<&User>,
    recursive: bool,
    source: &Path,
) -> Result<(), Fault> {
    let made: OwnedFd;
    let userns = match (idmap, user) {
        (Idmap::None, _) | (Idmap::Container, None) => return Ok(()),
        (Idmap::Container, Some(user)) => user.fd.as_fd(),
        (Idmap::Maps(maps), _) => {
            made = (input.userns)(maps)?;
            made.as_fd()
        }
    };
    mount.idmap(userns, recursive).map_err(|error| {
        Fault::from(error).hint(format!("the file system of `{}` may not support id-mapped mounts", source.display()))
    })
}

/// The id outside of one inside.
pub(super) fn outside(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|range| id >= range.inside && id - range.inside < range.length)?;
    Some(range.outside + (id - range.inside))
}

/// Root of the container, as the host counts.
pub(super) fn outside_root(maps: &IdMaps) -> Option<(u32, u32)> {
    Some((outside(&maps.uids, 0)?, outside(&maps.gids, 0)?))
}

pub(super) fn volume(parts: &Parts, name: &str, subpath: Option<&Path>) -> Result<(MountFd, bool), Fault> {
    let data = parts.volumes.data(name)?;
    let Some(subpath) = subpath else {
        return Ok((parts.volumes.bind(name, &data)?, true));
    };
    let place = files::find_beneath(data.as_fd(), subpath)?.ok_or_else(|| {
        Fault::invalid(format!("cannot access path {} in volume {name}: no such file or directory", subpath.display()))
    })?;
    let directory = files::is_directory(&files::stat(&place)?);
    Ok((parts.volumes.bind(name, &place)?, directory))
}

/// An image's files, and whether that is a directory.
pub(super) fn image(
    parts: &Parts,
    reference: &str,
    layers: &[Digest],
    subpath: Option<&Path>,
    userns: Option<&OwnedFd>,
) -> Result<(MountFd, bool), Fault> {
    let whole = parts.snapshots.view(layers, userns)?;
    let Some(subpath) = subpath else { return Ok((whole, true)) };
    let place = files::find_beneath(whole.as_fd(), subpath)?.ok_or_else(|| {
        let path = subpath.display();
        Fault::invalid(format!("cannot access path {path} in image {reference}: no such file or directory"))
    })?;
    let directory = files::is_directory(&files::stat(&place)?);
    Ok((hull_mount::beneath(&whole, subpath)?, directory))
}

/// COMPAT(runc): a tmpfs over an existing directory keeps its mode.
pub(super) fn covered_mode(root: BorrowedFd<'_>, target: &Path) -> Result<Option<u32>, Fault> {
    let Some(place) = files::find_beneath(root, target)? else { return Ok(None) };
    let stat = files::stat(&place)?;
    Ok(files::is_directory(&stat).then_some(stat.st_mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_inside_are_others_outside() {
        let ranges =
            [IdRange { inside: 0, outside: 1000, length: 1 }, IdRange { inside: 1, outside: 100_000, length: 10 }];
        for (inner, outer) in [(0, 1000), (1, 100_000), (10, 100_009)] {
            assert_eq!(outside(&ranges, inner), Some(outer));
        }
        assert_eq!(outside(&ranges, 11), None);
    }

    #[test]
    fn the_mount_of_a_path_is_found() {
        let (mountpoint, _) = mount_of(Path::new("/proc/self")).unwrap();
        assert_eq!(mountpoint, "/proc");
    }
}
