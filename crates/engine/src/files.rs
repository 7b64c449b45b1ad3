//! A container's files as a whole: what it changed, all of them, an image of them.

use std::io::Write;
use std::sync::Arc;

use hull_image::{CommitOptions, RunConfig};
use hull_launch::plan::{IdMaps, IdRange};
use hull_launch::spec::Userns;
use hull_snapshot::{ChangeKind, Changed};
use hull_types::{Fault, Kind};
use hull_wire as wire;

use crate::container::step::Phase;
use crate::container::{Container, Message, View};
use crate::core::{Core, blocking};
use crate::download::{Download, download};
use crate::prepare::Peers;

/// What is made in the root file system only to mount something on it, or since every container has it.
const MOUNTPOINTS: [&str; 13] = [
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/mqueue",
    "dev/pts",
    "dev/shm",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
    "sys/fs/cgroup",
];

/// What `POST /commit` asks for.
#[derive(Clone, Debug, Default)]
pub struct CommitRequest {
    /// The container.
    pub container: String,
    /// The repository; the image gets no name if it is empty.
    pub repo: String,
    /// The tag; `latest` if it is empty.
    pub tag: String,
    /// Why.
    pub comment: String,
    /// Who.
    pub author: String,
    /// Whether the container stands still meanwhile.
    pub pause: bool,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Replaces and extends the container's configuration.
    pub config: Option<wire::ContainerConfig>,
}

/// `GET /containers/{id}/changes`.
pub(crate) fn changes(core: &Core, container: &Container) -> Result<Vec<wire::FilesystemChange>, Fault> {
    let view = container.view();
    blocking(|| changes_of(core, &view))
}

/// What a container has changed in its root file system.
pub(crate) fn changes_of(core: &Core, view: &View) -> Result<Vec<wire::FilesystemChange>, Fault> {
    let changes = Tree::of(core, view)?.with(|changed| Ok(core.parts.snapshots.changes(changed)?))?;
    let kind = |kind| match kind {
        ChangeKind::Modified => 0,
        ChangeKind::Added => 1,
        ChangeKind::Deleted => 2,
    };
    let documents = changes.into_iter().map(|(path, change)| wire::FilesystemChange {
        path: String::from_utf8_lossy(&path).into_owned(),
        kind: kind(change),
    });
    Ok(documents.collect())
}

/// `GET /containers/{id}/export`.
pub(crate) fn export(core: &Arc<Core>, container: &Arc<Container>) -> Result<Download, Fault> {
    let view = container.view();
    let tree = Tree::of(core, &view)?;
    core.announce(&view.definition, "export", &[]);
    let (core, container) = (Arc::clone(core), Arc::clone(container));
    Ok(download(move |to| {
        tree.with(|changed| Ok(core.parts.snapshots.pack_merged(changed, to)?))?;
        still_there(&core, &container)
    }))
}

/// `POST /commit`.
pub(crate) async fn commit(core: &Arc<Core>, request: CommitRequest) -> Result<String, Fault> {
    let container = core.resolve(&request.container)?;
    let view = container.view();
    let tree = Tree::of(core, &view)?;
    let options = options(&view, &request)?;
    let reference = options.reference.clone();
    let named = reference.clone();
    let commit = options.check()?;
    let base = view.definition.image.parse().map_err(|error: hull_types::Error| Fault::from(error))?;
    let paused = request.pause && view.state.phase == Phase::Running;
    if paused {
        container.ask(|reply| Message::Pause { reply }).await?;
    }
    let work = {
        let (core, container) = (Arc::clone(core), Arc::clone(&container));
        move || {
            let pack = |to: &mut dyn Write| {
                let entries = tree.changed(|changed| core.parts.snapshots.pack_changes(changed, to))?;
                match still_there(&core, &container) {
                    Ok(()) => Ok(entries),
                    Err(_) => Err(hull_image::Error::Unsupported("the container was removed while it was committed")),
                }
            };
            core.images.commit(&base, commit, pack)
        }
    };
    let made = tokio::task::spawn_blocking(work).await;
    // ORDER: whatever came of it, the container goes on.
    let resumed = match paused {
        true => container.ask(|reply| Message::Unpause { reply }).await,
        false => Ok(()),
    };
    let made = made.map_err(|error| Fault::internal("the commit broke off").cause(error))?;
    let image = made.map_err(|error| match error {
        hull_image::Error::NoSuchImage(_) => {
            Fault::conflict("the image that the container was made of has been removed")
                .hint("load or pull it again, then commit")
        }
        other => other.into(),
    })?;
    let more = [("comment", request.comment), ("imageID", image.id.to_string()), ("imageRef", reference)];
    core.announce(&view.definition, "commit", &more);
    let id = image.id.to_string();
    core.events.image("create", &id, &id);
    if !named.is_empty() {
        core.events.image("tag", &id, &crate::images::familiar(&named));
    }
    match resumed {
        Err(fault) if fault.kind != Kind::Conflict && fault.kind != Kind::NotFound => Err(fault),
        _ => Ok(image.id.to_string()),
    }
}

