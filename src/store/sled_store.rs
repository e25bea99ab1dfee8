//! The durable store.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sled::IVec;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::codec::{decode, job_key, name_key};
use super::sled_cache::MappingCache;
use super::sled_open::{self, read_error};
use super::sled_trees::Trees;
use super::sled_writer::{Failed, Write, Writer};
use super::{
    Applied, Batch, BoxFuture, DocId, Document, DocumentStore, Job, JobId, Mapping, StoreError,
};
use crate::document::DocumentKey;

/// Documents, names and journal in a folder on the local disk.
///
/// One process at a time. All writes go through one thread that makes everything waiting durable
/// with one fsync. No call takes longer than 5 seconds: a disk that hangs stops captures and
/// sessions, not the proxy. Dropping it waits for the writes under way.
#[derive(Debug)]
pub struct SledStore {
    trees: Trees,
    cache: Arc<MappingCache>,
    last_job: Arc<AtomicU64>,
    readers: Arc<Semaphore>,
    failed: Failed,
    /// `None` only while dropping.
    writes: Option<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl SledStore {
    /// Opens the store in this folder, creating it if there is none. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if another process has it open, [`StoreError::Corrupt`] or
    /// [`StoreError::Format`] if it can't be read as what it is; nothing is deleted then.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let opened = sled_open::open(path.as_ref())?;
        let trees = opened.trees.clone();
        let cache = Arc::new(MappingCache::new());
        let last_job = Arc::new(AtomicU64::new(opened.counters.last_job));
        let failed = Failed::default();
        let writer =
            Writer::new(opened, Arc::clone(&cache), Arc::clone(&last_job), Arc::clone(&failed));
        let (writes, waiting) = mpsc::channel(MAX_WAITING);
        let thread = std::thread::Builder::new()
            .name("transom-store".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(|error| StoreError::Io(format!("no thread for the store: {error}")))?;
        Ok(Self {
            trees,
            cache,
            last_job,
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            failed,
            writes: Some(writes),
            thread: Some(thread),
        })
    }

    /// Reads off the async threads. The permit goes with the read, so that reads which hang can't
    /// take all blocking threads of the runtime.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Trees) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let trees = self.trees.clone();
        let readers = Arc::clone(&self.readers);
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
        let writes = self.writes.as_ref().ok_or_else(ended)?;
        let (reply, answer) = oneshot::channel();
        let writing = async {
            writes.send(Write { batch, reply }).await.map_err(|_| ended())?;
            answer.await.map_err(|_| StoreError::Io("the store's thread ended".to_owned()))?
        };
        timeout(DEADLINE, writing).await.map_err(|_| StoreError::Timeout)?
    }
}

impl DocumentStore for SledStore {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        Box::pin(async move {
            if let Some(known) = self.cache.get(key) {
                return Ok(known);
            }
            let generation = self.cache.generation();
            let name = key.clone();
            let mapping = self.read(move |trees| trees.find(&name)).await?.map(Arc::new);
            self.cache.fill(generation, key, mapping.as_ref());
            Ok(mapping)
        })
    }

    fn known(&self, key: &DocumentKey) -> Option<Arc<Mapping>> {
        self.cache.get(key).flatten()
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
        Box::pin(self.read(move |trees| trees.list(start, limit)))
    }

    fn jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        let start = after.map_or_else(Vec::new, |id| successor(job_key(id).to_vec()));
        Box::pin(self.read(move |trees| {
            let page = trees.jobs.range(start..).take(limit);
            page.map(|entry| value("job", entry)).collect()
        }))
    }

    fn health(&self) -> Result<(), String> {
        match self.failed.get() {
            None => Ok(()),
            Some(error) => Err(format!("takes no more writes until a restart: {error}")),
        }
    }

    fn next_job(&self) -> JobId {
        JobId(self.last_job.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.writes.take();
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// The first key after this one.
fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn value<T: serde::de::DeserializeOwned>(
    what: &str,
    entry: sled::Result<(IVec, IVec)>,
) -> Result<T, StoreError> {
    let (_, bytes) = entry.map_err(|error| read_error(&error))?;
    decode(what, &bytes)
}

fn ended() -> StoreError {
    StoreError::Stopped("the store is closed".to_owned())
}

/// How long any call may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// Writes that wait for the store's thread; later ones wait for a place.
const MAX_WAITING: usize = 1024;
/// Reads at a time that are not answered by the cache.
const MAX_READERS: usize = 16;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "sled_tests.rs"]
pub(super) mod tests;
