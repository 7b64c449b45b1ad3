//! `push`: blobs that the registry lacks, several at a time, then the configuration, then the manifest.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use hull_image::{Outgoing, OutgoingLayer};
use hull_registry::{Credentials, Repository, Source, Uploaded, Wanted};
use hull_types::{Digest, Fault, ImageRef};
use hull_wire::JsonMessage;
use serde_json::json;

use super::messages::{self, Messages, Pace, failure, layer, progress, status};
use crate::core::Core;

/// Layers that are sent at the same time.
const AT_ONCE: usize = 5;
const PIECE: u64 = 256 * 1024;

/// What is to be pushed.
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// The repository, with a tag; without one, all its tags are pushed.
    pub reference: ImageRef,
    /// The content of docker's `X-Registry-Auth`.
    pub auth: String,
}

/// `POST /images/{name}/push`. The push ends with the stream's reader.
pub(crate) fn push(core: &Arc<Core>, options: PushOptions) -> Result<BoxStream<'static, JsonMessage>, Fault> {
    let credentials = super::ask::credentials(&options.auth)?;
    core.transfers.client()?;
    let reference = options.reference;
    if reference.digest().is_some() {
        return Err(Fault::invalid("cannot push a digest reference"));
    }
    let tags = match reference.tag() {
        Some(_) => vec![reference.clone()],
        None => core.images.tags_of(&reference),
    };
    if tags.is_empty() {
        let name = reference.familiar_name();
        return Err(Fault::not_found(format!("An image does not exist locally with the tag: {name}")));
    }
    for tag in &tags {
        core.images.resolve(&tag.full()).map_err(|_| {
            Fault::not_found(format!("An image does not exist locally with the tag: {}", tag.familiar_name()))
        })?;
    }
    let (messages, stream) = messages::channel();
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let pushed = tokio::select! {
            pushed = run(&core, &tags, &credentials, &messages) => pushed,
            () = messages.closed() => return,
        };
        if let Err(fault) = pushed {
            let _ = messages.send(failure(&fault)).await;
        }
    });
    Ok(stream)
}

async fn run(core: &Arc<Core>, tags: &[ImageRef], credentials: &Credentials, to: &Messages) -> Result<(), Fault> {
    let _ = to.send(status(format!("The push refers to repository [{}]", tags[0].full_name()))).await;
    for tag in tags {
        one(core, tag, credentials, to).await?;
    }
    Ok(())
}

async fn one(core: &Arc<Core>, name: &ImageRef, credentials: &Credentials, to: &Messages) -> Result<(), Fault> {
    let (images, full) = (core.images.clone(), name.full());
    let prepared = tokio::task::spawn_blocking(move || images.outgoing(&full)).await;
    let image = prepared.map_err(|error| Fault::internal("the push failed").cause(error))??;
    for outgoing in image.layers.iter().rev() {
        let _ = to.send(layer(outgoing.diff_id.short(), "Preparing")).await;
    }
    let mounts: Vec<Vec<ImageRef>> = image.layers.iter().map(|layer| mounts(layer, name)).collect();
    let mut registry = core.transfers.client()?.origin(name, credentials, true);
    let mut asked: Vec<&ImageRef> = mounts.iter().flatten().collect();
    asked.sort();
    asked.dedup_by_key(|other| other.full_name());
    for other in asked {
        registry = registry.also_reading(other);
    }
    let registry = &registry;
    let layers = &image.layers;
    let sending = distinct(&image).into_iter().map(|at| {
        let mounts = &mounts[at];
        async move {
            let _place = core.transfers.place_to_send().await;
            send(registry, &layers[at], mounts, to).await
        }
    });
    let most = if core.transfers.bounds_uploads() { image.layers.len().max(1) } else { AT_ONCE };
    stream::iter(sending).buffer_unordered(most).try_collect::<Vec<()>>().await?;
    let config = Memory(Bytes::from(image.config.clone()));
    registry.upload(Wanted { digest: image.id, size: image.config.len() as u64 }, &[], &config).await?;
    let (manifest, media_type) = image.manifest()?;
    let tag = name.tag().unwrap_or("latest");
    let digest = registry.put_manifest(tag, &media_type, &manifest).await?;
    let known = name.with_digest(digest);
    crate::core::blocking(|| core.images.known_as(&image.id, &known))?;
    core.events.image("push", &name.familiar(), &name.familiar_name());
    let size = manifest.len();
    let _ = to.send(status(format!("{tag}: digest: {digest} size: {size}"))).await;
    let aux = json!({ "Tag": tag, "Digest": digest, "Size": size });
    let _ =
        to.send(JsonMessage { aux: Some(aux), progress_detail: Some(Default::default()), ..Default::default() }).await;
    Ok(())
}

