//! A store without a disk.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Applied, Batch, BoxFuture, DocId, Document, DocumentStore, Job, JobId, Mapping, StoreError,
    names,
};
use crate::document::DocumentKey;

/// Keeps everything in memory and forgets it with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    last_job: AtomicU64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DocumentStore for MemoryStore {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        Box::pin(async move { Ok(self.tables().find(key).map(Arc::new)) })
    }

    fn known(&self, key: &DocumentKey) -> Option<Arc<Mapping>> {
        self.tables().find(key).map(Arc::new)
    }

    fn document(&self, id: DocId) -> BoxFuture<'_, Result<Option<Arc<Document>>, StoreError>> {
        Box::pin(async move { Ok(self.tables().documents.get(&id).cloned().map(Arc::new)) })
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, StoreError>> {
        Box::pin(async move { self.tables().apply(batch.tidy()) })
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a DocumentKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        Box::pin(async move {
            let tables = self.tables();
            let page = tables.names.range((start, Bound::Unbounded)).take(limit);
            Ok(page.filter_map(|(key, _)| tables.find(key)).collect())
        })
    }

    fn jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        Box::pin(async move {
            let tables = self.tables();
            let page = tables.jobs.range((start, Bound::Unbounded)).take(limit);
            Ok(page.map(|(_, job)| job.clone()).collect())
        })
    }

    fn next_job(&self) -> JobId {
        JobId(self.last_job.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[derive(Debug, Default)]
struct Tables {
    documents: HashMap<DocId, Document>,
    names: BTreeMap<DocumentKey, DocId>,
    jobs: BTreeMap<JobId, Job>,
    revision: u64,
}

impl Tables {
    fn find(&self, key: &DocumentKey) -> Option<Mapping> {
        let document = self.documents.get(self.names.get(key)?)?.clone();
        Some(Mapping { key: key.clone(), document })
    }

    fn apply(&mut self, batch: Batch) -> Result<Applied, StoreError> {
        let fence = |id| self.jobs.get(id).map(|job| job.fence);
        if batch.fences.iter().any(|(id, held)| fence(id) != Some(*held)) {
            return Ok(Applied::Fenced);
        }
        let current = |id| self.documents.get(id).map(|document| document.revision);
        if batch.expect.iter().any(|(id, revision)| current(id) != *revision) {
            return Ok(Applied::Conflict);
        }
        let before = |id| self.documents.get(&id);
        let owner = |key: &DocumentKey| Ok(self.names.get(key).copied());
        let Some(names) = names::changes(&batch, before, owner)? else {
            return Ok(Applied::Conflict);
        };
        for (key, id) in names {
            match id {
                Some(id) => self.names.insert(key, id),
                None => self.names.remove(&key),
            };
        }
        for id in &batch.remove {
            self.documents.remove(id);
        }
        for mut document in batch.put {
            self.revision += 1;
            document.revision = self.revision;
            self.documents.insert(document.id, document);
        }
        for id in &batch.remove_jobs {
            self.jobs.remove(id);
        }
        self.jobs.extend(batch.put_jobs.into_iter().map(|job| (job.id, job)));
        Ok(Applied::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance;

    #[tokio::test]
    async fn keeps_the_contract() {
        conformance::all(|| async { MemoryStore::new() }).await;
    }
}
