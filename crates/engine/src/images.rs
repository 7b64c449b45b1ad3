//! Images in docker's documents, and the long-running load and import.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use hull_image::{Image, Loaded, Progress, Removed, Use};
use hull_launch::spec::MountKind;
use hull_types::{Fault, ImageRef, Platform, Timestamp};
use hull_wire as wire;
use tokio::sync::mpsc;

use crate::admit;
use crate::container::record::Base;
use crate::core::{Core, blocking};
use crate::download::{Download, download};
use crate::janitor::Job;
use crate::options::ImportOptions;
use crate::prune;

const FILTERS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

/// `GET /images/json`.
pub(crate) fn list(core: &Core, filters: &wire::Filters) -> Result<Vec<wire::ImageSummary>, Fault> {
    filters.check(&FILTERS)?;
    let created = |key: &str| match filters.get(key).first() {
        None => Ok(None),
        Some(name) => core.images.resolve(name).map(|image| Some(created_at(&image))).map_err(Fault::from),
    };
    let (before, since) = (created("before")?, created("since")?);
    let (dangling, until) = (dangling(filters)?, prune::until(filters)?);
    let mut uses: BTreeMap<String, i64> = BTreeMap::new();
    for container in core.registry.all() {
        *uses.entry(container.view().definition.image.clone()).or_default() += 1;
    }
    // Whoever lists images to remove them, cannot remove that one: it is shown to whoever asks for it by name.
    let built_in = (!filters.get("reference").is_empty()).then(|| core.images.built_in());
    let images = core.images.list().into_iter().chain(built_in).filter(|image| {
        let when = created_at(image);
        before.is_none_or(|before| when < before)
            && since.is_none_or(|since| when > since)
            && until.is_none_or(|until| when < until && !when.is_never())
            && dangling.is_none_or(|wanted| image.tags.is_empty() == wanted)
            && filters.matches_labels("label", &image.config.config.labels)
            && reference_matches(filters, image)
    });
    let shown = |mut image: Image| {
        // COMPAT(docker 28): only the names that were asked for.
        image.tags.retain(|tag| tag_matches(filters, tag));
        summary(&image, uses.get(image.id.as_str()).copied().unwrap_or(0))
    };
    Ok(images.map(shown).collect())
}

/// What the filter of this name asks for.
pub(crate) fn dangling(filters: &wire::Filters) -> Result<Option<bool>, Fault> {
    match filters.get("dangling").first().map(String::as_str) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(Fault::invalid(format!("invalid filter 'dangling={other}'"))),
    }
}

fn reference_matches(filters: &wire::Filters, image: &Image) -> bool {
    filters.get("reference").is_empty() || image.tags.iter().any(|tag| tag_matches(filters, tag))
}

fn tag_matches(filters: &wire::Filters, tag: &str) -> bool {
    let wanted = filters.get("reference");
    let name = tag.rsplit_once(':').map_or(tag, |(name, _)| name);
    wanted.is_empty() || wanted.iter().any(|pattern| glob(pattern, tag) || glob(pattern, name))
}