/// One of each blob: an image may have a layer twice.
fn distinct(image: &Outgoing) -> Vec<usize> {
    let mut seen: Vec<Digest> = Vec::new();
    let mut at = Vec::new();
    for (place, layer) in image.layers.iter().enumerate() {
        if !seen.contains(&layer.digest) {
            seen.push(layer.digest);
            at.push(place);
        }
    }
    at
}

/// Other repositories of the same registry that are known to have a layer.
fn mounts(layer: &OutgoingLayer, to: &ImageRef) -> Vec<ImageRef> {
    let mut found: Vec<ImageRef> = Vec::new();
    for other in &layer.elsewhere {
        let known = found.iter().any(|known| known.path() == other.path());
        if other.domain() == to.domain() && other.path() != to.path() && !known {
            found.push(other.clone());
        }
    }
    found.truncate(3);
    found
}

async fn send(
    registry: &Repository,
    outgoing: &OutgoingLayer,
    mounts: &[ImageRef],
    to: &Messages,
) -> Result<(), Fault> {
    let id = outgoing.diff_id.short();
    let blob = Wanted { digest: outgoing.digest, size: outgoing.size };
    let file = outgoing.file().map_err(|error| Fault::internal("cannot read a layer").cause(error))?;
    let telling = Arc::new(Telling { id: id.to_owned(), total: blob.size, pace: Pace::default(), to: to.clone() });
    let uploaded = registry.upload(blob, mounts, &Layer { file: Arc::new(file), telling }).await?;
    let text = match uploaded {
        Uploaded::Exists => "Layer already exists".to_owned(),
        Uploaded::Mounted => match mounts.first() {
            Some(from) => format!("Mounted from {}", from.path()),
            None => "Mounted".to_owned(),
        },
        Uploaded::Sent => "Pushed".to_owned(),
    };
    let _ = to.send(layer(id, text)).await;
    Ok(())
}

/// A layer's file, read anew for each attempt.
struct Layer {
    file: Arc<File>,
    telling: Arc<Telling>,
}

struct Telling {
    id: String,
    total: u64,
    pace: Pace,
    to: Messages,
}

impl Source for Layer {
    fn read(&self, from: u64, to: u64) -> BoxStream<'static, std::io::Result<Bytes>> {
        let (file, telling) = (Arc::clone(&self.file), Arc::clone(&self.telling));
        let pieces = stream::try_unfold(from, move |at| {
            let (file, telling) = (Arc::clone(&file), Arc::clone(&telling));
            async move {
                if at >= to {
                    return Ok(None);
                }
                let length = usize::try_from(PIECE.min(to - at)).unwrap_or_default();
                let read = tokio::task::spawn_blocking(move || {
                    let mut piece = vec![0; length];
                    file.read_exact_at(&mut piece, at).map(|()| piece)
                });
                let piece = read.await.map_err(std::io::Error::other)??;
                if telling.pace.is_due() {
                    let message = progress(&telling.id, "Pushing", at + length as u64, telling.total);
                    // Progress is a courtesy: a slow reader holds up no upload.
                    let _ = telling.to.try_send(message);
                }
                Ok(Some((Bytes::from(piece), at + length as u64)))
            }
        });
        pieces.boxed()
    }
}

/// A small blob.
struct Memory(Bytes);

impl Source for Memory {
    fn read(&self, from: u64, to: u64) -> BoxStream<'static, std::io::Result<Bytes>> {
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        stream::iter([Ok(self.0.slice(at(from)..at(to)))]).boxed()
    }
}
