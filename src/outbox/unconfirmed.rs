//! Captures whose acceptance the app's reply does not prove: they rest in the journal until a look at the app
//! confirms or refutes them, across restarts too.

use super::Outbox;
use super::core::Core;
use super::doubt::Circumstances;
use super::intake::{Failure, Kept, Known, MAX_CONFLICTS, new_job, unneeded_uploads};
use super::patience::Patience;
use crate::document::DocumentKey;
use crate::reason::Reason;
use crate::spool::SpooledFile;
use crate::store::{
    Applied, Batch, Document, DocumentState, Doubt, Job, JobId, Mapping, Progress, Provenance,
    Task, Unconfirmed, find_job,
};

/// An unconfirmed capture.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) key: DocumentKey,
    pub(crate) job: JobId,
    /// Hex, of its bytes.
    pub(crate) sha256: String,
    /// The document was known before, so that these would be new bytes for it.
    pub(crate) is_known: bool,
    /// Before, it had just these bytes: whether the app took them or not, it has them.
    pub(crate) changes_nothing: bool,
    /// Before, it was in no doubt but for the request that brought these.
    pub(crate) is_sole: bool,
}

impl Outbox {
    /// Makes captured files durable without sending them anywhere. As [`capture`](Self::capture) otherwise.
    pub(crate) async fn propose(
        &self,
        files: Vec<(DocumentKey, SpooledFile)>,
        provenance: Provenance,
        known: Known,
        by: Circumstances,
    ) -> Result<Vec<Proposal>, Reason> {
        self.finish(move |core| async move {
            let mut proposals = Vec::with_capacity(files.len());
            let mut kept = super::keep(&core, files, &provenance).await?.into_iter();
            while let Some(file) = kept.next() {
                let spool = file.spool.clone();
                let (id, mut tried) = (core.store.next_job(), None);
                let mut patience = Patience::new(&core, "propose");
                let proposed = loop {
                    match propose(&core, file.clone(), known, &by, id, &mut tried).await {
                        Ok(proposal) => break Ok(proposal),
                        Err(failure) => {
                            if let Err(failure) = patience.outlast(failure).await {
                                break Err(failure);
                            }
                        }
                    }
                };
                match proposed {
                    Ok(proposal) => proposals.push(proposal),
                    Err(failure) => {
                        let own = (!failure.leaves_doubt()).then_some(spool);
                        let unused = own.into_iter().chain(kept.map(|file| file.spool));
                        core.remove_files(unused.collect()).await;
                        return Err(core.reason("propose", &failure));
                    }
                }
            }
            Ok(proposals)
        })
        .await
    }

    /// The job that waits with just these bytes for a look at the app.
    pub(crate) async fn unconfirmed(
        &self,
        mapping: &Mapping,
        sha256: &str,
    ) -> Result<Option<JobId>, Reason> {
        let Some(id) = mapping.unconfirmed_job() else { return Ok(None) };
        let core = &self.shared.core;
        let job = find_job(&*core.store, id).await;
        let job = job.map_err(|error| core.reason("unconfirmed", &error.into()))?;
        let same = |job: &Job| matches!(&job.task, Task::Upload { sha256: of, .. } if of == sha256);
        Ok(job.filter(same).map(|job| job.id))
    }

    /// The app was found to have accepted the upload: it is sent to DWS. `superseded` if there are other bytes by
    /// now.
    pub(crate) async fn confirm(
        &self,
        key: &DocumentKey,
        job: JobId,
        by: Circumstances,
    ) -> Result<Reason, Reason> {
        let key = key.clone();
        self.finish_in_time(move |core| async move {
            let confirmed = confirm(&core, &key, job, &by).await;
            confirmed.map_err(|failure| core.reason("confirm", &failure))
        })
        .await
    }
}

