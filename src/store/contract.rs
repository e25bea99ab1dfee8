//! The trait that every store implements.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{DocId, Document, Job, JobId, Mapping};
use crate::document::DocumentKey;

/// A boxed future, so that stores can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Changes that happen together or not at all. None by default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Batch {
    /// Revisions that must still be current: `None` means no such document.
    pub expect: Vec<(DocId, Option<u64>)>,
    /// Jobs that must still be there with this fence: the claim under which the batch was made.
    pub fences: Vec<(JobId, u64)>,
    /// Documents to write, with all their names (their `revision` is set by the store).
    pub put: Vec<Document>,
    /// Documents to forget, with all their names.
    pub remove: Vec<DocId>,
    /// Journal entries to write.
    pub put_jobs: Vec<Job>,
    /// Journal entries that are done.
    pub remove_jobs: Vec<JobId>,
}

impl Batch {
    /// The same, with each document named once: as it is after the batch.
    pub(super) fn tidy(mut self) -> Self {
        let mut seen = HashSet::new();
        self.put.reverse();
        self.put.retain(|document| seen.insert(document.id));
        self.put.reverse();
        self.remove.retain(|id| seen.insert(*id));
        let nameless = self.put.extract_if(.., |document| document.names.is_empty());
        self.remove.extend(nameless.map(|document| document.id));
        self
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// Durable: survives a crash of the process and of the machine.
    Done,
    /// A revision was not the expected one, or a name belongs to another document; nothing was written.
    Conflict,
    /// A job has been claimed again since, or is gone; nothing was written.
    Fenced,
}

/// Keeps documents, the names that point at them, and the journal.
///
/// # Contract
/// A name points at one document at most. A document that is put without a name goes. Names change with their
/// document only, so that its revision stands for them too.
///
/// `apply` is atomic, and durable once it resolves with [`Applied::Done`]. A read that starts after
/// that sees it. Batches are applied one after the other. It takes as long as it takes: who can't wait asks from a task
/// of its own, since a batch whose future is dropped before it was begun is not applied. Whoever has read a part of a batch, be it before it is
/// durable, reads the rest of it too.
pub trait DocumentStore: Send + Sync + 'static {
    /// The document of this name. Shared, since every view asks for one.
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>>;
    /// What a `get` that starts now would find, if that is in memory; `None` says nothing. Waits for nobody.
    fn known(&self, _key: &DocumentKey) -> Option<Arc<Mapping>> {
        None
    }
    /// The document itself, whatever it is called by now.
    fn document(&self, id: DocId) -> BoxFuture<'_, Result<Option<Arc<Document>>, StoreError>>;
    /// Applies a batch.
    fn apply(&self, batch: Batch) -> BoxFuture<'_, Result<Applied, StoreError>>;
    /// Up to `limit` names after `after` in their order, each with its document.
    fn list<'a>(
        &'a self,
        after: Option<&'a DocumentKey>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>>;
    /// Up to `limit` journal entries after `after`, oldest first.
    fn jobs(
        &self,
        after: Option<JobId>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Job>, StoreError>>;
    /// Takes a job for one attempt: `claimed` is what [`Job::claimed`] made of the job as it was read. The rest of the
    /// batch goes with it. [`Applied::Fenced`]: another owner was faster.
    fn claim<'a>(
        &'a self,
        claimed: &Job,
        mut batch: Batch,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        batch.fences.push((claimed.id, claimed.fence.saturating_sub(1)));
        batch.put_jobs.push(claimed.clone());
        self.apply(batch)
    }
    /// Holds a claimed job until then, in Unix milliseconds. [`Applied::Fenced`]: it is another owner's.
    fn renew<'a>(
        &'a self,
        claimed: &Job,
        until: u64,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        let put_jobs = vec![Job { leased_until: Some(until), ..claimed.clone() }];
        let fences = vec![(claimed.id, claimed.fence)];
        self.apply(Batch { fences, put_jobs, ..Batch::default() })
    }
    /// Writes what became of an attempt, if the job is still claimed by it. [`Applied::Fenced`]: it is another
    /// owner's, or ended.
    fn finish<'a>(
        &'a self,
        claimed: &Job,
        mut batch: Batch,
    ) -> BoxFuture<'a, Result<Applied, StoreError>> {
        batch.fences.push((claimed.id, claimed.fence));
        self.apply(batch)
    }
    /// A name for a new journal entry, greater than all before it, also across restarts.
    fn next_job(&self) -> JobId;
    /// Whether it takes writes just now, as far as that is known without any I/O; else a sentence for
    /// the operator.
    fn health(&self) -> Result<(), String> {
        Ok(())
    }
    /// Whether it was ever there. Until then nothing can be kept, and requests had better go elsewhere.
    fn is_ready(&self) -> bool {
        true
    }
    /// Finishes the writes under way and gives up what another process needs to open it. It answers
    /// [`StoreError::Stopped`] afterwards.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
    /// Whether all is there that was ever written, as far as is known. If not, files that no job needs are moved aside
    /// rather than removed: a job that is lost may have needed them.
    fn is_whole(&self) -> bool {
        true
    }
    /// What [`is_whole`](Self::is_whole) told has been acted upon.
    fn loss_is_dealt_with(&self) {}
    /// How often its disk, or what it is kept in otherwise, has failed since it was made.
    fn failures(&self) -> u64 {
        0
    }
}

/// Why the store did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open.
    #[error("{0}")]
    Locked(String),
    /// It can't be read as what it is.
    #[error("{0}")]
    Corrupt(String),
    /// It was written by a version of Transom that this one does not understand.
    #[error("{0}")]
    Format(String),
    /// The disk, or the store behind it, failed. Whether a batch was written is unknown.
    #[error("{0}")]
    Io(String),
    /// It stopped after an earlier failure; nothing was written.
    #[error("{0}")]
    Stopped(String),
    /// It took longer than it may. Whether a batch was written is unknown.
    #[error("the store did not answer in time")]
    Timeout,
}

impl StoreError {
    /// Whether a batch that ended with this may have been written all the same.
    pub(crate) fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Timeout)
    }
}

/// The journal entry with this name.
pub(crate) async fn find_job(
    store: &dyn DocumentStore,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    let before = id.0.checked_sub(1).map(JobId);
    Ok(store.jobs(before, 1).await?.into_iter().find(|job| job.id == id))
}
