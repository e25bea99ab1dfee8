//! Writes down how an attempt ended. DWS has been asked by then, so these go on until the store has
//! taken it; what a crash cuts off is found as `Sending` at the next start.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::clock::millis;
use super::core::Core;
use crate::backend::BackendError;
use crate::events::{Event, JobEvent, ParkedBy, StoreNeed};
use crate::reason::Reason;
use crate::store::{
    Applied, Batch, BoxFuture, Document, DocumentState, Job, JobId, Progress, Sent, StoreError,
    Task, find_job,
};

/// An upload's last word.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Stored { document_id: String },
    Refused { detail: String },
}

/// The document becomes ready or refused, the job goes, and what nothing refers to any more is
/// journalled for removal.
pub(super) async fn conclude(core: &Core, job: &Job, ending: Ending) {
    if let Some(document_id) = ending.document() {
        core.belongings.note(document_id);
    }
    let removal = core.store.next_job();
    let reason = surely(core, || Box::pin(try_conclude(core, job, &ending, removal))).await;
    let Some(reason) = reason else { return core.tell_of(job, JobEvent::Fenced) };
    let keeps = reason == Reason::DeliveryRefused && core.keeps_refused();
    let file = job.spool().filter(|_| !keeps).map(str::to_owned);
    core.remove_files(file.into_iter().collect()).await;
    core.settled.notify_waiters();
    core.tell_of(
        job,
        match &ending {
            Ending::Stored { document_id } => JobEvent::Done { reason, document_id },
            Ending::Refused { detail } => JobEvent::Refused { reason, detail },
        },
    );
}

/// Back to `Due`. If the document has been replaced or deleted meanwhile, the next attempt drops
/// it.
pub(super) async fn retry_later(core: &Core, job: &Job, at: u64, error: &BackendError) {
    let detail = bounded(&error.to_string());
    let next = Job { last_error: Some(detail.clone()), ..job.released(Progress::Due { at }) };
    let after = Duration::from_millis(at.saturating_sub(core.clock.now()));
    give_back(core, job, next, Some(JobEvent::Retried { after, error: &detail })).await;
}

pub(super) async fn park(core: &Core, job: &Job, reason: Reason, error: &str) {
    let parked = job.released(Progress::Parked { reason });
    let parked = Job { last_error: Some(bounded(error)), ..parked };
    let by = ParkedBy::Attempt { error };
    give_back(core, job, parked, Some(JobEvent::Parked { reason, by })).await;
}

/// Undoes a claim that may or may not have been written, as nothing was sent.
pub(super) async fn hand_back(core: &Core, claimed: &Job) {
    surely(core, || Box::pin(try_hand_back(core, claimed))).await;
}

/// DWS may or may not have stored it: it is looked for before anything is sent again.
pub(super) async fn settle_later(core: &Core, job: &Job, error: &BackendError) {
    let detail = bounded(&error.to_string());
    let unclear = Job { last_error: Some(detail.clone()), ..job.unclear() };
    let sent = unclear.sent.clone().map(|sent| Sent { away: error.says_away(), ..sent });
    let at = core.clock.now().saturating_add(FIRST_LOOK);
    let due = Job { sent, ..unclear.released(Progress::Due { at }) };
    core.unsettled.unclear(&due);
    give_back(core, job, due.clone(), Some(JobEvent::Unclear { error: &detail })).await;
    core.hints.offer([&due]);
}

/// Ends an attempt, unless the job is no longer this owner's.
pub(super) async fn give_back(core: &Core, claimed: &Job, next: Job, what: Option<JobEvent<'_>>) {
    let batch = Batch { put_jobs: vec![next], ..Batch::default() };
    let finished = surely(core, || core.store.finish(claimed, batch.clone())).await;
    match what {
        _ if finished != Applied::Done => core.tell_of(claimed, JobEvent::Fenced),
        Some(what) => core.tell_of(claimed, what),
        None => {}
    }
}

