//! An operator has found a parked upload at the backend.

use super::parked::{Discarded, OutboxError, find_parked};
use crate::store::{
    Applied, Batch, DocId, Document, DocumentState, DocumentStore, Job, JobId, StoreError,
};

/// The backend has it as `document_id`: the document is ready, and what it replaces is removed there. Where the app
/// has replaced or deleted the document meanwhile, `document_id` is removed instead.
pub(crate) async fn bind(
    store: &dyn DocumentStore,
    id: JobId,
    document_id: &str,
    now: u64,
) -> Result<Discarded, OutboxError> {
    let job = find_parked(store, id).await?;
    if !is_plausible(document_id) {
        return Err(OutboxError::NoDocument(document_id.chars().take(MAX_ID).collect()));
    }
    if let Some(other) = holder(store, document_id, job.document).await? {
        let document_id = document_id.to_owned();
        return Err(OutboxError::Taken { document_id, other });
    }
    let (remove_jobs, fences) = (vec![id], vec![(id, job.fence)]);
    let mut batch = Batch { remove_jobs, fences, ..Batch::default() };
    let found = store.document(job.document).await?;
    let held = found.as_deref().and_then(Document::held_document).map(str::to_owned);
    let current = found.filter(|document| document.pending_job() == Some(id));
    let unneeded = if current.is_some() { held } else { Some(document_id.to_owned()) };
    if let Some(document) = current {
        let state = DocumentState::Ready { document_id: document_id.to_owned() };
        batch.expect.push((document.id, Some(document.revision)));
        batch.put.push(Document { state, updated_at: now, ..Document::clone(&document) });
    }
    // The document may have been stored under this very id before.
    let is_used = |id: &str| id == document_id && !batch.put.is_empty();
    if let Some(unneeded) = unneeded.filter(|unneeded| !is_used(unneeded)) {
        let (removal, key) = (store.next_job(), job.key().clone());
        batch.put_jobs.push(Job::remove(removal, job.document, key, unneeded, now));
    }
    let file = job.spool().map(str::to_owned);
    let bound = Discarded { file, removal: batch.put_jobs.first().cloned() };
    match store.apply(batch).await? {
        Applied::Done => Ok(bound),
        Applied::Conflict | Applied::Fenced => Err(OutboxError::Changed(id)),
    }
}

/// The name of another document that has it already: removing one of the two would take it from both.
async fn holder(
    store: &dyn DocumentStore,
    document_id: &str,
    but: DocId,
) -> Result<Option<String>, StoreError> {
    let mut after = None;
    loop {
        let page = store.list(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        after = Some(last.key.clone());
        let holds = |other: &Document| other.held_document() == Some(document_id);
        let found = page.iter().find(|mapping| mapping.id != but && holds(&mapping.document));
        if let Some(found) = found {
            return Ok(Some(found.key.to_string()));
        }
    }
}

/// Whether it can stand in a path as it is.
fn is_plausible(document_id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let dots = matches!(document_id, "." | "..");
    (1..=MAX_ID).contains(&document_id.len()) && document_id.bytes().all(fits) && !dots
}

const PAGE: usize = 500;
/// Bytes.
const MAX_ID: usize = 200;
