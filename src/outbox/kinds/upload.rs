//! Stores a captured file at the backend.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{JobKind, LaneId};
use crate::backend::{BackendError, BackendErrorKind, Upload};
use crate::events::{JobEvent, ParkedBy};
use crate::outbox::attempt::{Outcome, claim, next_try, under_lease};
use crate::outbox::conclude::{Ending, conclude, park, retry_later, surely};
use crate::outbox::core::Core;
use crate::outbox::schedule::Pace;
use crate::outbox::verdict::{Verdict, blames_backend};
use crate::reason::Reason;
use crate::store::{
    Applied, Batch, BoxFuture, Document, Job, Progress, StoreError, Task, find_job,
};

pub(super) struct UploadJob;

impl JobKind for UploadJob {
    fn name(&self) -> &'static str {
        "upload"
    }

    fn lane(&self) -> LaneId {
        LaneId::Uploads
    }

    fn run<'a>(
        &self,
        core: &'a Core,
        job: Job,
        failures: u32,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(run(core, job, failures))
    }

    /// The backend may have stored it, so that an operator has to look.
    fn interrupted(&self, _: u64) -> Progress {
        Progress::Parked { reason: Reason::OutcomeUnknown }
    }
}

async fn run(core: &Core, job: Job, failures: u32) -> Result<Outcome, StoreError> {
    let Some(job) = begin(core, job).await? else { return Ok(Outcome::NotAsked) };
    let Some(sent) = under_lease(core, &job, send(core, &job)).await else {
        return Ok(Outcome::NotAsked);
    };
    let error = match sent {
        Ok(document_id) => {
            conclude(core, &job, Ending::Stored { document_id }).await;
            return Ok(Outcome::Works);
        }
        Err(error) => error,
    };
    let verdict = verdict(error.kind);
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
        kind if blames_backend(kind) => Outcome::Unavailable(at),
        _ => Outcome::Works,
    })
}

/// Marks the upload as being sent, durably. `None` if it is not to be sent after all.
async fn begin(core: &Core, job: Job) -> Result<Option<Job>, StoreError> {
    let Task::Upload { spool, size, .. } = &job.task else { return Ok(None) };
    loop {
        let document = core.store.document(job.document).await?;
        let Some(document) = document.filter(|found| found.pending_job() == Some(job.id)) else {
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

/// `false`: its document waits for it after all.
async fn drop_superseded(core: &Core, job: &Job) -> bool {
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

async fn send(core: &Core, job: &Job) -> Result<String, BackendError> {
    let Task::Upload { spool, title, content_type, size, .. } = &job.task else {
        return Ok(String::new());
    };
    let path = core.files.path(spool);
    let upload = Upload { path: &path, title: title.as_deref(), content_type, size: *size };
    core.backend.get().upload(upload).await
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
        | BackendErrorKind::NotFound => Verdict::Retry(Pace::Slow),
        BackendErrorKind::Refused => Verdict::Refuse,
        BackendErrorKind::File => Verdict::Park(Reason::SpoolLost),
        BackendErrorKind::Unclear | BackendErrorKind::TooWide | BackendErrorKind::Unreadable => {
            Verdict::Park(Reason::OutcomeUnknown)
        }
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
            [Unreachable, RateLimited, Busy, KeyRefused, Forbidden, Quota, NotFound]
                .into_iter()
                .all(repeated)
        );
        assert!(![Unclear, Refused, File, TooWide].into_iter().any(repeated));
        assert_eq!(verdict(Unclear), Verdict::Park(Reason::OutcomeUnknown));
        assert_eq!(verdict(File), Verdict::Park(Reason::SpoolLost));
        assert_eq!(verdict(Refused), Verdict::Refuse);
    }
}
