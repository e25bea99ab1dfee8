//! The durable store.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::codec::{job_key, name_key};
use super::sled_life::{Life, Stage};
use super::sled_open::{self, Opened};
#[cfg(feature = "cli")]
use super::sled_place::Copy;
use super::sled_place::Place;
use super::sled_thread::{StoreThread, Write};
use super::sled_trees::Trees;
use super::{
    Applied, Batch, BoxFuture, DocId, Document, DocumentStore, Job, JobId, Mapping, StoreError,
};
use crate::document::DocumentKey;

/// Documents, names and journal in a folder on the local disk.
///
/// One process at a time. All writes go through one thread that makes everything waiting durable
/// with one fsync. A read takes at most 5 seconds. A write takes as long as the disk does, and is given up only if more
/// than 4,096 wait: when the disk fails, the store is opened again every few seconds, and what waits is written then.
/// Dropping it waits for the writes under way, for at most 10 seconds.
#[derive(Debug)]
pub struct SledStore {
    life: Arc<Life>,
    readers: Arc<Semaphore>,
    /// `None` once it is closed.
    writes: ArcSwapOption<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
    /// Goes with it.
    #[cfg(feature = "cli")]
    copy: Option<Copy>,
}

impl SledStore {
    /// Opens the store in this folder, creating it if there is none. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it open, [`StoreError::Corrupt`] or
    /// [`StoreError::Format`] if it can't be read as what it is; nothing is deleted then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_at(Place::alone(path.as_ref()))
    }

    /// The same below `store.path`.
    #[cfg(feature = "cli")]
    pub(crate) fn open_below(folder: &Path) -> Result<Self, StoreError> {
        Self::open_at(Place::below(folder))
    }

    /// A copy of the store below `store.path`, to be looked at: the store itself is not touched. What can't be read is in
    /// [`damage`](Self::damage).
    #[cfg(feature = "cli")]
    pub(crate) fn look_below(folder: &Path) -> Result<Self, StoreError> {
        let place = Place::below(folder);
        let copy = sled_open::copy(&place)?;
        let mut store = Self::open_at(copy.place.clone())?;
        let damage = sled_open::behind(&place, store.life.revision());
        damage.into_iter().for_each(|what| store.life.damaged(what));
        store.copy = Some(copy);
        Ok(store)
    }

    fn open_at(place: Place) -> Result<Self, StoreError> {
        let opened = sled_open::open(&place, false)?;
        Self::with(place, Some(opened))
    }

    /// The same, whatever is wrong with the folder: until the store can be opened, which is tried every few seconds, it
    /// answers [`StoreError::Stopped`], and writes wait. Blocks for at most 5 seconds.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::start_at(Place::alone(path.as_ref()))
    }

    pub(super) fn start_at(place: Place) -> Result<Self, StoreError> {
        let store = Self::with(place, None)?;
        // A disk that hangs is no reason to wait for ever.
        store.life.wait_for(Stage::Tried, DEADLINE);
        if !store.life.was_open() {
            store.life.count_by_the_clock();
        }
        Ok(store)
    }

    fn with(place: Place, opened: Option<Opened>) -> Result<Self, StoreError> {
        let life = Arc::new(Life::new());
        let (writes, waiting) = mpsc::channel(MAX_WAITING);
        let mut thread = StoreThread::new(place, Arc::clone(&life), waiting);
        if let Some(opened) = opened {
            thread.install(opened)?;
            life.is_well();
        }
        let thread = std::thread::Builder::new()
            .name("transom-store".to_owned())
            .spawn(move || thread.run())
            .map_err(|error| StoreError::Io(format!("no thread for the store: {error}")))?;
        let readers = Arc::new(Semaphore::new(MAX_READERS));
        Ok(Self {
            life,
            readers,
            writes: ArcSwapOption::from_pointee(writes),
            thread: Some(thread),
            #[cfg(feature = "cli")]
            copy: None,
        })
    }

    /// The records that were found damaged so far, at most 100 of them.
    pub fn damage(&self) -> Vec<String> {
        self.life.damage()
    }

    /// Reads off the async threads. The permit goes with the read, so that reads which hang can't
    /// take all blocking threads of the runtime.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Trees) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        let trees = self.life.trees()?;
        let reading = async move {
            let permit = readers.acquire_owned().await.map_err(|_| ended())?;
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                read(&trees)
            });
            task.await.map_err(|error| StoreError::Io(format!("a read ended: {error}")))?
        };
        timeout(DEADLINE, reading).await.map_err(|_| StoreError::Timeout)?
    }

    async fn write(&self, batch: Batch) -> Result<Applied, StoreError> {
        let (reply, answer) = oneshot::channel();
        let writes = self.writes.load_full().ok_or_else(ended)?;
        writes.try_send(Write { batch, reply }).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Stopped(format!(
                "{MAX_WAITING} writes wait for the store, which is as many as may"
            )),
            TrySendError::Closed(_) => ended(),
        })?;
        drop(writes);
        answer.await.map_err(|_| StoreError::Io("the store's thread ended".to_owned()))?
    }
}

