//! One attempt at one job.
//!
//! A job that is due may be removed by whoever replaces or deletes its document, so leaving `Due`
//! insists on the document's revision and changes it. A job that is `Sending` is changed only here.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::clock::{due_at, millis};
use super::conclude::{Ending, conclude, hand_back, park, retry_later, surely};
use super::core::Core;
use super::schedule::{Pace, delay};
use super::verdict::{self, Verdict, blames_backend};
use crate::backend::{BackendError, BackendErrorKind, Upload};
use crate::reason::Reason;
use crate::store::{Applied, Batch, Document, Job, JobId, Progress, StoreError, Task, find_job};
use crate::telemetry::Step;

/// How an attempt ended, as far as the lane is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// DWS answered as one that works.
    Works,
    /// DWS was not asked.
    NotAsked,
    /// This job is to be tried again at this time, others as ever.
    Later(u64),
    /// Neither this job nor the others of its lane need be tried before this time.
    Closed(u64),
    /// The store failed; the job is where it was.
    StoreFailed,
}

/// `failures`: how often in a row the lane has failed so far. `early`: also before the job's time.
pub(super) async fn attempt(core: Arc<Core>, id: JobId, failures: u32, early: bool) -> Outcome {
    match attempt_job(&core, id, failures, early).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(code = %Reason::StoreUnavailable, job = id.0, %error, "a delivery waits for the store");
            Outcome::StoreFailed
        }
    }
}

async fn attempt_job(
    core: &Core,
    id: JobId,
    failures: u32,
    early: bool,
) -> Result<Outcome, StoreError> {
    let now = core.clock.now();
    let is_due = |job: &Job| match job.progress {
        Progress::Due { at } => early || due_at(at, now) <= now,
        _ => false,
    };
    match find_job(&*core.store, id).await? {
        Some(job) if is_due(&job) => match job.task {
            Task::Upload { .. } => upload(core, job, failures).await,
            Task::Remove { .. } => remove(core, job, failures).await,
        },
        Some(Job { progress: Progress::Due { at }, .. }) => Ok(Outcome::Later(at)),
        _ => Ok(Outcome::NotAsked),
    }
}

async fn upload(core: &Core, job: Job, failures: u32) -> Result<Outcome, StoreError> {
    let Some(job) = begin(core, job).await? else { return Ok(Outcome::NotAsked) };
    let error = match send(core, &job).await {
        Ok(document_id) => {
            conclude(core, &job, Ending::Stored { document_id }).await;
            return Ok(Outcome::Works);
        }
        Err(error) => error,
    };
    let verdict = verdict::upload(error.kind);
    let at = next_try(core, verdict, &error, &job, failures);
    match verdict {
        Verdict::Retry(_) => retry_later(core, &job, at, &error).await,
        Verdict::Park(reason) => park(core, &job, reason, &error.to_string()).await,
        Verdict::Refuse => {
            conclude(core, &job, Ending::Refused { detail: error.detail.clone() }).await;
        }
        Verdict::Done => {}
    }
    Ok(match error.kind {
        BackendErrorKind::File => Outcome::NotAsked,
        kind if blames_backend(kind) => Outcome::Closed(at),
        _ => Outcome::Works,
    })
}

