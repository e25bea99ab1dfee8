//! One attempt at one job.
//!
//! A job that is due may be removed by whoever replaces or deletes its document, so a claim insists on the revision of
//! the document that waits for it, and changes it. A job that is `Sending` is changed only under its claim.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::clock::{due_at, millis};
use super::conclude::hand_back;
use super::core::Core;
use super::kinds;
use super::recover::take_over;
use super::schedule::{Pace, delay};
use super::verdict::{Verdict, blames_backend, may_be_probed};
use crate::backend::BackendError;
use crate::events::{Event, JobEvent, StoreNeed};
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
    /// As much, unless the backend is found to be back before.
    Away(u64),
    /// The store failed; the job is where it was.
    StoreFailed,
}

impl Outcome {
    /// Of an attempt that failed at the backend. `at`: when the job is due again.
    pub(super) fn of(error: &BackendError, at: u64) -> Self {
        match blames_backend(error.kind) {
            true if may_be_probed(error) => Self::Away(at),
            true => Self::Unavailable(at),
            false => Self::Later(at),
        }
    }
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
    let Some(job) = find_job(&*core.store, id).await? else { return Ok(Outcome::NotAsked) };
    let is_due = matches!(job.progress, Progress::Due { .. });
    match ready_at(&job, now) {
        Some(at) if at > now && !(early && is_due) => Ok(Outcome::Later(at)),
        Some(_) if is_due => kinds::of(&job).run(core, job, failures).await,
        Some(_) if matches!(job.progress, Progress::Refused { .. }) => expire(core, &job).await,
        Some(_) => take_over(core, &job).await,
        None => Ok(Outcome::NotAsked),
    }
}

/// A refused document's bytes were kept for long enough.
async fn expire(core: &Core, job: &Job) -> Result<Outcome, StoreError> {
    let (remove_jobs, fences) = (vec![job.id], vec![(job.id, job.fence)]);
    let batch = Batch { remove_jobs, fences, ..Batch::default() };
    if core.store.apply(batch).await? == Applied::Done {
        core.remove_files(job.spool().map(str::to_owned).into_iter().collect()).await;
    }
    Ok(Outcome::NotAsked)
}

/// From when on there is something to do for a job: an attempt, or, where one has outlived its lease, to take it over.
pub(super) fn ready_at(job: &Job, now: u64) -> Option<u64> {
    match job.progress {
        Progress::Due { at } => Some(due_at(at, now)),
        Progress::Sending => job.leased_until.or(Some(0)),
        Progress::Refused { until } => Some(until),
        Progress::Unconfirmed | Progress::Parked { .. } => None,
    }
}

/// Makes the attempt under this claim for as long as it takes: the lease is renewed in time. `None`: the job is another
/// owner's by now, and what this attempt comes to does not count.
pub(super) async fn under_lease<T>(
    core: &Core,
    claimed: &Job,
    attempt: impl Future<Output = T>,
) -> Option<T> {
    // A renewal that is cut off by the end of the attempt is applied before that is written, or never.
    let fenced = async {
        loop {
            sleep(LEASE / 2).await;
            let until = core.clock.now().saturating_add(millis(LEASE));
            match core.store.renew(claimed, until).await {
                Ok(Applied::Fenced) => return,
                Ok(Applied::Done | Applied::Conflict) => {}
                Err(error) => {
                    core.tell(&Event::StoreFailed {
                        need: StoreNeed::Lease(claimed.id.0),
                        error: &error,
                    });
                }
            }
        }
    };
    tokio::select! {
        biased;
        done = attempt => Some(done),
        () = fenced => {
            core.tell_of(claimed, JobEvent::Fenced);
            None
        }
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
    let wait =
        delay(pace, failures.saturating_add(1), error.retry_after, crate::random::fraction());
    core.clock.now().saturating_add(millis(wait))
}

/// Longer than a store may fail before deliveries are doubted.
pub(super) const LEASE: Duration = Duration::from_secs(10 * 60);
