//! A store without a disk.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Applied, Batch, BoxFuture, Job, JobId, Mapping, MappingStore, StoreError};
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

impl MappingStore for MemoryStore {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        Box::pin(async move { Ok(self.tables().mappings.get(key).cloned().map(Arc::new)) })
    }

    fn known(&self, key: &DocumentKey) -> Option<Arc<Mapping>> {
        self.tables().mappings.get(key).cloned().map(Arc::new)
    }

    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, StoreError>> {
        Box::pin(async move { Ok(self.tables().apply(batch)) })
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a DocumentKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        Box::pin(async move {
            let tables = self.tables();
            let page = tables.mappings.range((start, Bound::Unbounded)).take(limit);
            Ok(page.map(|(_, mapping)| mapping.clone()).collect())
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
    mappings: BTreeMap<DocumentKey, Mapping>,
    jobs: BTreeMap<JobId, Job>,
    revision: u64,
}

impl Tables {
    fn apply(&mut self, batch: Batch) -> Applied {
        let current = |key| self.mappings.get(key).map(|mapping| mapping.revision);
        if batch.expect.iter().any(|(key, revision)| current(key) != *revision) {
            return Applied::Conflict;
        }
        for key in &batch.remove {
            self.mappings.remove(key);
        }
        for mut mapping in batch.put {
            self.revision += 1;
            mapping.revision = self.revision;
            self.mappings.insert(mapping.key.clone(), mapping);
        }
        for id in &batch.remove_jobs {
            self.jobs.remove(id);
        }
        self.jobs.extend(batch.put_jobs.into_iter().map(|job| (job.id, job)));
        Applied::Done
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
