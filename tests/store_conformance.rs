//! The public suite tells a store that keeps its contract from one that does not.

use std::sync::Arc;

use transom::DocumentKey;
use transom::store::{
    Applied, Batch, BoxFuture, DocId, Document, DocumentStore, Job, JobId, Mapping, MemoryStore,
    StoreError, conformance,
};

/// A store as another crate would write it, with faults that may be chosen.
#[derive(Default)]
struct Own {
    inner: MemoryStore,
    ignores_fences: bool,
    loses_jobs: bool,
}

impl DocumentStore for Own {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        self.inner.get(key)
    }

    fn document(&self, id: DocId) -> BoxFuture<'_, Result<Option<Arc<Document>>, StoreError>> {
        self.inner.document(id)
    }

    fn apply(&self, mut batch: Batch) -> BoxFuture<'_, Result<Applied, StoreError>> {
        if self.ignores_fences {
            batch.fences.clear();
        }
        if self.loses_jobs {
            batch.put_jobs.truncate(1);
        }
        self.inner.apply(batch)
    }

    fn list<'a>(
        &'a self,
        after: Option<&'a DocumentKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>> {
        self.inner.list(after, limit)
    }

    fn jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        self.inner.jobs(after, limit)
    }

    fn next_job(&self) -> JobId {
        self.inner.next_job()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_keeps_its_contract_passes() {
    conformance::all(|| async { Own::default() }).await;
}

#[tokio::test]
#[should_panic]
async fn a_store_that_lets_two_owners_end_a_job_fails() {
    conformance::all(|| async { Own { ignores_fences: true, ..Own::default() } }).await;
}

#[tokio::test]
#[should_panic]
async fn a_store_that_loses_a_part_of_a_batch_fails() {
    conformance::all(|| async { Own { loses_jobs: true, ..Own::default() } }).await;
}
