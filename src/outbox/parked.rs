//! What an operator decides about a parked upload, after a look at DWS.

use std::sync::Arc;

use crate::reason::Reason;
use crate::store::{
    Applied, Batch, Document, DocumentState, DocumentStore, Job, JobId, Progress, Sent, StoreError,
    find_job,
};

/// It is tried again: sent, or, where DWS may have it, looked for first. The job as it is now.
pub(crate) async fn retry(
    store: &dyn DocumentStore,
    id: JobId,
    now: u64,
) -> Result<Job, OutboxError> {
    let job = find_parked(store, id).await?;
    let mut batch = Batch::default();
    if matches!(job.progress, Progress::Refused { .. }) {
        let document = store.document(job.document).await?;
        let document = document.filter(|document| {
            let is_refused = matches!(document.state, DocumentState::Refused { .. });
            is_refused && document.captured_by == id
        });
        let Some(document) = document else { return Err(OutboxError::Changed(id)) };
        batch.expect.push((document.id, Some(document.revision)));
        let state = DocumentState::Pending { job: id, previous: None };
        batch.put.push(Document { state, updated_at: now, ..Arc::unwrap_or_clone(document) });
    }
    let due = Job { progress: Progress::Due { at: now }, ..tried_again(job) };
    match store.apply(Batch { expect: batch.expect, put: batch.put, ..send_again(&due) }).await? {
        Applied::Done => Ok(due),
        Applied::Conflict | Applied::Fenced => Err(OutboxError::Changed(id)),
    }
}

fn tried_again(job: Job) -> Job {
    // One without that was sent by a version that wrote nothing down.
    let may_be_there = job.sent.as_ref().is_none_or(|sent| sent.unclear);
    if job.progress != (Progress::Parked { reason: Reason::OutcomeUnknown }) || !may_be_there {
        return job;
    }
    let unclear = job.unclear();
    Job { sent: unclear.sent.map(|sent| Sent { settlements: 0, excused: 0, ..sent }), ..unclear }
}

/// Another may have decided meanwhile, and an attempt be under way: the fence keeps it from being made twice.
pub(super) fn send_again(due: &Job) -> Batch {
    let (put_jobs, fences) = (vec![due.clone()], vec![(due.id, due.fence)]);
    Batch { put_jobs, fences, ..Batch::default() }
}

/// What a job leaves behind that was given up.
#[derive(Debug, Default)]
pub(crate) struct Discarded {
    /// Its file in the spool. What does not remove it leaves it to the sweep of the next start.
    pub(crate) file: Option<String>,
    /// What is still to be done at DWS.
    pub(crate) removal: Option<Job>,
}

/// It is not wanted any more: the job goes, and with it the document that waits for it, and at DWS the
/// one that it would have replaced, which holds bytes that the app no longer has.
pub(crate) async fn discard(
    store: &dyn DocumentStore,
    id: JobId,
    now: u64,
) -> Result<Discarded, OutboxError> {
    let job = find_parked(store, id).await?;
    let (remove_jobs, fences) = (vec![id], vec![(id, job.fence)]);
    let mut batch = Batch { remove_jobs, fences, ..Batch::default() };
    let document = store.document(job.document).await?;
    if let Some(document) = document.filter(|document| document.pending_job() == Some(id)) {
        batch.expect.push((document.id, Some(document.revision)));
        batch.remove.push(document.id);
        let previous = document.held_document().map(|previous| {
            let key = job.key().clone();
            Job::remove(store.next_job(), document.id, key, previous.to_owned(), now)
        });
        batch.put_jobs.extend(previous);
    }
    let file = job.spool().map(str::to_owned);
    let discarded = Discarded { file, removal: batch.put_jobs.first().cloned() };
    match store.apply(batch).await? {
        Applied::Done => Ok(discarded),
        Applied::Conflict | Applied::Fenced => Err(OutboxError::Changed(id)),
    }
}

/// Why nothing was decided about a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// It is done, or given up.
    #[error("there is no job {}", .0.0)]
    Missing(JobId),
    /// It is not parked, so that there is nothing to decide.
    #[error("job {} is not parked: Transom deals with it by itself", .0.0)]
    NotParked(JobId),
    /// It, or its document, is another one by now.
    #[error("the document of job {} changed meanwhile; look at it again", .0.0)]
    Changed(JobId),
    /// DWS has no document of this id.
    #[error("DWS has no document {0:?}")]
    NoDocument(String),
    /// The id belongs to another document already.
    #[error("{document_id} is the DWS document of {other} already")]
    Taken {
        /// DWS's id.
        document_id: String,
        /// The kind and the app's id.
        other: String,
    },
    /// DWS could not be asked.
    #[error("DWS can't be asked now: {0}")]
    Backend(String),
    /// What is to outlive the process could not be written down.
    #[error("this can't be kept beyond the next restart: {0}")]
    NotKept(#[from] std::io::Error),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) async fn find_parked(store: &dyn DocumentStore, id: JobId) -> Result<Job, OutboxError> {
    match find_job(store, id).await? {
        Some(job) if matches!(job.progress, Progress::Parked { .. } | Progress::Refused { .. }) => {
            Ok(job)
        }
        Some(_) => Err(OutboxError::NotParked(id)),
        None => Err(OutboxError::Missing(id)),
    }
}
