//! [`Download`]: a blob on its way in, shared by every pull that wants it, ended when none does any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use hull_content::{Blob, Follower, Partial, Store};
use hull_registry::{Repository, Sink, Wanted};
use hull_types::{Digest, Fault};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

/// All downloads of an engine.
pub(super) struct Downloads {
    store: Store,
    running: Mutex<HashMap<Digest, Running>>,
    /// How many may come at once.
    places: RwLock<Option<Arc<Semaphore>>>,
}

struct Running {
    download: Weak<Download>,
    /// Held by the one task that writes the blob's file.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// A blob on its way in.
pub(super) struct Download {
    pub state: watch::Receiver<State>,
    task: AbortHandle,
}

/// How far a download is.
#[derive(Clone, Default)]
pub(super) struct State {
    /// Bytes that can be read.
    pub at: u64,
    /// Where.
    pub follower: Option<Follower>,
    /// What could be read was not the blob, and it came again from its beginning.
    pub misled: bool,
    /// What came of it.
    pub end: Option<Result<Blob, Fault>>,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Downloads {
    /// `most`: so many at once; those that are shared count once.
    pub fn new(store: Store, most: Option<usize>) -> Self {
        Self { store, running: Mutex::default(), places: RwLock::new(super::bound(most)) }
    }

    /// Another number at once, for those that begin from now on.
    pub fn bound(&self, most: Option<usize>) {
        *self.places.write().unwrap_or_else(PoisonError::into_inner) = super::bound(most);
    }

    /// The download of a blob: the one that runs, or a new one from these places.
    pub fn get(&self, runtime: &tokio::runtime::Handle, blob: Wanted, sources: &Arc<Vec<Repository>>) -> Arc<Download> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, known| known.download.strong_count() > 0 || Arc::strong_count(&known.writing) > 1);
        let known = running.get(&blob.digest);
        if let Some(download) = known.and_then(|known| known.download.upgrade())
            && !matches!(download.state.borrow().end, Some(Err(_)))
        {
            return download;
        }
        let writing = known.map(|known| Arc::clone(&known.writing)).unwrap_or_default();
        let (told, state) = watch::channel(State::default());
        let work = Work { store: self.store.clone(), blob, sources: Arc::clone(sources), told };
        let lock = Arc::clone(&writing);
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner).clone();
        let task = runtime.spawn(async move {
            let _writing = lock.lock().await;
            let _place = match &places {
                Some(places) => places.acquire().await.ok(),
                None => None,
            };
            let end = work.run().await;
            work.told.send_modify(|state| state.end = Some(end));
        });
        let download = Arc::new(Download { state, task: task.abort_handle() });
        running.insert(blob.digest, Running { download: Arc::downgrade(&download), writing });
        download
    }
}

struct Work {
    store: Store,
    blob: Wanted,
    sources: Arc<Vec<Repository>>,
    told: watch::Sender<State>,
}

impl Work {
    async fn run(&self) -> Result<Blob, Fault> {
        let mut failure = None;
        for source in self.sources.iter() {
            match self.from(source).await {
                Ok(blob) => return Ok(blob),
                Err(fault) => {
                    tracing::debug!(blob = %self.blob.digest, registry = source.authority(), %fault, "a place failed");
                    failure = Some(fault);
                }
            }
        }
        Err(failure.unwrap_or_else(|| Fault::internal("there is no place to download from")))
    }

    /// Fetches from one place; once more from the beginning if what was resumed turns out to be wrong.
    async fn from(&self, source: &Repository) -> Result<Blob, Fault> {
        let (resumed, outcome) = self.attempt(source).await?;
        match outcome {
            Err(hull_content::Error::Mismatch { .. }) if resumed => {
                self.told.send_modify(|state| state.misled = true);
                Ok(self.attempt(source).await?.1?)
            }
            other => Ok(other?),
        }
    }

    async fn attempt(&self, source: &Repository) -> Result<(bool, hull_content::Result<Blob>), Fault> {
        let (store, blob) = (self.store.clone(), self.blob);
        let opened = tokio::task::spawn_blocking(move || store.partial(&blob.digest, blob.size)).await;
        let partial = opened.map_err(|error| Fault::internal("the download was given up").cause(error))??;
        let resumed = partial.offset() > 0;
        let follower = partial.follower()?;
        self.told.send_modify(|state| {
            state.at = partial.offset();
            state.follower = Some(follower);
        });
        let mut sink = Into { partial, told: &self.told };
        source.fetch(self.blob, &mut sink).await?;
        Ok((resumed, sink.partial.finish()))
    }
}

/// Writes to the store and tells how far it is.
struct Into<'a> {
    partial: Partial,
    told: &'a watch::Sender<State>,
}

impl Sink for Into<'_> {
    fn offset(&self) -> u64 {
        self.partial.offset()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.partial.write(bytes).map_err(|error| error.to_string())?;
        let at = self.partial.offset();
        self.told.send_modify(|state| state.at = at);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        self.told.send_modify(|state| state.at = 0);
        self.partial.restart().map_err(|error| error.to_string())
    }
}
