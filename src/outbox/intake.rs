//! What the request path asks of the journal: take these bytes, forget these documents.

use std::collections::HashMap;
use std::sync::Arc;

use super::core::Core;
use super::doubt::Circumstances;
use super::patience::Patience;
use crate::document::DocumentKey;
use crate::events::JobEvent;
use crate::reason::Reason;
use crate::store::{
    Applied, Batch, DocId, Document, DocumentState, DocumentStore, Doubt, Job, JobId, Mapping,
    Progress, Provenance, StoreError, Task, Validators, find_job,
};

/// A captured file that rests in the spool for good.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) key: DocumentKey,
    pub(super) spool: String,
    pub(super) title: Option<String>,
    pub(super) content_type: String,
    pub(super) size: u64,
    pub(super) sha256: String,
    pub(super) provenance: Provenance,
}

/// Which documents a capture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// All; one that is known already is replaced.
    Any,
    /// Known ones only; another is `replace_unknown`.
    Only,
    /// New ones, and those that DWS has lost; what came by otherwise meanwhile stays, and this capture is
    /// `superseded`.
    Never,
    /// The one whose bytes this entry of the journal brought, with no other mark of doubt than this: the app has other
    /// bytes now. Else it is `superseded`.
    At(JobId, Option<u64>),
}

/// Journals all of these or none, and answers with a reason for each.
pub(super) async fn capture(
    core: &Core,
    files: Vec<Kept>,
    known: Known,
    by: &Circumstances,
) -> Result<Vec<Reason>, Reason> {
    let (mut jobs, mut unused) = plan_jobs(core, &files);
    let mut tried = None;
    let mut patience = Patience::new(core, "capture");
    let written = loop {
        match write_captures(core, &files, &mut jobs, &mut tried, known, by).await {
            // What Transom fetched it can fetch again.
            Err(failure) if by.are_of_upload() => {
                if let Err(failure) = patience.outlast(failure).await {
                    break Err(failure);
                }
            }
            ended => break ended,
        }
    };
    let late = files
        .iter()
        .zip(&jobs)
        .filter(|(file, job)| job.is_none() && !unused.contains(&file.spool));
    unused.extend(late.map(|(file, _)| file.spool.clone()).collect::<Vec<_>>());
    match written {
        Ok(Written { batch, replaced, superseded }) => {
            core.queued(&batch.put_jobs);
            for job in &superseded {
                core.tell_of(job, JobEvent::Dropped { at_its_turn: false });
            }
            for name in batch.put.iter().flat_map(|document| &document.names) {
                core.writes.is_marked(name);
            }
            let superseded = superseded.iter().filter_map(Job::spool).map(str::to_owned);
            core.remove_files(unused.into_iter().chain(superseded).collect()).await;
            let reasons = files.iter().zip(&jobs).map(|(file, job)| match job {
                None => Reason::Superseded,
                Some(_) if replaced.contains(&file.key) => Reason::Replaced,
                Some(_) => Reason::Captured,
            });
            Ok(reasons.collect())
        }
        Err(failure) => {
            // A batch that may have been written needs its files; if it was not, they are swept at
            // the next start.
            if !failure.leaves_doubt() {
                core.remove_files(files.into_iter().map(|file| file.spool).collect()).await;
            }
            Err(core.reason("capture", &failure))
        }
    }
}

/// The document's state becomes `to` if it still is `from`.
pub(super) async fn turn(
    core: &Core,
    key: &DocumentKey,
    from: &DocumentState,
    to: &DocumentState,
) -> Result<bool, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let Some(mapping) = core.store.get(key).await? else { return Ok(false) };
        if mapping.state != *from {
            return Ok(false);
        }
        let mut batch = Batch::default();
        batch.expect.push((mapping.id, Some(mapping.revision)));
        let document = mapping.document.clone();
        batch.put.push(Document { state: to.clone(), updated_at: core.clock.now(), ..document });
        if core.store.apply(batch).await? == Applied::Done {
            return Ok(true);
        }
    }
    Err(Failure::Contended)
}