/// Its files may have been deleted under the reader's hands.
pub(crate) fn still_there(core: &Core, container: &Container) -> Result<(), Fault> {
    match core.registry.get(&container.id) {
        Some(_) if !matches!(container.view().state.phase, Phase::Removing | Phase::Gone) => Ok(()),
        _ => Err(Fault::conflict("the container was removed meanwhile")),
    }
}

fn options(view: &View, request: &CommitRequest) -> Result<CommitOptions, Fault> {
    let own = &view.definition.config;
    Ok(CommitOptions {
        reference: match (request.repo.as_str(), request.tag.as_str()) {
            ("", _) => String::new(),
            (repo, "") => repo.to_owned(),
            (repo, tag) => format!("{repo}:{tag}"),
        },
        author: request.author.clone(),
        message: request.comment.clone(),
        changes: request.changes.clone(),
        config: run_config(own)?,
        over: request.config.as_ref().map(run_config).transpose()?.unwrap_or_default(),
        created_by: own.cmd.iter().flatten().cloned().collect::<Vec<_>>().join(" "),
    })
}

/// What an image can hold of a container's configuration: both are docker's documents.
fn run_config(config: &wire::ContainerConfig) -> Result<RunConfig, Fault> {
    let text =
        serde_json::to_vec(config).map_err(|error| Fault::internal("cannot read the configuration").cause(error))?;
    serde_json::from_slice(&text).map_err(|error| Fault::invalid("the configuration is malformed").cause(error))
}

/// What must be known to read a container's files.
struct Tree {
    base: hull_snapshot::Base,
    slot: String,
    maps: Option<IdMaps>,
}

impl Tree {
    fn of(core: &Core, view: &View) -> Result<Self, Fault> {
        let definition = &view.definition;
        let base: hull_snapshot::Base = definition.base.clone().into();
        if base == hull_snapshot::Base::Host {
            return Err(hull_snapshot::Error::InMemory.into());
        }
        let slot = definition.id.to_string();
        let maps = maps(core, view)?;
        Ok(Self { base, slot, maps })
    }

    fn with<T>(&self, work: impl FnOnce(&Changed<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        self.changed(work)
    }

    fn changed<T, E>(&self, work: impl FnOnce(&Changed<'_>) -> Result<T, E>) -> Result<T, E> {
        let owner = |uid, gid| match &self.maps {
            Some(maps) => (inside(&maps.uids, uid), inside(&maps.gids, gid)),
            None => (uid, gid),
        };
        let shifted = self.maps.is_some();
        work(&Changed {
            base: &self.base,
            slot: &self.slot,
            owner: if shifted { Some(&owner) } else { None },
            mountpoints: &MOUNTPOINTS,
        })
    }
}

/// The maps of a container's own user namespace: its files on the disk bear the ids outside.
pub(crate) fn maps(core: &Core, view: &View) -> Result<Option<IdMaps>, Fault> {
    let definition = &view.definition;
    let user = &definition.spec.namespaces.user;
    if *user == Userns::Host {
        return Ok(None);
    }
    if let Some(peer) = core.running(definition.id.as_str()) {
        return crate::prepare::maps_of(peer.pid).map(Some);
    }
    match user {
        Userns::Host => Ok(None),
        Userns::Maps(maps) => Ok(Some(maps.clone())),
        Userns::Auto { size } => {
            let containers = core.facts.root.join("containers");
            core.parts.ranges.of(&containers, definition.id.as_str(), *size, definition.ephemeral()).map(Some)
        }
        Userns::Container(id) => match core.resolve(id) {
            Ok(other) => maps(core, &other.view()),
            Err(_) => Err(Fault::conflict(
                "the container whose user namespace it shares is gone: whose its files are cannot be told",
            )),
        },
    }
}

/// Ids of the layers below are not shifted: what is in no range stays.
pub(crate) fn inside(ranges: &[IdRange], id: u32) -> u32 {
    let range = ranges.iter().find(|range| id.checked_sub(range.outside).is_some_and(|at| at < range.length));
    range.map_or(id, |range| range.inside + (id - range.outside))
}