async fn propose(
    core: &Core,
    file: Kept,
    known: Known,
    by: &Circumstances,
    id: JobId,
    tried: &mut Option<Proposal>,
) -> Result<Proposal, Failure> {
    // An earlier try may have been written although the store failed.
    if let Some(proposal) = tried.take()
        && find_job(&*core.store, id).await?.is_some()
    {
        return Ok(proposal);
    }
    let own_mark = by.sole_mark(&file.key);
    for _ in 0..MAX_CONFLICTS {
        let mapping = core.store.get(&file.key).await?;
        known.check(mapping.as_deref())?;
        let now = core.clock.now();
        let Kept { key, spool, title, content_type, size, sha256, provenance } = file.clone();
        let mut batch = Batch::default();
        let mut superseded = Vec::new();
        // Of a document that is not known yet, the first upload waits for its look undisturbed: another that was
        // refused may have been sent back to its address.
        if mapping.as_ref().is_some_and(|mapping| !mapping.is_document()) {
            return Err(Failure::Known);
        }
        if let Some(mapping) = &mapping
            && let Some(earlier) = mapping.unconfirmed_job()
            && let Some(job) = find_job(&*core.store, earlier).await?
        {
            batch.remove_jobs.push(earlier);
            superseded.extend(job.spool().map(str::to_owned));
        }
        let is_known = mapping.as_ref().is_some_and(|mapping| mapping.is_document());
        let is_sole = mapping.as_ref().is_some_and(|mapping| {
            mapping.doubt.as_ref().is_none_or(|doubt| own_mark == Some(doubt.mark))
        });
        let is_same = mapping.as_ref().is_some_and(|mapping| mapping.sha256 == sha256);
        let changes_nothing = is_known && is_same && is_sole;
        let document = match mapping.filter(|_| is_known) {
            Some(mapping) => {
                batch.expect.push((mapping.id, Some(mapping.revision)));
                let unconfirmed = Box::new(Unconfirmed { job: id, provenance });
                let doubt = Doubt { unconfirmed: Some(unconfirmed), ..Doubt::new(now, id.0) };
                Document { doubt: Some(doubt), ..mapping.document.clone() }
            }
            None => Document {
                title: title.clone(),
                content_type: content_type.clone(),
                size,
                sha256: sha256.clone(),
                provenance,
                captured_by: id,
                ..Document::new(key.clone(), DocumentState::Unconfirmed { job: id }, now)
            },
        };
        let task = Task::Upload { key: key.clone(), spool, title, content_type, size, sha256 };
        batch.put_jobs.push(new_job(id, document.id, task, Progress::Unconfirmed, now));
        batch.put.push(document);
        let sha256 = file.sha256.clone();
        let proposal = Proposal { key, job: id, sha256, is_known, changes_nothing, is_sole };
        *tried = Some(proposal.clone());
        if core.store.apply(batch).await? == Applied::Done {
            core.remove_files(superseded).await;
            return Ok(proposal);
        }
    }
    Err(Failure::Contended)
}

async fn confirm(
    core: &Core,
    key: &DocumentKey,
    id: JobId,
    by: &Circumstances,
) -> Result<Reason, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let Some(job) = find_job(&*core.store, id).await? else { return Ok(Reason::Superseded) };
        let document = core.store.document(job.document).await?;
        let document = document.filter(|document| document.unconfirmed_job() == Some(id));
        let Some(document) = document else { return Ok(Reason::Superseded) };
        let now = core.clock.now();
        let mut batch = Batch::default();
        let mut superseded = Vec::new();
        for unneeded in unneeded_uploads(&*core.store, &document).await? {
            if unneeded.id != id {
                superseded.extend(unneeded.spool().map(str::to_owned));
                batch.remove_jobs.push(unneeded.id);
            }
        }
        batch.expect.push((document.id, Some(document.revision)));
        let reason = if document.is_document() { Reason::Replaced } else { Reason::Captured };
        let doubtful = by.leave_doubt(core, key, None) || by.is_foreign(&document, id);
        let doubt = doubtful.then(|| Doubt::new(now, core.store.next_job().0));
        let validators = by.validators.clone();
        batch.put.push(Document { doubt, validators, ..with_bytes(&document, &job, now) });
        batch.put_jobs.push(Job { progress: Progress::Due { at: now }, ..job });
        let due = batch.put_jobs.clone();
        if core.store.apply(batch).await? == Applied::Done {
            core.writes.is_marked(key);
            core.queued(&due);
            core.remove_files(superseded).await;
            return Ok(reason);
        }
    }
    Err(Failure::Contended)
}

/// The document, waiting for the bytes of this job.
fn with_bytes(document: &Document, job: &Job, now: u64) -> Document {
    let previous = document.held_document().map(str::to_owned);
    let mut next = Document {
        state: DocumentState::Pending { job: job.id, previous },
        updated_at: now,
        captured_by: job.id,
        ..document.clone()
    };
    if let Task::Upload { title, content_type, size, sha256, .. } = &job.task {
        next.title.clone_from(title);
        next.content_type.clone_from(content_type);
        next.sha256.clone_from(sha256);
        next.size = *size;
    }
    if let Some(unconfirmed) = document.doubt.as_ref().and_then(|doubt| doubt.unconfirmed.as_ref())
    {
        next.provenance = unconfirmed.provenance.clone();
    }
    next
}
