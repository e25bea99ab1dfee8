//! Finds out whether an upload without a clear end was stored: by looking, never by repeating.

use crate::backend::{Backend, BackendError, BackendErrorKind, ListedDocument, shown_title};
use crate::events::JobEvent;
use crate::outbox::attempt::{Outcome, claim, next_try, under_lease};
use crate::outbox::belongings::known_since;
use crate::outbox::clock::millis;
use crate::outbox::conclude::{Ending, conclude, give_back, park, retry_later};
use crate::outbox::core::Core;
use crate::outbox::schedule::{MAX_DELAY, Pace};
use crate::outbox::settlement::{Candidate, Decision, Doubtful, Found, Own, Wanted, decide};
use crate::outbox::verdict::Verdict;
use crate::reason::Reason;
use crate::store::{Batch, BoxFuture, Job, Progress, Sent, StoreError, Task};

use super::upload::drop_superseded;
use super::{JobKind, LaneId, is_pdf};

pub(super) struct SettleJob;

impl JobKind for SettleJob {
    fn name(&self) -> &'static str {
        "settle"
    }

    fn lane(&self, _: &Task) -> LaneId {
        LaneId::Settlements
    }

    fn run<'a>(
        &self,
        core: &'a Core,
        job: Job,
        failures: u32,
    ) -> BoxFuture<'a, Result<Outcome, StoreError>> {
        Box::pin(run(core, job, failures))
    }

    /// Another look does no harm.
    fn interrupted(&self, job: &Job, now: u64) -> Job {
        job.released(Progress::Due { at: now })
    }
}

