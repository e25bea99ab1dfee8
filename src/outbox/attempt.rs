//! One attempt at one job.
//!
//! A job that is due may be removed by whoever replaces or deletes its document, so a claim insists on the revision of
//! the document that waits for it, and changes it. A job that is `Sending` is changed only under its claim.

use std::sync::Arc;
use std::time::Duration;

use super::clock::{due_at, millis};
use super::conclude::hand_back;
use super::core::Core;
use super::kinds;
use super::schedule::{Pace, delay};
use super::verdict::{Verdict, blames_backend};
use crate::backend::BackendError;
use crate::events::{Event, StoreNeed};
use crate::store::{Applied, Batch, Job, JobId, Progress, StoreError, find_job};

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
    Unavailable(u64),
    /// The store failed; the job is where it was.
    StoreFailed,
}

/// `failures`: how often in a row the lane has failed so far. `early`: also before the job's time.
pub(super) async fn attempt(core: Arc<Core>, id: JobId, failures: u32, early: bool) -> Outcome {
    match attempt_job(&core, id, failures, early).await {
        Ok(outcome) => outcome,
        Err(error) => {
            core.tell(&Event::StoreFailed { need: StoreNeed::Attempt(id.0), error: &error });
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
        Some(job) if is_due(&job) => kinds::of(&job.task).run(core, job, failures).await,
        Some(Job { progress: Progress::Due { at }, .. }) => Ok(Outcome::Later(at)),
        _ => Ok(Outcome::NotAsked),
    }
}

/// Marks the job as being sent, durably and together with `batch`. `None` if something that it insists on has changed,
/// or another owner has claimed the job.
pub(super) async fn claim(core: &Core, job: &Job, batch: Batch) -> Result<Option<Job>, StoreError> {
    let until = core.clock.now().saturating_add(millis(LEASE));
    let claimed = job.claimed(until);
    match core.store.claim(&claimed, batch).await {
        Ok(Applied::Done) => Ok(Some(claimed)),
        Ok(Applied::Conflict | Applied::Fenced) => Ok(None),
        Err(error) => {
            if error.leaves_doubt() {
                hand_back(core, &claimed).await;
            }
            Err(error)
        }
    }
}

/// When to try again after this error, in Unix milliseconds.
pub(super) fn next_try(
    core: &Core,
    verdict: Verdict,
    error: &BackendError,
    job: &Job,
    failures: u32,
) -> u64 {
    let pace = match verdict {
        Verdict::Retry(pace) => pace,
        _ => Pace::Quick,
    };
    let failures = if blames_backend(error.kind) { failures } else { job.attempts };
    let wait = delay(pace, failures.saturating_add(1), error.retry_after, rand::random());
    core.clock.now().saturating_add(millis(wait))
}

/// Longer than any attempt without a word from the backend.
const LEASE: Duration = Duration::from_secs(60 * 60);