/// Forgets up to a page of names. A document goes with its last name, and with `remove_documents` its DWS document is
/// journalled for removal.
pub(crate) async fn forget(
    store: &dyn DocumentStore,
    keys: &[DocumentKey],
    remove_documents: bool,
    now: u64,
) -> Result<Forgotten, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let mut forgotten = Forgotten::default();
        let mut changed: Vec<Mapping> = Vec::new();
        for key in keys {
            let Some(mapping) = store.get(key).await? else { continue };
            forgotten.names += 1;
            let same = changed.iter_mut().find(|other| other.id == mapping.id);
            if let Some(Mapping { document, .. }) = same {
                document.names.retain(|name| name != key);
            } else {
                let mut mapping = Arc::unwrap_or_clone(mapping);
                mapping.document.names.retain(|name| name != key);
                changed.push(mapping);
            }
        }
        let mut batch = Batch::default();
        for Mapping { key, document } in changed {
            batch.expect.push((document.id, Some(document.revision)));
            if !document.names.is_empty() {
                batch.put.push(document);
                continue;
            }
            for job in unneeded_uploads(store, &document).await? {
                batch.remove_jobs.push(job.id);
                forgotten.files.extend(job.spool().map(str::to_owned));
            }
            if let Some(held) = document.held_document().filter(|_| remove_documents) {
                let id = store.next_job();
                batch.put_jobs.push(Job::remove(id, document.id, key, held.to_owned(), now));
            }
            batch.remove.push(document.id);
        }
        forgotten.removals.clone_from(&batch.put_jobs);
        if forgotten.names == 0 || store.apply(batch).await? == Applied::Done {
            return Ok(forgotten);
        }
    }
    Err(Failure::Contended)
}

/// What went with forgotten names.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    pub(crate) names: usize,
    /// The journal's entries for their DWS documents.
    pub(super) removals: Vec<Job>,
    /// Spool files of uploads that are not needed any more.
    pub(super) files: Vec<String>,
}

/// Why nothing was journalled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("Transom does not know the document")]
    Unknown,
    #[error("Transom knows the document already")]
    Known,
    #[error("the document kept changing meanwhile")]
    Contended,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure {
    /// Whether the batch may have been written all the same.
    pub(super) fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Store(error) if error.leaves_doubt())
    }

    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Unknown => Reason::ReplaceUnknown,
            Self::Known => Reason::Superseded,
            Self::Contended | Self::Store(_) => Reason::StoreUnavailable,
        }
    }
}

/// A job's name per file; of several files for one document only the last gets one. Also the spool
/// files of the others.
fn plan_jobs(core: &Core, files: &[Kept]) -> (Vec<Option<JobId>>, Vec<String>) {
    let last: HashMap<_, _> = files.iter().enumerate().map(|(at, file)| (&file.key, at)).collect();
    let wanted = |at: usize, file: &Kept| last.get(&file.key) == Some(&at);
    let jobs = files.iter().enumerate().map(|(at, file)| wanted(at, file));
    let jobs = jobs.map(|wanted| wanted.then(|| core.store.next_job())).collect::<Vec<_>>();
    let unused = files.iter().zip(&jobs).filter(|(_, job)| job.is_none());
    let unused = unused.map(|(file, _)| file.spool.clone()).collect();
    (jobs, unused)
}

#[derive(Clone)]
struct Written {
    batch: Batch,
    /// Documents that were known already.
    replaced: Vec<DocumentKey>,
    /// Uploads that these replace before they began.
    superseded: Vec<Job>,
}

/// `tried`: what an earlier call has tried to write, if it is not known whether that was written.
async fn write_captures(
    core: &Core,
    files: &[Kept],
    jobs: &mut [Option<JobId>],
    tried: &mut Option<Written>,
    known: Known,
    by: &Circumstances,
) -> Result<Written, Failure> {
    if let Some(written) = tried {
        if is_written(core, &written.batch).await? {
            return Ok(written.clone());
        }
        drop_late(core, files, jobs).await?;
    }
    for _ in 0..MAX_CONFLICTS {
        let written = plan_captures(core, files, jobs, known, by).await?;
        let applied = core.store.apply(written.batch.clone()).await;
        *tried = matches!(applied, Ok(Applied::Done) | Err(_)).then(|| written.clone());
        if applied? == Applied::Done {
            return Ok(written);
        }
    }
    Err(Failure::Contended)
}

