//! Copying files out of and into a container: `HEAD`, `GET` and `PUT /containers/{id}/archive`.
//!
//! Of one that runs the files are those that its processes see, through its root; else those of [`prepare::in_room`].
//! A path is resolved beneath that root once, and used as a descriptor from then on. Nothing of the container is
//! executed. Owners are those inside the container.

mod place;

use std::io::{BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use hull_archive::tar::Reader;
use hull_archive::{Decompressor, Extractor, Limits, Lowers, Packing, Plain};
use hull_launch::plan::{IdMaps, IdRange};
use hull_launch::spec::{MountKind, MountWish, Readonly};
use hull_types::{Fault, Kind};
use hull_wire::PathStat;

use crate::container::{Container, View};
use crate::core::{Core, blocking};
use crate::download::{Download, download};
use crate::files::{inside, maps, still_there};
use crate::prepare;
use place::{Place, find};

/// How much of an archive is written at once.
const PIECE: usize = 1 << 18;

/// What `PUT` asks for.
#[derive(Clone, Debug, Default)]
pub struct CopyInto {
    /// The directory that the archive is unpacked in.
    pub path: String,
    /// A directory is not replaced by something else, nor something else by a directory.
    pub keep_kinds: bool,
    /// Everything gets the container's user and group, not those of the archive.
    pub owned_by_user: bool,
}

/// `HEAD /containers/{id}/archive`.
pub(crate) fn stat(core: &Core, who: &str, path: &str) -> Result<PathStat, Fault> {
    let container = core.resolve(who)?;
    check(path)?;
    blocking(|| {
        with_root(core, &container, |root| {
            let place = find(root, path, who)?;
            // COMPAT(docker 28): what the kernel shows there is no file of the container's.
            if place.is_kernels(b"") { Err(missing(path, who)) } else { place.stat(root) }
        })
    })
}

/// `GET /containers/{id}/archive`.
pub(crate) fn read(core: &Arc<Core>, who: &str, path: &str) -> Result<(PathStat, Download), Fault> {
    let stat = stat(core, who, path)?;
    let container = core.resolve(who)?;
    let maps = maps(core, &container.view())?;
    core.announce(&container.view().definition, "archive-path", &[]);
    let (core, who, path) = (Arc::clone(core), who.to_owned(), path.to_owned());
    let archive = download(move |to| {
        with_root(&core, &container, |root| pack(&find(root, &path, &who)?, maps.as_ref(), to))?;
        still_there(&core, &container)
    });
    Ok((stat, archive))
}

fn pack(place: &Place, maps: Option<&IdMaps>, to: &mut (dyn std::io::Write + Send)) -> Result<(), Fault> {
    let owner = |uid, gid| match maps {
        Some(maps) => (inside(&maps.uids, uid), inside(&maps.gids, gid)),
        None => (uid, gid),
    };
    // COMPAT(docker 28): what the kernel shows there is no file of the container's.
    let skip = |path: &[u8]| place.is_kernels(path);
    let how = Packing {
        owner: maps.is_some().then_some(&owner),
        prefix: Some(place.prefix()),
        skip: Some(&skip),
        ..Packing::default()
    };
    match place.directory()? {
        Some(directory) => hull_archive::pack_as(directory.as_fd(), to, &how).map(|_| ())?,
        None => hull_archive::pack_one(place.parent.as_fd(), &place.last, &place.last, to, &how).map(|_| ())?,
    }
    Ok(())
}

/// `PUT /containers/{id}/archive`.
pub(crate) async fn write(
    core: &Arc<Core>,
    who: &str,
    asked: CopyInto,
    archive: impl Read + Send + 'static,
) -> Result<(), Fault> {
    let container = core.resolve(who)?;
    check(&asked.path)?;
    // ORDER: a launch waits for it, so that two never mount the same files.
    let files = Arc::clone(&container.files).lock_owned().await;
    let (core, who) = (Arc::clone(core), who.to_owned());
    let work = move || {
        let _files = files;
        let view = container.view();
        let maps = maps(&core, &view)?;
        with_root(&core, &container, |root| unpack(&view, root, &who, &asked, maps.as_ref(), archive))?;
        core.announce(&view.definition, "extract-to-dir", &[]);
        still_there(&core, &container)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Fault::internal("the copy broke off").cause(error))?
}

fn unpack(
    view: &View,
    root: BorrowedFd<'_>,
    who: &str,
    asked: &CopyInto,
    maps: Option<&IdMaps>,
    archive: impl Read,
) -> Result<(), Fault> {
    let place = find(root, &asked.path, who)?;
    writable(view, &place)?;
    let directory = place.followed(root)?.ok_or_else(|| Fault::invalid("extraction point is not a directory"))?;
    let owner = match asked.owned_by_user {
        true => Some(prepare::resolve_user(root, &view.definition.spec.process)?),
        false => None,
    };
    let limits = Limits::default();
    let mut reader = Reader::new(BufReader::with_capacity(PIECE, Decompressor::new(archive)?), limits);
    let plain = Plain { keep_kinds: asked.keep_kinds };
    let mut extractor = Extractor::new(directory.as_fd(), Lowers::default(), limits).plain(plain);
    while let Some(mut entry) = reader.next_entry()? {
        if let Some(owner) = &owner {
            (entry.uid, entry.gid) = (owner.uid, owner.gid);
        }
        if let Some(maps) = maps {
            (entry.uid, entry.gid) = (outside(&maps.uids, entry.uid)?, outside(&maps.gids, entry.gid)?);
        }
        extractor.entry(&entry, &mut reader)?;
    }
    extractor.finish()?;
    Ok(())
}

/// COMPAT(docker 28): what the container itself could not write is not written for it.
fn writable(view: &View, place: &Place) -> Result<(), Fault> {
    let spec = &view.definition.spec;
    let within = |mount: &&MountWish| Path::new(place.path()).starts_with(&mount.target);
    let over = spec.mounts.iter().filter(within).max_by_key(|mount| mount.target.as_os_str().len());
    match over.map(|mount| &mount.kind) {
        Some(MountKind::Bind { readonly, .. } | MountKind::Volume { readonly, .. }) if *readonly != Readonly::No => {
            Err(Fault::new(Kind::Forbidden, "mounted volume is marked read-only"))
        }
        None if spec.readonly_root => Err(Fault::new(Kind::Forbidden, "container rootfs is marked read-only")),
        _ => Ok(()),
    }
}

fn outside(ranges: &[IdRange], id: u32) -> Result<u32, Fault> {
    let range = ranges.iter().find(|range| id.checked_sub(range.inside).is_some_and(|at| at < range.length));
    let outside = range.map(|range| range.outside + (id - range.inside));
    outside.ok_or_else(|| Fault::invalid(format!("the container's user namespace has no place for the owner {id}")))
}

/// COMPAT(docker 28): its words.
fn check(path: &str) -> Result<(), Fault> {
    match path {
        "" => Err(Fault::invalid("bad parameter: path cannot be empty")),
        path if path.len() > 4095 || path.contains('\0') => Err(Fault::invalid("the path is too long or contains NUL")),
        _ => Ok(()),
    }
}

/// Calls `work` with the container's root directory.
fn with_root<T: Send>(
    core: &Core,
    container: &Container,
    work: impl FnOnce(BorrowedFd<'_>) -> Result<T, Fault> + Send,
) -> Result<T, Fault> {
    let view = container.view();
    let definition = &view.definition;
    if let Some(live) = container.live() {
        let root = prepare::root_of(live.pid)?;
        // ORDER: the number may have been given to another process; while this one lives, the root is its.
        if !hull_sys::pidfd::has_exited(&live.pidfd)? {
            return work(root.as_fd());
        }
    }
    let base: hull_snapshot::Base = definition.base.clone().into();
    if base == hull_snapshot::Base::Host {
        return Err(hull_snapshot::Error::InMemory.into());
    }
    let userns = match maps(core, &view)? {
        Some(maps) => Some(core.userns(&maps)?),
        None => None,
    };
    let rootfs = hull_snapshot::Rootfs {
        base: &base,
        slot: definition.id.as_str(),
        ephemeral: definition.ephemeral(),
        userns: userns.as_ref(),
    };
    let done = prepare::in_room(&core.parts, &definition.spec, &rootfs, work);
    crate::volumes::release(core, &definition.spec, None);
    done
}

/// The fault for a path at which nothing is.
fn missing(path: &str, who: &str) -> Fault {
    let shown: String = path.chars().take(256).flat_map(char::escape_debug).collect();
    Fault::new(Kind::NotFound, format!("Could not find the file {shown} in container {who}"))
}
