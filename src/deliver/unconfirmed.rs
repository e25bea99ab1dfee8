//! Captures whose acceptance the app's reply does not prove: they rest in the journal until a look at the app
//! confirms or refutes them, across restarts too.

use super::Outbox;
use super::core::Core;
use super::doubt::Circumstances;
use super::intake::{Failure, Kept, Known, MAX_CONFLICTS, new_job, unneeded_uploads};
use crate::document::DocumentKey;
use crate::reason::Reason;
use crate::spool::SpooledFile;
use crate::store::{
    Applied, Batch, Doubt, Job, JobId, Mapping, MappingState, Progress, Provenance, Task,
    Unconfirmed, Validators, find_job,
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
                match propose(&core, file, known, &by).await {
                    Ok(proposal) => proposals.push(proposal),
                    Err(failure) => {
                        let own = (!failure.leaves_doubt()).then_some(spool);
                        let unused = own.into_iter().chain(kept.map(|file| file.spool));
                        core.remove_files(unused.collect()).await;
                        return Err(failure.reason("propose"));
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
        let job = find_job(&*self.shared.core.store, id).await;
        let job = job.map_err(|error| Failure::from(error).reason("unconfirmed"))?;
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
        self.finish(move |core| async move {
            let confirmed = confirm(&core, &key, job, &by).await;
            confirmed.map_err(|failure| failure.reason("confirm"))
        })
        .await
    }
}

async fn propose(
    core: &Core,
    file: Kept,
    known: Known,
    by: &Circumstances,
) -> Result<Proposal, Failure> {
    let own_mark = by.sole_mark(&file.key);
    let id = core.store.next_job();
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
        batch.expect.push((key.clone(), mapping.as_ref().map(|mapping| mapping.revision)));
        let is_known = mapping.as_ref().is_some_and(|mapping| mapping.is_document());
        let is_sole = mapping.as_ref().is_some_and(|mapping| {
            mapping.doubt.as_ref().is_none_or(|doubt| own_mark == Some(doubt.mark))
        });
        let is_same = mapping.as_ref().is_some_and(|mapping| mapping.sha256 == sha256);
        let changes_nothing = is_known && is_same && is_sole;
        batch.put.push(match mapping.filter(|_| is_known) {
            Some(mapping) => {
                let unconfirmed = Box::new(Unconfirmed { job: id, provenance });
                let doubt = Doubt { unconfirmed: Some(unconfirmed), ..Doubt::new(now, id.0) };
                Mapping { doubt: Some(doubt), ..Mapping::clone(&mapping) }
            }
            None => Mapping {
                key: key.clone(),
                state: MappingState::Unconfirmed { job: id },
                revision: 0,
                title: title.clone(),
                content_type: content_type.clone(),
                size,
                sha256: sha256.clone(),
                created_at: now,
                updated_at: now,
                provenance,
                captured_by: id,
                validators: Validators::default(),
                doubt: None,
            },
        });
        let task = Task::Upload { key: key.clone(), spool, title, content_type, size, sha256 };
        batch.put_jobs.push(new_job(id, task, Progress::Unconfirmed, now));
        if core.store.apply(batch).await? == Applied::Done {
            core.remove_files(superseded).await;
            let sha256 = file.sha256;
            return Ok(Proposal { key, job: id, sha256, is_known, changes_nothing, is_sole });
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
        let mapping = core.store.get(key).await?;
        let mapping = mapping.filter(|mapping| mapping.unconfirmed_job() == Some(id));
        let job = find_job(&*core.store, id).await?;
        let (Some(mapping), Some(job)) = (mapping, job) else { return Ok(Reason::Superseded) };
        let now = core.clock.now();
        let mut batch = Batch::default();
        let mut superseded = Vec::new();
        for unneeded in unneeded_uploads(&*core.store, &mapping).await? {
            if unneeded.id != id {
                superseded.extend(unneeded.spool().map(str::to_owned));
                batch.remove_jobs.push(unneeded.id);
            }
        }
        batch.expect.push((key.clone(), Some(mapping.revision)));
        let reason = if mapping.is_document() { Reason::Replaced } else { Reason::Captured };
        let doubtful = by.leave_doubt(core, key, None) || by.is_foreign(&mapping, id);
        let doubt = doubtful.then(|| Doubt::new(now, core.store.next_job().0));
        let validators = by.validators.clone();
        batch.put.push(Mapping { doubt, validators, ..with_bytes(&mapping, &job, now) });
        batch.put_jobs.push(Job { progress: Progress::Due { at: now }, ..job });
        let due = batch.put_jobs.clone();
        if core.store.apply(batch).await? == Applied::Done {
            core.writes.is_marked(key);
            core.hints.offer(&due);
            core.remove_files(superseded).await;
            return Ok(reason);
        }
    }
    Err(Failure::Contended)
}

/// The mapping, waiting for the bytes of this job.
fn with_bytes(mapping: &Mapping, job: &Job, now: u64) -> Mapping {
    let previous = mapping.held_document().map(str::to_owned);
    let mut next = Mapping {
        state: MappingState::Pending { job: job.id, previous },
        updated_at: now,
        captured_by: job.id,
        ..mapping.clone()
    };
    if let Task::Upload { title, content_type, size, sha256, .. } = &job.task {
        next.title.clone_from(title);
        next.content_type.clone_from(content_type);
        next.sha256.clone_from(sha256);
        next.size = *size;
    }
    if let Some(unconfirmed) = mapping.doubt.as_ref().and_then(|doubt| doubt.unconfirmed.as_ref()) {
        next.provenance = unconfirmed.provenance.clone();
    }
    next
}