impl DocumentStore for SledStore {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        Box::pin(async move {
            if let Some(known) = self.life.cache.get(key) {
                return Ok(known);
            }
            let generation = self.life.cache.generation();
            let name = key.clone();
            let mapping = self.read(move |trees| trees.find(&name)).await?.map(Arc::new);
            self.life.cache.fill(generation, key, mapping.as_ref());
            Ok(mapping)
        })
    }

    fn known(&self, key: &DocumentKey) -> Option<Arc<Mapping>> {
        self.life.cache.get(key).flatten()
    }

    fn document(&self, id: DocId) -> BoxFuture<'_, Result<Option<Arc<Document>>, StoreError>> {
        Box::pin(self.read(move |trees| Ok(trees.document(id)?.map(Arc::new))))
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, StoreError>> {
        Box::pin(self.write(batch))
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a DocumentKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>> {
        let start = after.map_or_else(Vec::new, |key| successor(name_key(key)));
        let life = Arc::clone(&self.life);
        Box::pin(self.read(move |trees| trees.list(start, limit, &|what| life.damaged(what))))
    }

    fn jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        let start = after.map_or_else(Vec::new, |id| successor(job_key(id).to_vec()));
        let life = Arc::clone(&self.life);
        Box::pin(self.read(move |trees| trees.list_jobs(start, limit, &|what| life.damaged(what))))
    }

    fn health(&self) -> Result<(), String> {
        self.life.health()
    }

    fn is_ready(&self) -> bool {
        self.life.was_open()
    }

    fn is_whole(&self) -> bool {
        !self.life.is_suspect() && self.life.damage().is_empty()
    }

    fn loss_is_dealt_with(&self) {
        self.life.suspects(false);
    }

    fn failures(&self) -> u64 {
        self.life.failures()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.writes.store(None);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        let life = Arc::clone(&self.life);
        Box::pin(async move {
            let ended =
                tokio::task::spawn_blocking(move || life.wait_for(Stage::Ended, CLOSE_AT_MOST));
            if !ended.await.unwrap_or_default() {
                tracing::error!("the store's disk does not answer; the store is left as it is");
            }
        })
    }

    fn next_job(&self) -> JobId {
        self.life.next_job()
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.writes.store(None);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if self.life.wait_for(Stage::Ended, CLOSE_AT_MOST) {
            // It panicked if this fails; there is nobody left to tell.
            let _ = thread.join();
        } else {
            tracing::error!("the store's disk does not answer; the store is left as it is");
        }
    }
}

/// The first key after this one.
fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn ended() -> StoreError {
    StoreError::Stopped("the store is closed".to_owned())
}

/// How long a read may take.
const DEADLINE: Duration = Duration::from_secs(5);
const CLOSE_AT_MOST: Duration = Duration::from_secs(10);
/// Writes that wait for the store's thread.
const MAX_WAITING: usize = 4096;
/// Reads at a time that are not answered by the cache.
const MAX_READERS: usize = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "sled_failing_tests.rs"]
mod failing_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "sled_tests.rs"]
pub(super) mod tests;
