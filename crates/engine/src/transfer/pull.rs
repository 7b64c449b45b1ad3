//! `pull`: manifest, configuration, layers; then the image is there, all of it at once.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::BoxStream;
use hull_content::Blob;
use hull_image::{Arrivals, Incoming, IncomingLayer, Receiving};
use hull_registry::{Credentials, Document, ImageManifest, Manifest, Repository, Wanted};
use hull_types::{Digest, Fault, ImageRef, Platform};
use hull_wire::JsonMessage;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::download::Download;
use super::follow::Following;
use super::messages::{self, Messages, Pace, failure, layer, progress, status};
use super::wanted;
use crate::core::Core;

/// What is to be pulled.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// With neither tag nor digest every tag is pulled.
    pub reference: ImageRef,
    /// The host's if `None`.
    pub platform: Option<Platform>,
    /// The content of docker's `X-Registry-Auth`.
    pub auth: String,
}

/// `POST /images/create?fromImage=…`. The pull ends with the stream's reader.
pub(crate) fn pull(core: &Arc<Core>, options: PullOptions) -> Result<BoxStream<'static, JsonMessage>, Fault> {
    let credentials = super::ask::credentials(&options.auth)?;
    core.transfers.client()?;
    let (messages, stream) = messages::channel();
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let pulled = tokio::select! {
            pulled = run(&core, &options, &credentials, &messages) => pulled,
            () = messages.closed() => return,
        };
        let shown = options.reference.familiar();
        let last = match pulled {
            Ok(true) => status(format!("Status: Downloaded newer image for {shown}")),
            Ok(false) => status(format!("Status: Image is up to date for {shown}")),
            Err(fault) => failure(&fault),
        };
        let _ = messages.send(last).await;
    });
    Ok(stream)
}

/// Whether anything is newer than before.
async fn run(
    core: &Arc<Core>,
    options: &PullOptions,
    credentials: &Credentials,
    messages: &Messages,
) -> Result<bool, Fault> {
    let reference = &options.reference;
    if reference.tag().is_some() || reference.digest().is_some() {
        return one(core, options, credentials, messages).await;
    }
    let mut newer = false;
    // What was pulled before a tag that fails stays.
    for tag in tags(&core.transfers.client()?.sources(reference, credentials), reference).await? {
        let options = PullOptions { reference: reference.with_tag(&tag)?, ..options.clone() };
        newer |= one(core, &options, credentials, messages).await?;
    }
    Ok(newer)
}

/// The tags that the first place that answers has.
async fn tags(sources: &[Repository], reference: &ImageRef) -> Result<Vec<String>, Fault> {
    let mut failure = None;
    for source in sources {
        match source.tags(reference).await {
            Ok(tags) if tags.is_empty() => {
                let name = reference.familiar_name();
                failure = Some(Fault::not_found(format!("the repository {name} has no tag")));
            }
            Ok(tags) => return Ok(tags),
            Err(error) => failure = Some(error.into()),
        }
    }
    Err(failure.unwrap_or_else(|| Fault::internal("there is no place to pull from")))
}

async fn one(
    core: &Arc<Core>,
    options: &PullOptions,
    credentials: &Credentials,
    messages: &Messages,
) -> Result<bool, Fault> {
    let reference = &options.reference;
    let mut sources = core.transfers.client()?.sources(reference, credentials);
    loop {
        let (document, at) = first_manifest(&sources, &wanted(reference)).await?;
        sources.drain(..at);
        let tried = Arc::new(sources);
        let pulled = from(core, options, messages, document, &tried).await;
        match pulled {
            // A mirror may serve what is no image; the registry itself has the last word.
            Err(fault) if tried[0].is_mirror() => {
                tracing::warn!(registry = tried[0].authority(), %fault, "a mirror is of no use");
                sources = core.transfers.client()?.sources(reference, credentials);
                sources.retain(|source| !source.is_mirror());
            }
            other => return other,
        }
    }
}

/// The document from the first place that has it, and which place that is.
async fn first_manifest(sources: &[Repository], wanted: &str) -> Result<(Document, usize), Fault> {
    let mut failure = None;
    for (at, source) in sources.iter().enumerate() {
        match source.manifest(wanted).await {
            Ok(document) => return Ok((document, at)),
            Err(error) => {
                if source.is_mirror() {
                    tracing::debug!(mirror = source.authority(), %error, "a mirror is passed over");
                }
                failure = Some(error);
            }
        }
    }
    Err(failure.map_or_else(|| Fault::internal("there is no place to pull from"), Fault::from))
}