/// Whether this batch of captures is in the store, or was: a job may have ended by now.
async fn is_written(core: &Core, batch: &Batch) -> Result<bool, StoreError> {
    for job in &batch.put_jobs {
        let document = core.store.document(job.document).await?;
        if find_job(&*core.store, job.id).await?.is_some()
            || document.is_some_and(|document| document.captured_by == job.id)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// While these waited for the store, later bytes may have been journalled for the same documents.
async fn drop_late(
    core: &Core,
    files: &[Kept],
    jobs: &mut [Option<JobId>],
) -> Result<(), StoreError> {
    for (file, job) in files.iter().zip(jobs) {
        let known = core.store.get(&file.key).await?;
        *job = job.filter(|job| known.is_none_or(|known| known.captured_by < *job));
    }
    Ok(())
}

async fn plan_captures(
    core: &Core,
    files: &[Kept],
    jobs: &[Option<JobId>],
    known: Known,
    by: &Circumstances,
) -> Result<Written, Failure> {
    let mut written =
        Written { batch: Batch::default(), replaced: Vec::new(), superseded: Vec::new() };
    for (file, job) in files.iter().zip(jobs) {
        let Some(job) = *job else { continue };
        let mapping = core.store.get(&file.key).await?;
        known.check(mapping.as_deref())?;
        if let Some(known) = &mapping {
            if known.is_document() {
                written.replaced.push(file.key.clone());
            }
            for unneeded in unneeded_uploads(&*core.store, known).await? {
                written.batch.remove_jobs.push(unneeded.id);
                written.superseded.push(unneeded);
            }
        }
        let mut file = file.clone();
        if let Some(before) = mapping.as_ref().filter(|_| known != Known::Any) {
            file.provenance = before.provenance.clone().after_replacement(file.provenance);
        }
        let fetched = matches!(known, Known::Never | Known::At(..));
        if let Some(before) = mapping.as_ref().filter(|_| fetched) {
            file.title = before.title.clone().or(file.title);
        }
        let now = core.clock.now();
        let doubt = by.leave_doubt(core, &file.key, mapping.as_ref().map(|known| &known.document));
        let doubt = doubt.then(|| Doubt::new(now, job.0));
        add_capture(&mut written.batch, file, mapping.as_deref(), job, now, doubt);
        if let Some(put) = written.batch.put.last_mut() {
            put.validators = by.validators.clone();
        }
    }
    Ok(written)
}

fn add_capture(
    batch: &mut Batch,
    file: Kept,
    known: Option<&Mapping>,
    id: JobId,
    now: u64,
    doubt: Option<Doubt>,
) {
    let Kept { key, spool, title, content_type, size, sha256, provenance } = file;
    let previous = known.and_then(|known| known.held_document()).map(str::to_owned);
    let state = DocumentState::Pending { job: id, previous };
    let document = match known {
        Some(known) => Document { state, updated_at: now, ..known.document.clone() },
        None => Document::new(key.clone(), state, now),
    };
    let document = Document {
        title: title.clone(),
        content_type: content_type.clone(),
        size,
        sha256: sha256.clone(),
        provenance,
        captured_by: id,
        validators: Validators::default(),
        doubt,
        ..document
    };
    batch.expect.push((document.id, known.map(|known| known.revision)));
    let task = Task::Upload { key, spool, title, content_type, size, sha256 };
    batch.put_jobs.push(new_job(id, document.id, task, Progress::Due { at: now }, now));
    batch.put.push(document);
}

pub(super) fn new_job(id: JobId, document: DocId, task: Task, progress: Progress, now: u64) -> Job {
    Job { progress, ..Job::new(id, document, task, now) }
}

impl Known {
    pub(crate) fn just(mapping: &Mapping) -> Self {
        Self::At(mapping.captured_by, mapping.mark())
    }

    pub(super) fn check(self, mapping: Option<&Mapping>) -> Result<(), Failure> {
        match (mapping, self) {
            (None, Self::Only | Self::At(..)) => Err(Failure::Unknown),
            (Some(known), Self::Only) if !known.is_document() => Err(Failure::Unknown),
            (Some(known), Self::Never)
                if known.is_document() && known.state.lost_document().is_none() =>
            {
                Err(Failure::Known)
            }
            (Some(known), Self::At(job, mark))
                if (known.captured_by, known.mark()) != (job, mark) =>
            {
                Err(Failure::Known)
            }
            _ => Ok(()),
        }
    }
}

/// Uploads that new bytes make pointless: one that has not begun, one that waits for a look at the app, and one that was
/// refused.
pub(super) async fn unneeded_uploads(
    store: &dyn DocumentStore,
    document: &Document,
) -> Result<Vec<Job>, StoreError> {
    let mut unneeded: Vec<Job> = waiting_upload(store, document).await?.into_iter().collect();
    if let Some(id) = document.unconfirmed_job() {
        unneeded.extend(find_job(store, id).await?);
    }
    if matches!(document.state, DocumentState::Refused { .. }) {
        let kept = find_job(store, document.captured_by).await?;
        unneeded.extend(kept.filter(|kept| matches!(kept.progress, Progress::Refused { .. })));
    }
    Ok(unneeded)
}

/// The upload that this document waits for, if nothing of it can be at DWS. The batch that removes it must
/// insist on the document's revision: beginning an upload changes that.
async fn waiting_upload(
    store: &dyn DocumentStore,
    document: &Document,
) -> Result<Option<Job>, StoreError> {
    let Some(id) = document.pending_job() else { return Ok(None) };
    let job = find_job(store, id).await?;
    Ok(job.filter(|job| matches!(job.progress, Progress::Due { .. }) && !job.may_arrive()))
}

/// Attempts at a batch whose mappings change meanwhile.
pub(super) const MAX_CONFLICTS: usize = 8;
