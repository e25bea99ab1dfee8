//! What an operator decides about a parked upload, after a look at DWS.

use crate::store::{Applied, Batch, DocumentStore, Job, JobId, Progress, StoreError, find_job};

/// DWS does not have it: send it (again).
pub(crate) async fn retry(store: &dyn DocumentStore, id: JobId, now: u64) -> Result<(), Undecided> {
    let job = find_parked(store, id).await?;
    let due = Job { progress: Progress::Due { at: now }, ..job };
    let batch = Batch { put_jobs: vec![due], ..Batch::default() };
    store.apply(batch).await?;
    Ok(())
}

/// It is not wanted any more: the job goes, and with it the document that waits for it, and at DWS the
/// one that it would have replaced, which holds bytes that the app no longer has. The spool
/// file is swept at the next start.
pub(crate) async fn discard(
    store: &dyn DocumentStore,
    id: JobId,
    now: u64,
) -> Result<(), Undecided> {
    let job = find_parked(store, id).await?;
    let mut batch = Batch { remove_jobs: vec![id], ..Batch::default() };
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
    match store.apply(batch).await? {
        Applied::Done => Ok(()),
        Applied::Conflict | Applied::Fenced => Err(Undecided::Changed(id.0)),
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    #[error("there is no job {0}")]
    Missing(u64),
    #[error("job {0} is not parked: Transom deals with it by itself")]
    NotParked(u64),
    #[error("the document of job {0} changed meanwhile; look at it again")]
    Changed(u64),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn find_parked(store: &dyn DocumentStore, id: JobId) -> Result<Job, Undecided> {
    match find_job(store, id).await? {
        Some(job) if matches!(job.progress, Progress::Parked { .. }) => Ok(job),
        Some(_) => Err(Undecided::NotParked(id.0)),
        None => Err(Undecided::Missing(id.0)),
    }
}
