//! Stores a captured file at the backend.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{JobKind, LaneId, is_pdf};
use crate::backend::{Backend, BackendError, BackendErrorKind, Honours, Upload};
use crate::events::{JobEvent, ParkedBy};
use crate::outbox::attempt::{Outcome, claim, next_try, under_lease};
use crate::outbox::conclude::{Ending, conclude, park, retry_later, settle_later, surely};
use crate::outbox::core::Core;
use crate::outbox::parked::retry;
use crate::outbox::refusals::Judgement;
use crate::outbox::schedule::Pace;
use crate::outbox::settlement::MAX_SETTLEMENTS;
use crate::outbox::verdict::Verdict;
use crate::reason::Reason;
use crate::store::{
    Applied, Batch, BoxFuture, Document, Job, Progress, Sent, StoreError, Task, find_job,
};

pub(super) struct UploadJob;

impl JobKind for UploadJob {
    fn name(&self) -> &'static str {
        "upload"
    }

    fn lane(&self, task: &Task) -> LaneId {
        match task {
            Task::Upload { content_type, .. } if !is_pdf(content_type) => LaneId::Conversions,
            _ => LaneId::Uploads,
        }
    }

    fn run<'a>(
        &self,
        core: &'a Core,
        job: Job,
        failures: u32,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(run(core, job, failures))
    }

    /// The backend may have stored it: it is looked for.
    fn interrupted(&self, job: &Job, now: u64) -> Job {
        job.unclear().released(Progress::Due { at: now })
    }
}

async fn run(core: &Core, job: Job, failures: u32) -> Result<Outcome, StoreError> {
    let Task::Upload { sha256, content_type, .. } = &job.task else { return Ok(Outcome::NotAsked) };
    let backend = core.backend.get();
    let _apart = match backend.capabilities().honours_ids.surely() {
        true => None,
        false => {
            Some(core.same_bytes.sending(if is_pdf(content_type) { sha256 } else { "" }).await)
        }
    };
    let was_sent = job.sent.is_some();
    let sent = match next_sent(core, &*backend, &job).await {
        Ok(sent) => sent,
        Err(error) => {
            let at = next_try(core, Verdict::Retry(Pace::Quick), &error, &job, failures);
            return Ok(Outcome::of(&error, at));
        }
    };
    let Some(job) = begin(core, Job { sent: Some(sent), ..job }).await? else {
        return Ok(Outcome::NotAsked);
    };
    let attempt = async {
        match send(core, &*backend, &job).await {
            Err(error)
                if was_sent
                    && matches!(
                        error.kind,
                        BackendErrorKind::Refused | BackendErrorKind::Gateway
                    ) =>
            {
                refused_again(&*backend, &job, error).await
            }
            sent => sent,
        }
    };
    let Some(sent) = under_lease(core, &job, attempt).await else { return Ok(Outcome::NotAsked) };
    let error = match sent {
        Ok(document_id) => {
            core.refusals.stored(core.clock.now());
            conclude(core, &job, Ending::Stored { document_id }).await;
            return Ok(Outcome::Works);
        }
        Err(error) => error,
    };
    let (job, error) = judge_refusal(core, job, error).await;
    let verdict = verdict(error.kind);
    let at = next_try(core, verdict, &error, &job, failures);
    match verdict {
        Verdict::Retry(_) => retry_later(core, &job, at, &error).await,
        Verdict::Settle => settle_later(core, &job, &error).await,
        Verdict::Park(reason) => park(core, &job, reason, &error.to_string()).await,
        Verdict::Refuse => {
            conclude(core, &job, Ending::Refused { detail: error.detail.clone() }).await;
        }
        Verdict::Done => {}
    }
    Ok(match error.kind {
        BackendErrorKind::File => Outcome::NotAsked,
        BackendErrorKind::Refused => Outcome::Works,
        _ => Outcome::of(&error, at),
    })
}