/// Why a look came to nothing.
enum Failure {
    Backend(BackendError),
    Store(StoreError),
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn run(core: &Core, job: Job, failures: u32) -> Result<Outcome, StoreError> {
    let Task::Upload { sha256, content_type, .. } = &job.task else { return Ok(Outcome::NotAsked) };
    let backend = core.backend.get();
    // What one of these looks finds must not be taken by another, nor while it is still being sent.
    let bytes = if is_pdf(content_type) { sha256 } else { ANY_OTHER };
    let _apart = match backend.capabilities().honours_ids.surely() {
        true => None,
        false => Some(core.same_bytes.looking(bytes).await),
    };
    let Some(job) = claim(core, &job, Batch::default()).await? else {
        return Ok(Outcome::NotAsked);
    };
    let Some(looked) = under_lease(core, &job, look(core, &*backend, &job)).await else {
        return Ok(Outcome::NotAsked);
    };
    match looked {
        Ok(decision) => {
            act(core, &job, decision).await;
            Ok(Outcome::Works)
        }
        Err(Failure::Backend(error)) => {
            let at = next_try(core, Verdict::Retry(pace(error.kind)), &error, &job, failures);
            retry_later(core, &job, at, &error).await;
            Ok(Outcome::of(&error, at))
        }
        Err(Failure::Store(error)) => {
            let due = job.released(Progress::Due { at: core.clock.now() });
            give_back(core, &job, due, None).await;
            Err(error)
        }
    }
}

async fn act(core: &Core, job: &Job, decision: Decision) {
    let (now, sent) = (core.clock.now(), job.sent.clone().unwrap_or_default());
    core.unsettled.settled(job.id);
    match decision {
        Decision::Stored(document_id) => conclude(core, job, Ending::Stored { document_id }).await,
        Decision::LookAgain => {
            core.unsettled.unclear(job);
            let since = sent.absent_since.unwrap_or(now);
            let at = since.saturating_add(millis(core.settle_time()));
            let sent = Sent { absent_since: Some(since), ..sent };
            let due = Job { sent: Some(sent), ..job.released(Progress::Due { at }) };
            give_back(core, job, due.clone(), None).await;
            core.hints.offer([&due]);
        }
        Decision::SendAgain if drop_superseded(core, job).await => {}
        Decision::SendAgain => {
            // What comes to nothing twice has time.
            let wait = if sent.settlements > 0 { millis(core.settle_time()) } else { 0 };
            let at = now.saturating_add(wait);
            let sent = Sent {
                unclear: false,
                away: false,
                absent_since: None,
                settlements: sent.settlements.saturating_add(1),
                excused: sent.excused.saturating_add(u32::from(sent.away)),
                ..sent
            };
            let due = Job { sent: Some(sent), ..job.released(Progress::Due { at }) };
            give_back(core, job, due.clone(), Some(JobEvent::Absent)).await;
            core.hints.offer([&due]);
        }
        Decision::Park(Doubtful::Hopeless) if drop_superseded(core, job).await => {}
        Decision::Park(doubtful) => {
            let told = told(&doubtful);
            let sent = match doubtful {
                // Should the operator send it again, then under another id.
                Doubtful::Foreign(id) => {
                    Sent { document_id: None, candidates: vec![id], unclear: false, ..sent }
                }
                Doubtful::Several(candidates) => Sent { candidates, ..sent },
                Doubtful::Unlisted | Doubtful::Hopeless => sent,
            };
            let job = Job { sent: Some(sent), ..job.clone() };
            park(core, &job, Reason::OutcomeUnknown, &told).await;
        }
    }
}

fn told(doubtful: &Doubtful) -> String {
    match doubtful {
        Doubtful::Foreign(id) => {
            format!("DWS has other bytes under the id {id} that this upload was to have")
        }
        Doubtful::Several(ids) => format!(
            "which of these documents at DWS is this upload can't be told: {}; look at them and bind the right one, \
             or drop the job",
            ids.join(", ")
        ),
        Doubtful::Unlisted => {
            "whether DWS stored it can't be seen, since the key may not list documents: give it the right to read"
                .to_owned()
        }
        Doubtful::Hopeless => {
            "it was sent several times without a clear answer, and is not at DWS: send it again when uploads work"
                .to_owned()
        }
    }
}

async fn look(core: &Core, backend: &dyn Backend, job: &Job) -> Result<Decision, Failure> {
    let Task::Upload { title, content_type, sha256, .. } = &job.task else {
        return Ok(Decision::LookAgain);
    };
    let sent = job.sent.clone().unwrap_or_default();
    if sent.account.as_deref().is_some_and(|account| account != backend.account()) {
        // This DWS certainly does not have it, and the other is not ours to ask.
        return Ok(Decision::SendAgain);
    }
    let document = core.store.document(job.document).await?;
    let capabilities = backend.capabilities();
    let settle_time = millis(core.settle_time());
    let wanted = Wanted {
        document_id: sent.document_id.as_deref(),
        sha256,
        title: &shown_title(title.as_deref()),
        is_pdf: is_pdf(content_type),
        was_absent: sent
            .absent_since
            .is_some_and(|since| core.clock.now().saturating_sub(since) >= settle_time),
        is_awaited: document.is_some_and(|document| document.pending_job() == Some(job.id)),
        settlements: sent.settlements.saturating_sub(sent.excused),
    };
    let mut found = Found {
        ids: capabilities.honours_ids,
        titles: capabilities.honours_titles,
        own: Own::Absent,
        candidates: Some(Vec::new()),
        tells_hashes: true,
        more: None,
    };
    let own = match wanted.document_id {
        Some(id) => backend.properties(id).await?,
        None => None,
    };
    if let Some(properties) = own {
        found.own = Own::There(properties);
        return Ok(decide(wanted, &found));
    }
    let walked = match walk(core, backend, &sent).await {
        Err(error) if error.kind == BackendErrorKind::Forbidden && sent.document_id.is_some() => {
            found.candidates = None;
            return Ok(decide(wanted, &found));
        }
        walked => walked?,
    };
    let is_own = |one: &ListedDocument| Some(&*one.id) == wanted.document_id;
    if walked.newest_first.iter().any(is_own) {
        found.own = Own::Listed;
    } else if !found.ids.surely() || wanted.document_id.is_none() {
        compare(core, backend, job, &sent, walked, &mut found).await?;
    }
    Ok(decide(wanted, &found))
}

/// What DWS lists since an upload was sent.
struct Walked {
    newest_first: Vec<ListedDocument>,
    count: Option<u64>,
}

async fn walk(core: &Core, backend: &dyn Backend, sent: &Sent) -> Result<Walked, BackendError> {
    let mut walked = Walked { newest_first: Vec::new(), count: None };
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let page = backend.list(cursor.as_deref()).await?;
        let here = core.clock.now();
        // Its clock decides, not ours.
        let since = sent.since.saturating_add(page.now.unwrap_or(here)).saturating_sub(here);
        let since = since.saturating_sub(SKEW);
        walked.count = walked.count.or(page.count);
        let is_before = |one: &ListedDocument| one.created_at.is_some_and(|at| at < since);
        // Should it not go by time, all of it is read.
        let descends = page.documents.is_sorted_by(|one, next| one.created_at >= next.created_at);
        let is_past = descends && page.documents.last().is_some_and(is_before);
        walked.newest_first.extend(page.documents.into_iter().filter(|one| !is_before(one)));
        cursor = page.next;
        if is_past || cursor.is_none() {
            return Ok(walked);
        }
    }
    let detail = format!("DWS lists more than {MAX_PAGES} pages of documents since the upload");
    Err(BackendError::new(BackendErrorKind::Unclear, None, detail))
}