/// `*` and `?`, neither of which matches `/`. Linear in the product of the lengths.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // The latest star, and how far it reaches.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match (pattern.get(p), star) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(c), _) if *c == text[t] || (*c == b'?' && text[t] != b'/') => (p, t) = (p + 1, t + 1),
            (_, Some((at, reach))) if text[reach] != b'/' => {
                star = Some((at, reach + 1));
                (p, t) = (at + 1, reach + 1);
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

pub(crate) fn created_at(image: &Image) -> Timestamp {
    image.config.created.parse().unwrap_or(Timestamp::NEVER)
}

pub(crate) fn summary(image: &Image, containers: i64) -> wire::ImageSummary {
    wire::ImageSummary {
        id: image.id.to_string(),
        parent_id: String::new(),
        repo_tags: image.tags.clone(),
        repo_digests: image.repo_digests.clone(),
        created: created_at(image).secs(),
        size: i64::try_from(image.size).unwrap_or(i64::MAX),
        shared_size: -1,
        labels: image.config.config.labels.clone(),
        containers,
    }
}

/// `GET /images/{name}/json`.
pub(crate) fn inspect(core: &Core, name: &str) -> Result<wire::ImageInspect, Fault> {
    let image = core.images.resolve(name)?;
    let config = &image.config;
    // Both are docker's `Config`; only the types' homes differ.
    let run: Option<wire::ImageConfig> =
        serde_json::to_vec(&config.config).and_then(|text| serde_json::from_slice(&text)).map(Some).unwrap_or_default();
    Ok(wire::ImageInspect {
        id: image.id.to_string(),
        repo_tags: image.tags.clone(),
        repo_digests: image.repo_digests.clone(),
        parent: String::new(),
        comment: config.comment.clone(),
        created: config.created.parse().ok(),
        docker_version: String::new(),
        author: config.author.clone(),
        config: run,
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        os_version: String::new(),
        size: i64::try_from(image.size).unwrap_or(i64::MAX),
        graph_driver: wire::GraphDriver { name: "overlay2".into(), data: BTreeMap::new() },
        root_fs: wire::RootFs {
            kind: "layers".into(),
            layers: config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
        },
        metadata: wire::ImageMetadata { last_tag_time: image.last_tagged },
        identity: identity(&image),
    })
}

/// The repositories that have it.
fn identity(image: &Image) -> Option<wire::Identity> {
    let names = image.repo_digests.iter().filter_map(|text| text.split_once('@')?.0.parse::<ImageRef>().ok());
    let places = names.map(|name| wire::PullIdentity { repository: name.full_name() });
    let pull: Vec<_> = places.collect();
    (!pull.is_empty()).then_some(wire::Identity { pull })
}

/// Whether an image is there, and for each of these platforms.
pub(crate) fn check_platforms(core: &Core, name: &str, wanted: &[Platform]) -> Result<(), Fault> {
    if wanted.is_empty() {
        return Ok(());
    }
    let image = core.images.resolve(name)?;
    match wanted.iter().find(|wanted| !admit::platform_matches(wanted, &image.config)) {
        None => Ok(()),
        Some(other) => Err(Fault::not_found(format!(
            "image with reference {name} was found but does not provide the specified platform ({other})"
        ))
        .hint("hull keeps one platform of an image")),
    }
}

/// `GET /images/{name}/history`.
pub(crate) fn history(core: &Core, name: &str) -> Result<Vec<wire::HistoryItem>, Fault> {
    let lines = core.images.history(name)?;
    Ok(lines
        .into_iter()
        .map(|line| wire::HistoryItem {
            id: line.id.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
            created: line.created.secs(),
            created_by: line.created_by,
            tags: line.tags,
            size: i64::try_from(line.size).unwrap_or(i64::MAX),
            comment: line.comment,
        })
        .collect())
}

/// Who uses which image and which layers, derived from the containers' records.
pub(crate) fn uses(core: &Core) -> Vec<Use> {
    let all = core.registry.all();
    let uses = all.iter().flat_map(|container| {
        let view = container.view();
        let layers = match &view.definition.base {
            Base::Layers(chain) => chain.clone(),
            Base::Host => Vec::new(),
        };
        let own = (view.definition.image.clone(), layers);
        let mounts = view.definition.spec.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Image { id, layers, .. } => Some((id.clone(), layers.clone())),
            _ => None,
        });
        let running = view.state.phase.is_live() || view.state.phase == crate::container::step::Phase::Backoff;
        let used = |(image, layers): (String, Vec<hull_types::Digest>)| {
            Some(Use { container: container.id.to_string(), image: image.parse().ok()?, layers, running })
        };
        std::iter::once(own).chain(mounts).filter_map(used).collect::<Vec<_>>()
    });
    uses.collect()
}

/// `DELETE /images/{name}`.
pub(crate) fn remove(core: &Core, name: &str, force: bool) -> Result<Vec<wire::ImageDeleteItem>, Fault> {
    let options = hull_image::RemoveOptions { force, spare_used: false };
    let removed = blocking(|| core.images.remove_with(name, options, || uses(core)))?;
    sweep(core);
    Ok(removed.into_iter().map(|gone| self::removed(core, gone)).collect())
}

/// Deletes behind the answer what has been put out of sight.
pub(crate) fn sweep(core: &Core) {
    core.janitor.ask(Job::Sweep);
    let images = core.images.clone();
    core.runtime.spawn_blocking(move || {
        if let Err(error) = images.sweep() {
            tracing::warn!(%error, "removed blobs stay until the next start");
        }
    });
}

/// One effect of a removal, announced and as a document.
pub(crate) fn removed(core: &Core, removed: Removed) -> wire::ImageDeleteItem {
    match removed {
        Removed::Untagged(name) => {
            core.events.image("untag", &name, &name);
            wire::ImageDeleteItem { untagged: name, ..Default::default() }
        }
        Removed::Deleted(id) => {
            core.events.image("delete", id.as_str(), id.as_str());
            wire::ImageDeleteItem { deleted: id.to_string(), ..Default::default() }
        }
    }
}