/// Marks the upload as being sent, durably. `None` if it is not to be sent after all.
async fn begin(core: &Core, job: Job) -> Result<Option<Job>, StoreError> {
    let Task::Upload { key, spool, size, .. } = &job.task else { return Ok(None) };
    loop {
        let document = core.store.document(job.document).await?;
        let Some(document) = document.filter(|found| found.pending_job() == Some(job.id)) else {
            if drop_superseded(core, &job).await {
                return Ok(None);
            }
            continue;
        };
        let lost = check_file(core, spool, *size).await.err();
        let next = match &lost {
            Some(problem) => Job {
                progress: Progress::Parked { reason: Reason::SpoolLost },
                last_error: Some(problem.clone()),
                ..job.clone()
            },
            None => Job {
                progress: Progress::Sending,
                attempts: job.attempts.saturating_add(1),
                ..job.clone()
            },
        };
        match core.store.apply(leave_due(Arc::unwrap_or_clone(document), next.clone())).await {
            Ok(Applied::Conflict) => {}
            Ok(Applied::Done) => {
                let Some(problem) = lost else { return Ok(Some(next)) };
                core.metrics.outcome(Step::Deliver, Reason::SpoolLost);
                tracing::error!(
                    code = %Reason::SpoolLost, job = job.id.0, document = %key, error = problem,
                    "an upload is parked: its bytes are gone"
                );
                return Ok(None);
            }
            Err(error) if error.leaves_doubt() => {
                hand_back(core, job.id).await;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
}

fn leave_due(document: Document, job: Job) -> Batch {
    Batch {
        expect: vec![(document.id, Some(document.revision))],
        put: vec![document],
        put_jobs: vec![job],
        ..Batch::default()
    }
}

/// `false`: its document waits for it after all.
async fn drop_superseded(core: &Core, job: &Job) -> bool {
    if !surely(|| Box::pin(try_drop(core, job))).await {
        return false;
    }
    core.remove_files(job.spool().map(str::to_owned).into_iter().collect()).await;
    core.metrics.outcome(Step::Deliver, Reason::Superseded);
    tracing::info!(code = %Reason::Superseded, job = job.id.0, document = %job.key(), "an upload became pointless");
    true
}

async fn try_drop(core: &Core, job: &Job) -> Result<bool, StoreError> {
    loop {
        let document = core.store.document(job.document).await?;
        if document.as_ref().is_some_and(|document| document.pending_job() == Some(job.id)) {
            return Ok(false);
        }
        let expect = vec![(job.document, document.map(|document| document.revision))];
        let batch = Batch { expect, remove_jobs: vec![job.id], ..Batch::default() };
        if core.store.apply(batch).await? == Applied::Done {
            return Ok(true);
        }
    }
}

async fn check_file(core: &Core, name: &str, size: u64) -> Result<(), String> {
    let (files, name) = (Arc::clone(&core.files), name.to_owned());
    let found = spawn_blocking(move || files.size(&name)).await;
    match found.map_err(|error| error.to_string())? {
        Ok(found) if found == size => Ok(()),
        Ok(found) => Err(format!("the spool file has {found} bytes, {size} were captured")),
        Err(error) => Err(format!("the spool file can't be read: {error}")),
    }
}

async fn send(core: &Core, job: &Job) -> Result<String, BackendError> {
    let Task::Upload { spool, title, content_type, size, .. } = &job.task else {
        return Ok(String::new());
    };
    let path = core.files.path(spool);
    let upload = Upload { path: &path, title: title.as_deref(), content_type, size: *size };
    core.backend.get().upload(upload).await
}

async fn remove(core: &Core, job: Job, failures: u32) -> Result<Outcome, StoreError> {
    let Task::Remove { document_id, key } = &job.task else { return Ok(Outcome::NotAsked) };
    let error = match core.backend.get().remove(document_id).await {
        Err(error) if verdict::remove(error.kind) != Verdict::Done => error,
        _ => {
            let batch = Batch { remove_jobs: vec![job.id], ..Batch::default() };
            core.store.apply(batch).await?;
            core.metrics.outcome(Step::Deliver, Reason::Removed);
            tracing::info!(code = %Reason::Removed, job = job.id.0, document = %key, document_id, "removed at DWS");
            return Ok(Outcome::Works);
        }
    };
    let at = next_try(core, verdict::remove(error.kind), &error, &job, failures);
    let job = Job { attempts: job.attempts.saturating_add(1), ..job };
    retry_later(core, &job, at, &error).await;
    Ok(if blames_backend(error.kind) { Outcome::Closed(at) } else { Outcome::Later(at) })
}

fn next_try(core: &Core, verdict: Verdict, error: &BackendError, job: &Job, failures: u32) -> u64 {
    let pace = match verdict {
        Verdict::Retry(pace) => pace,
        _ => Pace::Quick,
    };
    let failures = if blames_backend(error.kind) { failures } else { job.attempts };
    let wait = delay(pace, failures.saturating_add(1), error.retry_after, rand::random());
    core.clock.now().saturating_add(millis(wait))
}