/// Fills in what is known of the documents that may be the one that was sent.
async fn compare(
    core: &Core,
    backend: &dyn Backend,
    job: &Job,
    sent: &Sent,
    walked: Walked,
    found: &mut Found,
) -> Result<(), Failure> {
    let known = known_since(core, sent.since).await?;
    let is_known = |id: &str| known.contains(id) || core.belongings.has_noted(id);
    let (ours, mut unknown): (Vec<_>, Vec<_>) =
        walked.newest_first.into_iter().partition(|one| is_known(&one.id));
    // Times may be of whole seconds.
    let is_older = |one: &ListedDocument| {
        one.created_at.zip(sent.newest).is_some_and(|(at, newest)| at < newest)
    };
    unknown.retain(|one| !is_older(one));
    let is_newer = |one: &&ListedDocument| {
        one.created_at.zip(sent.newest).is_none_or(|(at, newest)| at > newest)
    };
    let signed = |count: u64| i64::try_from(count).ok();
    let (after, before) = (walked.count.and_then(signed), sent.count.and_then(signed));
    let known = i64::try_from(ours.iter().filter(is_newer).count()).ok();
    found.more =
        after.zip(before).zip(known).map(|((after, before), known)| after - before - known);
    let mut candidates = Vec::new();
    let mut silent = false;
    for one in unknown.into_iter().rev() {
        let properties = backend.properties(&one.id).await?;
        silent |= properties.is_none();
        let sha256 = properties.and_then(|properties| properties.sha256);
        let title = one.title;
        candidates.push(Candidate { id: one.id, title, sha256, is_anothers: false });
    }
    if silent {
        // Either these are gone by now, or this DWS tells no properties of anything.
        found.tells_hashes = match ours.first() {
            Some(live) => backend.properties(&live.id).await?.is_some(),
            None => candidates.iter().any(|one| one.sha256.is_some()),
        };
        if found.tells_hashes {
            candidates.retain(|one| one.sha256.is_some());
        }
    } else if !candidates.is_empty() {
        found.tells_hashes = candidates.iter().any(|one| one.sha256.is_some());
    }
    let by_hash = found.tells_hashes && is_pdf_job(job);
    if !by_hash {
        mark_others(core, job, &mut candidates).await?;
    }
    // Some may have got their document meanwhile.
    candidates.retain(|one| !core.belongings.has_noted(&one.id));
    found.candidates = Some(candidates);
    Ok(())
}

/// Those that are PDFs which other jobs are sending, or have sent.
async fn mark_others(
    core: &Core,
    job: &Job,
    candidates: &mut [Candidate],
) -> Result<(), StoreError> {
    if candidates.iter().all(|one| one.sha256.is_none()) {
        return Ok(());
    }
    let mut after = None;
    loop {
        let page = core.store.jobs(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for other in page.iter().filter(|other| other.id != job.id && other.sent.is_some()) {
            let Task::Upload { sha256, content_type, .. } = &other.task else { continue };
            let same = |one: &&mut Candidate| one.sha256.as_deref() == Some(sha256);
            if is_pdf(content_type) {
                candidates.iter_mut().filter(same).for_each(|one| one.is_anothers = true);
            }
        }
    }
}

fn is_pdf_job(job: &Job) -> bool {
    matches!(&job.task, Task::Upload { content_type, .. } if is_pdf(content_type))
}

fn pace(kind: BackendErrorKind) -> Pace {
    match kind {
        BackendErrorKind::KeyRefused
        | BackendErrorKind::Forbidden
        | BackendErrorKind::NotFound
        | BackendErrorKind::Gateway
        | BackendErrorKind::Refused => Pace::Slow,
        _ => Pace::Quick,
    }
}

impl Core {
    /// After this an upload that was not found is not on its way any more.
    fn settle_time(&self) -> std::time::Duration {
        (2 * self.backend.get().times().upload_idle).min(MAX_DELAY)
    }
}

/// In place of a hash: all that is no PDF.
const ANY_OTHER: &str = "";
const PAGE: usize = 500;
/// Milliseconds by which the clocks may differ after all.
const SKEW: u64 = 60_000;
const MAX_PAGES: usize = 500;