/// Pulls what a document of the first place describes.
async fn from(
    core: &Arc<Core>,
    options: &PullOptions,
    messages: &Messages,
    document: Document,
    sources: &Arc<Vec<Repository>>,
) -> Result<bool, Fault> {
    let reference = &options.reference;
    let say = |message: JsonMessage| async { drop(messages.send(message).await) };
    let id = if reference.digest().is_some() { reference.familiar() } else { wanted(reference) };
    say(JsonMessage { id, ..status(format!("Pulling from {}", reference.path())) }).await;
    let top = document.digest;
    let (document, manifest) = of_platform(document, &sources[0], options.platform.as_ref()).await?;
    let config = sources[0].small_blob(&manifest.config.digest, manifest.config.size).await?;
    if let Some(wanted) = &options.platform {
        check_platform(reference, wanted, &config)?;
    }
    let by_digest = reference.with_digest(top);
    let names = match reference.digest() {
        Some(_) => vec![by_digest],
        None => vec![reference.clone().with_default_tag(), by_digest],
    };
    let id = manifest.config.digest;
    let before = core.images.resolve(&names[0].full()).ok().map(|image| image.id);
    let making = core.transfers.making(id);
    let _making = making.lock().await;
    let incoming = incoming(document, manifest, config, names);
    let mut received = receive(core, messages, sources, incoming.clone()).await?;
    // What an earlier pull left of a layer was not its beginning. By now it has come whole.
    if received.is_err_and_misled() {
        received = receive(core, messages, sources, incoming).await?;
    }
    received.result?;
    // The image may have been here in other blobs.
    crate::images::sweep(core);
    core.events.image("pull", &reference.familiar(), &reference.familiar_name());
    say(status(format!("Digest: {top}"))).await;
    Ok(before != Some(id))
}

/// The manifest of one image: the document itself, or what it lists for the platform.
async fn of_platform(
    document: Document,
    source: &Repository,
    platform: Option<&Platform>,
) -> Result<(Document, ImageManifest), Fault> {
    let index = match document.parse(source.authority())? {
        Manifest::Image(manifest) => return Ok((document, manifest)),
        Manifest::Index(index) => index,
    };
    let entry = index.choose(platform.unwrap_or(&Platform::host()))?;
    let document = source.manifest(entry.manifest.digest.as_str()).await?;
    if document.bytes.len() as u64 != entry.manifest.size {
        return Err(Fault::invalid(format!(
            "manifest {} has {} bytes, not {} as the index says",
            document.digest,
            document.bytes.len(),
            entry.manifest.size
        )));
    }
    match document.parse(source.authority())? {
        Manifest::Image(manifest) => Ok((document, manifest)),
        Manifest::Index(_) => Err(Fault::invalid("the index lists another index where an image is expected")),
    }
}

fn check_platform(reference: &ImageRef, wanted: &Platform, config: &[u8]) -> Result<(), Fault> {
    let config: hull_image::ImageConfig = serde_json::from_slice(config)
        .map_err(|error| Fault::invalid("the image's configuration is malformed").cause(error))?;
    let found = config.platform();
    if wanted.runs(&found) {
        return Ok(());
    }
    let name = reference.familiar();
    Err(Fault::not_found(format!("image {name} is for {found}: it does not provide the platform {wanted}")))
}

fn incoming(document: Document, manifest: ImageManifest, config: Vec<u8>, names: Vec<ImageRef>) -> Incoming {
    let layers = manifest.layers.into_iter().map(|layer| IncomingLayer {
        digest: layer.digest,
        size: layer.size,
        media_type: layer.media_type,
    });
    Incoming { manifest: document.bytes, config, layers: layers.collect(), names }
}

/// What came of an attempt.
struct Received {
    result: Result<Digest, Fault>,
    /// A layer was unpacked from bytes that turned out not to be its own.
    misled: bool,
}

impl Received {
    fn is_err_and_misled(&self) -> bool {
        self.result.is_err() && self.misled
    }
}

/// Makes the image while its layers come.
async fn receive(
    core: &Arc<Core>,
    messages: &Messages,
    sources: &Arc<Vec<Repository>>,
    incoming: Incoming,
) -> Result<Received, Fault> {
    // Gone when this future is: the threads that read layers end then.
    let (_pull, ended) = watch::channel(());
    let layers = incoming.layers.iter().map(Slot::new).collect();
    let known = core.images.get(&Digest::of(&incoming.config)).is_some();
    let arriving = Arriving {
        core: Arc::clone(core),
        sources: Arc::clone(sources),
        layers,
        known,
        messages: messages.clone(),
        pull: ended,
        runtime: Handle::current(),
    };
    let work = tokio::task::spawn_blocking(move || {
        let received = arriving.core.images.receive(incoming, &arriving, &|what| arriving.report(what));
        Received { misled: arriving.is_misled(), result: received.map_err(Fault::from) }
    });
    work.await.map_err(|error| Fault::internal("the pull failed").cause(error))
}

