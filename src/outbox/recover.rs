//! What a crash left behind, attempts that outlived their leases, and uploads for which no look at the app was ever made.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::attempt::Outcome;
use super::conclude::STORE_PAUSE;
use super::core::Core;
use super::doubt::withdraw;
use super::intake::Failure;
use super::kinds;
use crate::events::JobEvent;
use crate::reason::Reason;
use crate::store::{Applied, Batch, Job, Progress, StoreError};

/// Asks the kind of each job that was being sent what its end without a word means, and sweeps the spool. Leases of
/// before do not count: a store of this process has no other owner. `late`: something may have been captured before, so
/// that what this process has spooled stays.
pub(super) async fn recover(core: &Core, late: bool) -> Result<(), Failure> {
    let hasher = RandomState::new();
    let mut needed = HashSet::new();
    let mut after = None;
    let now = core.clock.now();
    let is_stale = |job: &Job| {
        job.progress == Progress::Unconfirmed && now.saturating_sub(job.created_at) > UNCONFIRMED
    };
    loop {
        let page = core.store.jobs(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for job in page.iter().filter(|job| is_stale(job)) {
            withdraw(core, job).await?;
        }
        needed.extend(page.iter().filter_map(Job::spool).map(|name| hasher.hash_one(name)));
        page.iter().for_each(|job| core.unsettled.unclear_one(job));
        let unclear = page
            .iter()
            .filter(|job| job.progress == Progress::Sending || is_of_former_version(job));
        let put_jobs = unclear.map(|job| cut_off(core, job, CUT_OFF)).collect();
        let batch = Batch { put_jobs, ..Batch::default() };
        if !batch.put_jobs.is_empty() {
            core.store.apply(batch).await?;
        }
    }
    sweep(core, hasher, needed, late).await;
    Ok(())
}

/// The same for a start at which the store was away: as soon as it is there.
pub(super) async fn recover_late(core: &Core) {
    while let Err(error) = recover(core, true).await {
        tracing::debug!(%error, "what the last process left is not looked at yet");
        sleep(STORE_PAUSE).await;
    }
}

/// What its kind makes of a job whose attempt ended without a word.
fn cut_off(core: &Core, job: &Job, detail: &str) -> Job {
    let next = kinds::of(job).interrupted(job, core.clock.now());
    core.unsettled.unclear_one(&next);
    if !next.is_unclear() || job.is_unclear() {
        return next;
    }
    core.tell_of(job, JobEvent::Unclear { error: detail });
    Job { last_error: Some(detail.to_owned()), ..next }
}

/// Parked by a version of Transom that could not look.
fn is_of_former_version(job: &Job) -> bool {
    let unknown = job.progress == Progress::Parked { reason: Reason::OutcomeUnknown };
    unknown && job.sent.is_none()
}

/// The attempt at this job has outlived its lease without a word. Its owner can't end the job any more: this is another
/// claim.
pub(super) async fn take_over(core: &Core, job: &Job) -> Result<Outcome, StoreError> {
    let error = "an attempt ended without a word, and its lease is over";
    let next = Job { attempts: job.attempts, ..cut_off(core, &job.claimed(0), error) };
    if core.store.claim(&next, Batch::default()).await? == Applied::Done {
        core.queued(&[next]);
    }
    Ok(Outcome::NotAsked)
}

/// Names are kept as hashes: an outage may have left a hundred thousand. Two that share one leave a
/// file too many, never one too few.
async fn sweep(core: &Core, hasher: RandomState, needed: HashSet<u64>, late: bool) {
    let files = Arc::clone(&core.files);
    let is_whole = core.store.is_whole();
    let sweep = move || {
        let keep =
            |name: &str| needed.contains(&hasher.hash_one(name)) || (late && files.is_own(name));
        match is_whole {
            true => Ok((files.sweep(&keep)?, None)),
            false => files.put_aside(&keep).map(|(count, aside)| (count, Some(aside))),
        }
    };
    let swept = spawn_blocking(sweep).await;
    if let Ok(Ok(_)) = swept {
        core.store.loss_is_dealt_with();
    }
    match swept {
        Ok(Ok((0, _))) | Err(_) => {}
        Ok(Ok((count, None))) => tracing::info!(count, "swept spool files that no delivery needs"),
        Ok(Ok((count, Some(aside)))) => tracing::warn!(
            count,
            "the store has lost something, so that files of which it knows nothing were moved to {} rather than \
             removed: they may be uploads that never reached DWS",
            aside.display()
        ),
        Ok(Err(error)) => tracing::warn!(%error, "the spool could not be swept"),
    }
}

const CUT_OFF: &str = "Transom ended while it was being sent";
const PAGE: usize = 256;
/// For how long a look at the app may be due, in milliseconds: seven days.
const UNCONFIRMED: u64 = 7 * 24 * 3600 * 1000;