/// `GET /images/get`: an archive of images.
pub(crate) fn save(core: &Core, names: &[String]) -> Result<Download, Fault> {
    if names.is_empty() {
        return Err(Fault::invalid("no image is named").hint("name at least one"));
    }
    let saving = blocking(|| core.images.save(names))?;
    for name in names {
        core.events.image("save", name, name);
    }
    Ok(download(move |to| Ok(saving.write(to)?)))
}

/// `POST /images/{name}/tag`.
pub(crate) fn tag(core: &Core, name: &str, repo: &str, tag: &str) -> Result<(), Fault> {
    let new = if tag.is_empty() { repo.to_owned() } else { format!("{repo}:{tag}") };
    let image = blocking(|| core.images.tag(name, &new))?;
    core.events.image("tag", image.id.as_str(), &familiar(&new));
    Ok(())
}

/// COMPAT(docker 28): a name as its events have it.
pub(crate) fn familiar(name: &str) -> String {
    name.parse().map_or_else(|_| name.to_owned(), |name: ImageRef| name.with_default_tag().familiar())
}

type Messages = mpsc::Sender<wire::JsonMessage>;

/// `POST /images/load`.
pub(crate) fn load(core: &Arc<Core>, archive: impl Read + Send + 'static) -> BoxStream<'static, wire::JsonMessage> {
    let core = Arc::clone(core);
    in_background(move |messages| {
        let tell = |progress: Progress| drop(messages.blocking_send(progress_message(progress)));
        let loaded = core.images.load(archive, &tell)?;
        for image in &loaded {
            core.events.image("load", image.id.as_str(), image.tags.first().map_or("", String::as_str));
            let _ = messages.blocking_send(loaded_message(image));
        }
        // One of them may have been here in other blobs.
        sweep(&core);
        Ok(())
    })
}

fn progress_message(progress: Progress) -> wire::JsonMessage {
    match progress {
        Progress::Layer { id, current, total } => wire::JsonMessage {
            status: "Loading layer".into(),
            id,
            progress_detail: Some(wire::Progress {
                current: i64::try_from(current).unwrap_or(i64::MAX),
                total: i64::try_from(total).unwrap_or(i64::MAX),
            }),
            ..Default::default()
        },
        Progress::Renamed { name, old } => wire::JsonMessage {
            stream: format!("The image {name} already exists, renaming the old one with ID {old} to empty string\n"),
            ..Default::default()
        },
    }
}

fn loaded_message(image: &Loaded) -> wire::JsonMessage {
    let stream = match image.tags.as_slice() {
        [] => format!("Loaded image ID: {}\n", image.id),
        tags => tags.iter().map(|tag| format!("Loaded image: {tag}\n")).collect(),
    };
    wire::JsonMessage { stream, ..Default::default() }
}

/// `POST /images/create?fromSrc=-`.
pub(crate) fn import(
    core: &Arc<Core>,
    options: ImportOptions,
    archive: impl Read + Send + 'static,
) -> BoxStream<'static, wire::JsonMessage> {
    let core = Arc::clone(core);
    in_background(move |messages| {
        let image = core.images.import(
            archive,
            &hull_image::ImportOptions {
                reference: options.reference.clone(),
                changes: options.changes,
                message: options.message,
                source: options.source,
                platform: options.platform,
            },
        )?;
        let id = image.id.to_string();
        if !options.reference.is_empty() {
            core.events.image("tag", &id, &familiar(&options.reference));
        }
        core.events.image("import", &id, &id);
        let status = image.id.to_string();
        let _ = messages.blocking_send(wire::JsonMessage { status, ..Default::default() });
        Ok(())
    })
}

/// Runs work that blocks, and passes its messages on; a failure is the last of them.
fn in_background(
    work: impl FnOnce(&Messages) -> Result<(), Fault> + Send + 'static,
) -> BoxStream<'static, wire::JsonMessage> {
    let (messages, receiver) = mpsc::channel(32);
    tokio::task::spawn_blocking(move || {
        if let Err(fault) = work(&messages) {
            let message = fault.to_string();
            let _ = messages.blocking_send(wire::JsonMessage {
                error: message.clone(),
                error_detail: Some(wire::JsonError { code: 0, message }),
                ..Default::default()
            });
        }
    });
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_patterns() {
        for (pattern, text, expected) in [
            ("busybox", "busybox", true),
            ("busy*", "busybox:latest", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("b?sybox", "busybox", true),
            ("busy", "busybox", false),
            ("a*b*c", "axxbxxc", true),
            ("a*b*c", "axxbxxd", false),
            ("*a*a*a*a*a*a*a*a*a*b", &"a".repeat(300), false),
            ("reg/*/x:*", "reg/y/x:1", true),
            ("reg/*", "reg/y/x", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
