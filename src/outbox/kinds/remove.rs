//! Removes a document at the backend that nothing refers to any more.

use super::{JobKind, LaneId};
use crate::backend::BackendErrorKind;
use crate::events::JobEvent;
use crate::outbox::attempt::{Outcome, claim, next_try, under_lease};
use crate::outbox::conclude::{retry_later, surely};
use crate::outbox::core::Core;
use crate::outbox::schedule::Pace;
use crate::outbox::verdict::Verdict;
use crate::reason::Reason;
use crate::store::{Batch, BoxFuture, Job, Progress, StoreError, Task};

pub(super) struct RemoveJob;

impl JobKind for RemoveJob {
    fn name(&self) -> &'static str {
        "remove"
    }

    fn lane(&self, _: &Task) -> LaneId {
        LaneId::Removals
    }

    fn run<'a>(
        &self,
        core: &'a Core,
        job: Job,
        failures: u32,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(run(core, job, failures))
    }

    /// Once more does no harm.
    fn interrupted(&self, job: &Job, now: u64) -> Job {
        job.released(Progress::Due { at: now })
    }
}

async fn run(core: &Core, job: Job, failures: u32) -> Result<Outcome, StoreError> {
    let Some(job) = claim(core, &job, Batch::default()).await? else {
        return Ok(Outcome::NotAsked);
    };
    let Task::Remove { document_id, .. } = &job.task else { return Ok(Outcome::NotAsked) };
    let backend = core.backend.get();
    let Some(removed) = under_lease(core, &job, backend.remove(document_id)).await else {
        return Ok(Outcome::NotAsked);
    };
    let error = match removed {
        Err(error) if verdict(error.kind) != Verdict::Done => error,
        _ => {
            core.belongings.note(document_id);
            let batch = Batch { remove_jobs: vec![job.id], ..Batch::default() };
            surely(core, || core.store.finish(&job, batch.clone())).await;
            core.tell_of(&job, JobEvent::Done { reason: Reason::Removed, document_id });
            return Ok(Outcome::Works);
        }
    };
    let at = next_try(core, verdict(error.kind), &error, &job, failures);
    retry_later(core, &job, at, &error).await;
    Ok(Outcome::of(&error, at))
}

/// A removal can be repeated as often as need be.
fn verdict(kind: BackendErrorKind) -> Verdict {
    match kind {
        BackendErrorKind::NotFound => Verdict::Done,
        BackendErrorKind::Unreachable
        | BackendErrorKind::RateLimited
        | BackendErrorKind::Busy
        | BackendErrorKind::Overloaded
        | BackendErrorKind::Gateway
        | BackendErrorKind::Unclear => Verdict::Retry(Pace::Quick),
        BackendErrorKind::KeyRefused
        | BackendErrorKind::Forbidden
        | BackendErrorKind::Quota
        | BackendErrorKind::Refused
        | BackendErrorKind::TooWide
        | BackendErrorKind::Unreadable
        | BackendErrorKind::File => Verdict::Retry(Pace::Slow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_goes_on_until_the_document_is_gone() {
        use BackendErrorKind::*;
        assert_eq!(verdict(NotFound), Verdict::Done);
        let rest =
            [Unreachable, RateLimited, Busy, KeyRefused, Forbidden, Quota, Unclear, Refused, File];
        assert!(rest.into_iter().all(|kind| matches!(verdict(kind), Verdict::Retry(_))));
    }
}