async fn try_conclude(
    core: &Core,
    job: &Job,
    ending: &Ending,
    removal: JobId,
) -> Result<Option<Reason>, StoreError> {
    loop {
        let found = core.store.document(job.document).await?;
        let held = found.as_deref().and_then(Document::held_document).map(str::to_owned);
        let current = found.filter(|document| document.pending_job() == Some(job.id));
        // An earlier try of this very batch may have been written although it timed out.
        if current.is_none() {
            match find_job(&*core.store, job.id).await? {
                None => return Ok(Some(ending.reason())),
                Some(kept) if matches!(kept.progress, Progress::Refused { .. }) => {
                    return Ok(Some(ending.reason()));
                }
                Some(_) => {}
            }
        }
        let superseded = current.is_none();
        let mut batch = concluding(job, current, ending, core.clock.now());
        if !superseded && matches!(ending, Ending::Refused { .. }) && core.keeps_refused() {
            batch.remove_jobs.clear();
            batch.put_jobs.push(core.kept(job));
        }
        // Should DWS give equal bytes an equal name, the one in use must stay.
        let unneeded = if superseded { ending.document() } else { held.as_deref() };
        let needed = if superseded { held.as_deref() } else { ending.document() };
        if let Some(document) = unneeded.filter(|_| unneeded != needed) {
            let (key, now) = (job.key().clone(), core.clock.now());
            let document = document.to_owned();
            batch.put_jobs.push(Job::remove(removal, job.document, key, document, now));
        }
        let is_removal = |job: &&Job| matches!(job.task, Task::Remove { .. });
        let removals: Vec<_> = batch.put_jobs.iter().filter(is_removal).cloned().collect();
        match core.store.finish(job, batch).await? {
            Applied::Done => {
                core.queued(&removals);
                return Ok(Some(if superseded { Reason::Superseded } else { ending.reason() }));
            }
            Applied::Fenced => return Ok(None),
            Applied::Conflict => {}
        }
    }
}

/// `current`: the document, if it still waits for this job. If not it never will again, since no two
/// jobs share a name; then whatever DWS has stored is nobody's.
fn concluding(job: &Job, current: Option<Arc<Document>>, ending: &Ending, now: u64) -> Batch {
    let mut batch = Batch { remove_jobs: vec![job.id], ..Batch::default() };
    if let Some(document) = current {
        let document = Arc::unwrap_or_clone(document);
        batch.expect.push((document.id, Some(document.revision)));
        batch.put.push(Document { state: ending.state(), updated_at: now, ..document });
    }
    batch
}

async fn try_hand_back(core: &Core, claimed: &Job) -> Result<(), StoreError> {
    // Batches are applied in order: once this one is, the doubtful one has been, or never will be.
    core.store.apply(Batch::default()).await?;
    let due = claimed.released(Progress::Due { at: core.clock.now() });
    let batch = Batch { put_jobs: vec![due], ..Batch::default() };
    core.store.finish(claimed, batch).await.map(|_| ())
}

impl Core {
    fn keeps_refused(&self) -> bool {
        !self.backend.get().times().refused_keep.is_zero()
    }

    /// A refused upload, whose bytes stay for a while.
    fn kept(&self, job: &Job) -> Job {
        let keep = millis(self.backend.get().times().refused_keep);
        job.released(Progress::Refused { until: self.clock.now().saturating_add(keep) })
    }
}

impl Ending {
    fn reason(&self) -> Reason {
        match self {
            Self::Stored { .. } => Reason::Delivered,
            Self::Refused { .. } => Reason::DeliveryRefused,
        }
    }

    fn document(&self) -> Option<&str> {
        match self {
            Self::Stored { document_id } => Some(document_id),
            Self::Refused { .. } => None,
        }
    }

    fn state(&self) -> DocumentState {
        match self {
            Self::Stored { document_id } => {
                DocumentState::Ready { document_id: document_id.clone() }
            }
            Self::Refused { detail } => DocumentState::Refused { detail: bounded(detail) },
        }
    }
}

/// Repeats until the store has answered.
pub(super) async fn surely<'a, T>(
    core: &Core,
    write: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
) -> T {
    loop {
        match write().await {
            Ok(answer) => return answer,
            Err(error) => {
                core.tell(&Event::StoreFailed { need: StoreNeed::Ending, error: &error });
                sleep(STORE_PAUSE).await;
            }
        }
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_DETAIL).collect()
}

/// Milliseconds between an attempt without a clear end and the first look: DWS lists what it stores a moment later.
const FIRST_LOOK: u64 = 500;
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Characters of an error that are kept.
const MAX_DETAIL: usize = 300;