/// The layers of one pull.
struct Arriving {
    core: Arc<Core>,
    sources: Arc<Vec<Repository>>,
    layers: Vec<Slot>,
    /// The image was here before.
    known: bool,
    messages: Messages,
    pull: watch::Receiver<()>,
    runtime: Handle,
}

struct Slot {
    id: String,
    blob: Wanted,
    pace: Pace,
    coming: Mutex<Option<Coming>>,
}

struct Coming {
    download: Arc<Download>,
    /// Tells of the download, to its end.
    telling: Option<JoinHandle<()>>,
}

impl Slot {
    fn new(layer: &IncomingLayer) -> Self {
        let (digest, size) = (layer.digest, layer.size);
        let id = digest.short().to_owned();
        Self { id, blob: Wanted { digest, size }, pace: Pace::default(), coming: Mutex::default() }
    }
}

impl Arriving {
    fn say(&self, message: JsonMessage) {
        // The reader may be gone; the pull learns of it elsewhere.
        let _ = self.messages.blocking_send(message);
    }

    fn report(&self, what: Receiving) {
        match what {
            // COMPAT(docker 28): nothing is said of the layers of an image that is here.
            Receiving::Exists(_) if self.known => {}
            Receiving::Exists(at) => self.say(layer(&self.layers[at].id, "Already exists")),
            Receiving::Missing(at) => self.say(layer(&self.layers[at].id, "Pulling fs layer")),
            Receiving::Done(at) => self.say(layer(&self.layers[at].id, "Pull complete")),
            Receiving::Unpacking(at, bytes) => {
                let slot = &self.layers[at];
                // While it is still being downloaded, that is what is told.
                if slot.is_here() && slot.pace.is_due() {
                    self.say(progress(&slot.id, "Extracting", bytes, slot.blob.size));
                }
            }
        }
    }
}

impl Arriving {
    fn is_misled(&self) -> bool {
        self.layers.iter().any(|slot| {
            let coming = slot.coming.lock().unwrap_or_else(PoisonError::into_inner);
            coming.as_ref().is_some_and(|coming| coming.download.state.borrow().misled)
        })
    }
}

impl Slot {
    fn is_here(&self) -> bool {
        let coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        coming.as_ref().is_none_or(|coming| coming.telling.as_ref().is_none_or(JoinHandle::is_finished))
    }
}

impl Arrivals for Arriving {
    fn open(&self, at: usize) -> Result<Box<dyn Read + Send>, Fault> {
        let slot = &self.layers[at];
        let download = self.core.transfers.downloads.get(&self.runtime, slot.blob, &self.sources);
        let telling = tell(slot.id.clone(), slot.blob.size, Arc::downgrade(&download), self.messages.clone());
        let telling = Some(self.runtime.spawn(telling));
        let following = Following::new(Arc::clone(&download), self.pull.clone(), self.runtime.clone());
        *slot.coming.lock().unwrap_or_else(PoisonError::into_inner) = Some(Coming { download, telling });
        Ok(Box::new(following))
    }

    fn blob(&self, at: usize) -> Result<Blob, Fault> {
        let mut coming = self.layers[at].coming.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(coming) = coming.as_mut() else { return Err(Fault::internal("a layer was not asked for")) };
        if let Some(telling) = coming.telling.take() {
            // ORDER: "Download complete" comes before "Pull complete".
            let _ = self.runtime.block_on(telling);
        }
        let end = coming.download.state.borrow().end.clone();
        end.unwrap_or_else(|| Err(Fault::internal("a layer is not whole")))
    }

    fn failure(&self) -> Option<Fault> {
        self.layers.iter().find_map(|slot| {
            let coming = slot.coming.lock().unwrap_or_else(PoisonError::into_inner);
            let end = coming.as_ref()?.download.state.borrow().end.clone();
            end?.err()
        })
    }
}

/// Tells how far a download is, to its end.
async fn tell(id: String, total: u64, download: std::sync::Weak<Download>, messages: Messages) {
    let Some(mut state) = download.upgrade().map(|download| download.state.clone()) else { return };
    let pace = Pace::default();
    loop {
        let (at, ended) = {
            let state = state.borrow_and_update();
            (state.at, state.end.as_ref().map(Result::is_ok))
        };
        match ended {
            Some(true) => {
                let _ = messages.send(layer(&id, "Verifying Checksum")).await;
                let _ = messages.send(layer(&id, "Download complete")).await;
                return;
            }
            Some(false) => return,
            None => {}
        }
        if at > 0 && pace.is_due() && messages.send(progress(&id, "Downloading", at, total)).await.is_err() {
            return;
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}
