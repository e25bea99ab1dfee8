//! A stand-in for the store, which an explanation must not touch.

use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use crate::document::DocumentKey;
use crate::store::{
    Applied, Batch, BoxFuture, DocId, Document, DocumentStore, Job, JobId, Mapping, Progress,
    StoreError,
};

/// Reads from another store, or knows every document; writes nothing.
pub(super) enum Store {
    Read(Arc<dyn DocumentStore>),
    /// The document that every name points at, at this moment.
    Assumed(Mutex<Option<Box<Document>>>),
}

impl DocumentStore for Store {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        match self {
            Self::Read(store) => store.get(key),
            Self::Assumed(mapping) => {
                let document = mapping.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mapping =
                    document.map(|document| Mapping { key: key.clone(), document: *document });
                Box::pin(ready(Ok(mapping.map(Arc::new))))
            }
        }
    }

    fn document(&self, _: DocId) -> BoxFuture<'_, Result<Option<Arc<Document>>, StoreError>> {
        Box::pin(ready(Ok(None)))
    }

    fn apply(&self, _: Batch) -> BoxFuture<'_, Result<Applied, StoreError>> {
        let refusal = "an explanation writes nothing".to_owned();
        Box::pin(ready(Err(StoreError::Stopped(refusal))))
    }

    fn list<'a>(
        &'a self,
        _: Option<&'a DocumentKey>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    /// Those that wait for an operator: no job of another store is done from here.
    fn jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        let Self::Read(store) = self else { return Box::pin(ready(Ok(Vec::new()))) };
        Box::pin(async move {
            let mut jobs = store.jobs(after, limit).await?;
            jobs.retain(|job| matches!(job.progress, Progress::Parked { .. }));
            Ok(jobs)
        })
    }

    fn next_job(&self) -> JobId {
        JobId(1)
    }
}