/// A refusal counts unless everything is refused alike: then something before the backend is at fault, and what was
/// refused since is tried again, too.
async fn judge_refusal(core: &Core, job: Job, error: BackendError) -> (Job, BackendError) {
    if error.kind != BackendErrorKind::Refused {
        return (job, error);
    }
    let now = core.clock.now();
    let sent = job.sent.clone().unwrap_or_default();
    let first = sent.refused_at.unwrap_or(now);
    let job = Job { sent: Some(Sent { refused_at: Some(first), ..sent }), ..job };
    match core.refusals.judge(job.id, error.status, first, now) {
        Judgement::Counts => (job, error),
        Judgement::AllAlike(others) => {
            for other in others {
                // One that can't be is removed, or decided on, by now.
                if let Ok(due) = retry(&*core.store, other, now).await {
                    core.hints.offer([&due]);
                }
            }
            let detail = format!(
                "everything is refused alike, so it says nothing of the document: {}",
                error.detail
            );
            (job, BackendError { kind: BackendErrorKind::Gateway, detail, ..error })
        }
    }
}

/// What is written down before the first byte. An id is kept for as long as the job goes to the same account: should
/// an earlier attempt arrive after all, it collides with itself.
async fn next_sent(core: &Core, backend: &dyn Backend, job: &Job) -> Result<Sent, BackendError> {
    let Task::Upload { content_type, .. } = &job.task else { return Ok(Sent::default()) };
    let account = Some(backend.account().to_owned());
    let former = job.sent.clone().filter(|sent| sent.account == account).unwrap_or_default();
    let capabilities = backend.capabilities();
    let has_no_mark = capabilities.honours_ids != Honours::Yes
        && capabilities.honours_titles != Honours::Yes
        && !is_pdf(content_type);
    let before = if has_no_mark { Some(backend.list(None).await?) } else { None };
    let since = if former.settlements > 0 { former.since } else { core.clock.now() };
    let document_id = former.document_id.unwrap_or_else(Sent::new_id);
    Ok(Sent {
        document_id: Some(document_id),
        account,
        since,
        settlements: former.settlements,
        excused: former.excused,
        refused_at: former.refused_at,
        count: before.as_ref().and_then(|before| before.count),
        newest: before.as_ref().and_then(|before| before.documents.first()?.created_at),
        ..Sent::default()
    })
}

/// A backend that has the document already refuses another of the same id, in words that are not specified. It may take a
/// while to say that it has it.
async fn refused_again(
    backend: &dyn Backend,
    job: &Job,
    refusal: BackendError,
) -> Result<String, BackendError> {
    let Some(sent) = &job.sent else { return Err(refusal) };
    let Some(id) = sent.document_id.clone() else { return Err(refusal) };
    let may_be_there = (1..MAX_SETTLEMENTS).contains(&sent.settlements);
    match backend.properties(&id).await {
        Ok(Some(_)) => Ok(id),
        Ok(None) if !may_be_there => Err(refusal),
        _ => Err(BackendError { kind: BackendErrorKind::Unclear, ..refusal }),
    }
}

/// Marks the upload as being sent, durably. `None` if it is not to be sent after all.
async fn begin(core: &Core, job: Job) -> Result<Option<Job>, StoreError> {
    let Task::Upload { spool, size, .. } = &job.task else { return Ok(None) };
    loop {
        let document = core.store.document(job.document).await?;
        let Some(document) = document.filter(|found| found.pending_job() == Some(job.id)) else {
            if job.may_arrive() {
                look_for_superseded(core, &job).await?;
                return Ok(None);
            }
            if drop_superseded(core, &job).await {
                return Ok(None);
            }
            continue;
        };
        let batch = insist_on(Arc::unwrap_or_clone(document));
        if let Err(problem) = check_file(core, spool, *size).await {
            if park_without_file(core, &job, batch, &problem).await? {
                return Ok(None);
            }
        } else if let Some(claimed) = claim(core, &job, batch).await? {
            return Ok(Some(claimed));
        }
        // Either the document has changed, or another owner was faster.
        match find_job(&*core.store, job.id).await? {
            Some(found) if found.fence == job.fence => {}
            _ => return Ok(None),
        }
    }
}

/// Writes the document as it is, so that what else was about to change it looks again.
fn insist_on(document: Document) -> Batch {
    let expect = vec![(document.id, Some(document.revision))];
    Batch { expect, put: vec![document], ..Batch::default() }
}

/// `false`: the document has changed meanwhile.
async fn park_without_file(
    core: &Core,
    job: &Job,
    batch: Batch,
    problem: &str,
) -> Result<bool, StoreError> {
    let parked = Job {
        progress: Progress::Parked { reason: Reason::SpoolLost },
        last_error: Some(problem.to_owned()),
        ..job.clone()
    };
    if core.store.apply(Batch { put_jobs: vec![parked], ..batch }).await? != Applied::Done {
        return Ok(false);
    }
    let by = ParkedBy::Spool { error: problem };
    core.tell_of(job, JobEvent::Parked { reason: Reason::SpoolLost, by });
    Ok(true)
}

/// An earlier attempt may still arrive: it is looked for, so that it can be removed.
async fn look_for_superseded(core: &Core, job: &Job) -> Result<(), StoreError> {
    let due = job.unclear().released(Progress::Due { at: core.clock.now() });
    let batch = Batch { fences: vec![(job.id, job.fence)], ..Batch::default() };
    core.unsettled.unclear(&due);
    core.store.apply(Batch { put_jobs: vec![due.clone()], ..batch }).await?;
    core.hints.offer([&due]);
    Ok(())
}

/// `false`: its document waits for it after all.
pub(super) async fn drop_superseded(core: &Core, job: &Job) -> bool {
    if !surely(core, || Box::pin(try_drop(core, job))).await {
        return false;
    }
    core.remove_files(job.spool().map(str::to_owned).into_iter().collect()).await;
    core.tell_of(job, JobEvent::Dropped { at_its_turn: true });
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

async fn send(core: &Core, backend: &dyn Backend, job: &Job) -> Result<String, BackendError> {
    let Task::Upload { spool, title, content_type, size, sha256, .. } = &job.task else {
        return Ok(String::new());
    };
    let path = core.files.path(spool);
    let upload = Upload {
        path: &path,
        document_id: job.sent.as_ref().and_then(|sent| sent.document_id.as_deref()),
        title: title.as_deref(),
        content_type,
        size: *size,
        sha256,
    };
    backend.upload(upload).await
}

/// An upload is repeated only when it is certain that DWS did not store it: nothing makes a second
/// one harmless.
fn verdict(kind: BackendErrorKind) -> Verdict {
    match kind {
        BackendErrorKind::Unreachable | BackendErrorKind::RateLimited | BackendErrorKind::Busy => {
            Verdict::Retry(Pace::Quick)
        }
        // The key, the plan or the address is wrong, not the document.
        BackendErrorKind::KeyRefused
        | BackendErrorKind::Forbidden
        | BackendErrorKind::Quota
        | BackendErrorKind::NotFound
        | BackendErrorKind::Gateway => Verdict::Retry(Pace::Slow),
        BackendErrorKind::Refused => Verdict::Refuse,
        BackendErrorKind::File => Verdict::Park(Reason::SpoolLost),
        BackendErrorKind::Unclear
        | BackendErrorKind::Overloaded
        | BackendErrorKind::TooWide
        | BackendErrorKind::Unreadable => Verdict::Settle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_repeated_only_when_nothing_was_stored() {
        use BackendErrorKind::*;
        let repeated = |kind| matches!(verdict(kind), Verdict::Retry(_));
        assert!(
            [Unreachable, RateLimited, Busy, KeyRefused, Forbidden, Quota, NotFound, Gateway]
                .into_iter()
                .all(repeated)
        );
        assert!(![Unclear, Overloaded, Refused, File, TooWide].into_iter().any(repeated));
        assert_eq!(verdict(Unclear), Verdict::Settle);
        assert_eq!(verdict(File), Verdict::Park(Reason::SpoolLost));
        assert_eq!(verdict(Refused), Verdict::Refuse);
    }
}
