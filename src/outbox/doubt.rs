//! Puts documents in doubt and takes them out of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use super::core::Core;
use super::intake::{Failure, MAX_CONFLICTS};
use super::patience::Patience;
use super::{Outbox, Shared};
use crate::document::DocumentKey;
use crate::reason::Reason;
use crate::store::{
    Applied, Batch, DocId, Document, Doubt, Job, JobId, Mapping, StoreError, Validators, find_job,
};

/// A writing request that names documents before the app has answered. From its beginning to its end they are in
/// doubt, and afterwards unless the end is known.
pub(crate) struct WriteUnderWay {
    shared: Arc<Shared>,
    named: Vec<Named>,
    /// Greater than the journal's entries of all captures before it.
    began: JobId,
}

struct Named {
    key: DocumentKey,
    /// What the name pointed at when the request began.
    document: Option<DocId>,
    mark: u64,
    is_known: bool,
    /// By the body, not by the request's head.
    in_body: bool,
    /// It was in doubt for another reason.
    before: Option<Before>,
    /// Told when the mark is made; `None` if there is none.
    marked: Option<watch::Receiver<bool>>,
}

/// An earlier doubt.
#[derive(Clone, Copy, Debug)]
struct Before {
    since: u64,
    open: bool,
}

impl Outbox {
    /// Puts the documents that are known among these in doubt, durably, before the app sees the request. A store
    /// that stalls holds it up for at most two seconds; the marks are made then as soon as they can be.
    pub(crate) async fn begin_write(&self, keys: Vec<DocumentKey>) -> WriteUnderWay {
        let core = &self.shared.core;
        let mut write =
            WriteUnderWay { shared: self.shared.clone(), named: Vec::new(), began: JobId(0) };
        for key in keys {
            if write.names(&key) {
                continue;
            }
            if write.named.len() == MAX_NAMED {
                tracing::warn!(document = %key, "a request names too many documents; this one and others are not in doubt");
                break;
            }
            core.writes.begin(&key);
            let mark = core.store.next_job().0;
            write.named.push(Named::new(key, mark));
        }
        let marks = write.named.iter_mut().map(async |named| {
            let found = timeout(MARK_AT_MOST, core.store.get(&named.key)).await;
            named.is_known = !matches!(found, Ok(Ok(None)));
            named.document = found.ok().and_then(|found| Some(found.ok()??.id));
            if named.is_known {
                let (before, marked) = self.mark(&named.key, named.which(), named.mark, true).await;
                (named.before, named.marked) = (before, Some(marked));
            }
        });
        join_all(marks).await;
        write.began = core.store.next_job();
        write
    }

    /// Puts a document in doubt, if it is known. Returns the mark.
    pub(crate) async fn doubt(&self, key: &DocumentKey) -> Option<u64> {
        if matches!(self.shared.core.store.get(key).await, Ok(None)) {
            return None;
        }
        let mark = self.shared.core.store.next_job().0;
        self.mark(key, Which::Named(key.clone()), mark, false).await;
        Some(mark)
    }

    /// Since when the document was in doubt before, and what is told when the mark is made.
    async fn mark(
        &self,
        key: &DocumentKey,
        which: Which,
        mark: u64,
        open: bool,
    ) -> (Option<Before>, watch::Receiver<bool>) {
        let (core, key) = (self.shared.core.clone(), key.clone());
        core.writes.is_unmarked(&key);
        // A store that is known to be away is not waited for.
        let at_most = core.store.health().map_or(Duration::ZERO, |()| MARK_AT_MOST);
        let (made, is_made) = watch::channel(false);
        let marking = self.shared.background.spawn(async move {
            let mut before = None;
            let mut patience = Patience::new(&core, "doubt");
            let marked = loop {
                let marking = amend(&core, &which, |mapping| {
                    let unconfirmed = mapping.doubt.as_ref().and_then(|d| d.unconfirmed.clone());
                    let earlier =
                        mapping.doubt.as_ref().filter(|doubt| core.writes.counts(doubt.mark));
                    before = earlier.map(|doubt| Before { since: doubt.since, open: doubt.open });
                    let doubt = Doubt { unconfirmed, open, ..Doubt::new(core.clock.now(), mark) };
                    // Nothing may have come of the write meanwhile.
                    let marked = || Document { doubt: Some(doubt), ..mapping.clone() };
                    core.writes.counts(mark).then(marked)
                });
                let Err(failure) = marking.await else { break Ok(()) };
                if let Err(failure) = patience.outlast(failure).await {
                    break Err(failure);
                }
            };
            match marked {
                Ok(()) => core.writes.is_marked(&key),
                Err(error) => {
                    tracing::warn!(document = %key, %error, "a document is in doubt, and the store could not take it down");
                }
            }
            made.send_replace(true);
            before
        });
        // What is not known in time may have been so.
        let unknown = Some(Before { since: self.shared.core.clock.now(), open: true });
        let before = timeout(at_most, marking).await;
        (before.map_or(unknown, |marked| marked.unwrap_or(unknown)), is_made)
    }

    /// Whether the app may have other bytes than this document's. A write by any of its names counts.
    pub(crate) fn is_in_doubt(&self, document: &Document) -> bool {
        let writes = &self.shared.core.writes;
        document.doubt.is_some() || document.names.iter().any(|name| writes.doubt(name))
    }

    /// Whether a look at the app now may find what it is about to change.
    pub(crate) fn is_being_written(&self, key: &DocumentKey) -> bool {
        self.shared.core.writes.are_under_way(key)
    }

    /// Whether a write whose end was not seen, as its client left or Transom was killed, may still change the
    /// document.
    pub(crate) fn may_be_written(&self, mapping: &Mapping) -> bool {
        let now = self.shared.core.clock.now();
        let doubt = mapping.doubt.as_ref();
        doubt.is_some_and(|doubt| Before { since: doubt.since, open: doubt.open }.lingers(now))
    }

    /// Ends a doubt of just this mark.
    pub(crate) async fn lift(&self, key: &DocumentKey, mark: u64) -> Result<(), Reason> {
        let key = key.clone();
        self.finish_in_time(move |core| async move {
            let which = Which::Named(key);
            let lifted = amend(&core, &which, |document| {
                (document.mark() == Some(mark))
                    .then(|| Document { doubt: None, ..document.clone() })
            });
            lifted.await.map(|_| ()).map_err(|failure| core.reason("lift", &failure))
        })
        .await
    }

    /// The app has been found to have the bytes of this document. Nothing happens if there are others by now, or another
    /// doubt.
    pub(crate) async fn settle(
        &self,
        found: &Document,
        validators: Validators,
    ) -> Result<(), Reason> {
        let found = found.clone();
        self.finish_in_time(move |core| async move {
            let which = Which::Known(found.id);
            let unconfirmed = amend_with_jobs(&core, &which, |document| {
                let now =
                    Document { doubt: None, validators: validators.clone(), ..document.clone() };
                document.is_same_version(&found).then_some(Change { to: Some(now), drops: true })
            });
            let settled = unconfirmed.await.map_err(|failure| core.reason("settle", &failure))?;
            if settled {
                found.names.iter().for_each(|name| core.writes.is_marked(name));
                core.settled.notify_waiters();
            }
            Ok(())
        })
        .await
    }

    /// Keeps validators that a reply about the same bytes had, in the background.
    pub(crate) fn learn(&self, found: &Mapping, validators: Validators) {
        let found = found.clone();
        let core = self.shared.core.clone();
        self.shared.background.spawn(async move {
            let which = Which::Known(found.id);
            let learnt = amend(&core, &which, |document| {
                let now = Document { validators: validators.clone(), ..document.clone() };
                document.is_same_version(&found).then_some(now)
            });
            if let Err(error) = learnt.await {
                tracing::debug!(document = %found.key, %error, "its validators could not be kept");
            }
        });
    }

    /// Gives up bytes that the app turned out not to have accepted. A known document stays in doubt.
    pub(crate) async fn withdraw(&self, job: JobId) -> Result<(), Reason> {
        self.finish_in_time(move |core| async move {
            let withdrawn = async {
                match find_job(&*core.store, job).await? {
                    Some(job) => withdraw(&core, &job).await,
                    None => Ok(()),
                }
            };
            withdrawn.await.map_err(|failure| core.reason("withdraw", &failure))
        })
        .await
    }
}

pub(super) async fn withdraw(core: &Core, job: &Job) -> Result<(), Failure> {
    let which = Which::Known(job.document);
    let withdrawn = amend_with_jobs(core, &which, |document| {
        if document.unconfirmed_job() != Some(job.id) {
            return None;
        }
        let to = document.doubt.clone().map(|doubt| Document {
            doubt: Some(Doubt { unconfirmed: None, ..doubt }),
            ..document.clone()
        });
        Some(Change { to, drops: true })
    });
    withdrawn.await.map(|_| ())
}

impl WriteUnderWay {
    /// What a capture has to know of the request that brought it. `source`: the app can be asked for the bytes,
    /// so that a write that was given up a moment ago, and may still reach the app's disk, is no reason to
    /// show nothing for good.
    pub(crate) fn circumstances(&self, source: bool) -> Circumstances {
        let now = self.shared.core.clock.now();
        let lingers =
            |named: &Named| named.before.is_some_and(|before| source && before.lingers(now));
        Circumstances {
            began: Some(self.began),
            named: self.named.iter().map(|named| named.key.clone()).collect(),
            lingering: self.named.iter().filter(|n| lingers(n)).map(|n| n.key.clone()).collect(),
            sole: self
                .named
                .iter()
                .filter(|n| n.before.is_none())
                .map(|n| (n.key.clone(), n.mark))
                .collect(),
            ..Circumstances::default()
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &DocumentKey> {
        self.named.iter().map(|named| &named.key)
    }

    pub(crate) fn names(&self, key: &DocumentKey) -> bool {
        self.named.iter().any(|named| named.key == *key)
    }

    pub(crate) fn names_in_head(&self, key: &DocumentKey) -> bool {
        self.named.iter().any(|named| named.key == *key && !named.in_body)
    }

    /// Takes over what the body of the same request named.
    pub(crate) fn join(&mut self, mut in_body: Self) {
        let named = std::mem::take(&mut in_body.named).into_iter();
        self.named.extend(named.map(|named| Named { in_body: true, ..named }));
    }

    /// The request has come to its end at the app, whatever it did there. Goes on in the background.
    pub(crate) fn ended(&self) {
        for named in self.named.iter().filter(|named| named.is_known) {
            let (core, which, mark) = (self.shared.core.clone(), named.which(), named.mark);
            self.shared.background.spawn(async move {
                let ended = amend(&core, &which, |document| {
                    let doubt = document.doubt.clone().filter(|doubt| doubt.mark == mark)?;
                    let doubt = Some(Doubt { open: false, ..doubt });
                    Some(Document { doubt, ..document.clone() })
                });
                if let Err(error) = ended.await {
                    tracing::debug!(document = %which, %error, "the end of a write could not be kept");
                }
            });
        }
    }

    /// Whether some document that Transom knows is in doubt because of it.
    pub(crate) fn has_known(&self) -> bool {
        self.known().next().is_some()
    }

    /// The documents among them that Transom knows.
    pub(crate) fn known(&self) -> impl Iterator<Item = &DocumentKey> {
        self.named.iter().filter(|named| named.is_known).map(|named| &named.key)
    }

    /// The app has changed nothing: what was in doubt because of this request alone no longer is. Goes on in the
    /// background.
    pub(crate) fn refused(&self) {
        self.refused_for(|_| true);
    }

    /// The same for these documents alone.
    pub(crate) fn refused_for(&self, is_unchanged: impl Fn(&DocumentKey) -> bool) {
        for named in self.named.iter().filter(|named| is_unchanged(&named.key)) {
            let core = self.shared.core.clone();
            if named.before.is_some() || core.writes.overlap(&named.key, true) {
                continue;
            }
            let (which, mark, marked) = (named.which(), named.mark, named.marked.clone());
            core.writes.is_void(mark, true);
            self.shared.background.spawn(async move {
                if let Some(mut marked) = marked {
                    // One that was given up is not made either.
                    let _ = marked.wait_for(|made| *made).await;
                }
                let lifted = amend(&core, &which, |document| {
                    let own = document.doubt.as_ref().is_some_and(|doubt| doubt.mark == mark);
                    own.then(|| Document { doubt: None, ..document.clone() })
                });
                if let Err(error) = lifted.await {
                    tracing::warn!(document = %which, %error, "a document stays in doubt");
                }
                core.writes.is_void(mark, false);
            });
        }
    }
}

impl Drop for WriteUnderWay {
    fn drop(&mut self) {
        for named in &self.named {
            self.shared.core.writes.end(&named.key);
        }
    }
}

impl std::fmt::Debug for WriteUnderWay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteUnderWay").field("began", &self.began).finish_non_exhaustive()
    }
}

/// What is known of captured bytes beside them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circumstances {
    /// When their request began; `None` for bytes that Transom fetched.
    began: Option<JobId>,
    /// The documents that the request named; those that an earlier write may still change; and those that were in no
    /// doubt before, with the mark of this request.
    named: Vec<DocumentKey>,
    lingering: Vec<DocumentKey>,
    sole: Vec<(DocumentKey, u64)>,
    pub(super) validators: Validators,
    seen: Option<u64>,
    unsettled: bool,
}

impl Circumstances {
    /// Of bytes that the app was found to have. `seen`: the mark of the document before it was looked at. `settles`:
    /// no write was under way then.
    pub(crate) fn fetched(validators: Validators, seen: Option<u64>, settles: bool) -> Self {
        Self { validators, seen, unsettled: !settles, ..Self::default() }
    }

    pub(crate) fn with(self, validators: Validators) -> Self {
        Self { validators, ..self }
    }

    #[cfg(test)]
    pub(super) fn of_upload() -> Self {
        Self { began: Some(JobId(0)), ..Self::default() }
    }

    /// Of bytes that nothing but a request brought.
    pub(super) fn are_of_upload(&self) -> bool {
        self.began.is_some()
    }

    /// Whether the document was put in doubt by something else than the upload of this job, after the app was looked
    /// at.
    pub(super) fn is_foreign(&self, document: &Document, job: JobId) -> bool {
        document.mark().is_some_and(|mark| mark != job.0 && self.seen != Some(mark))
    }

    /// The mark of this request, where the document was in no doubt before.
    pub(super) fn sole_mark(&self, key: &DocumentKey) -> Option<u64> {
        self.sole.iter().find(|(sole, _)| sole == key).map(|(_, mark)| *mark)
    }

    /// Whether the app may have ended on other bytes, by a write at the same time.
    pub(super) fn leave_doubt(
        &self,
        core: &Core,
        key: &DocumentKey,
        before: Option<&Document>,
    ) -> bool {
        let captured = before.map(|document| document.captured_by).zip(self.began);
        // By another of its names.
        let elsewhere = |document: &Document| {
            document.names.iter().any(|name| name != key && core.writes.are_under_way(name))
        };
        self.unsettled
            || self.lingering.contains(key)
            || core.writes.overlap(key, self.named.contains(key))
            || before.is_some_and(elsewhere)
            || captured.is_some_and(|(captured, began)| captured > began)
    }
}

impl Named {
    fn new(key: DocumentKey, mark: u64) -> Self {
        Self {
            key,
            document: None,
            mark,
            is_known: true,
            in_body: false,
            before: None,
            marked: None,
        }
    }

    /// The document itself where it is known: it may have been renamed since.
    fn which(&self) -> Which {
        self.document.map_or_else(|| Which::Named(self.key.clone()), Which::Known)
    }
}

/// The document that is to be changed.
enum Which {
    Named(DocumentKey),
    Known(DocId),
}

impl Which {
    async fn find(&self, core: &Core) -> Result<Option<Document>, StoreError> {
        Ok(match self {
            Self::Named(key) => core.store.get(key).await?.map(|found| found.document.clone()),
            Self::Known(id) => core.store.document(*id).await?.map(Arc::unwrap_or_clone),
        })
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(key) => key.fmt(f),
            Self::Known(id) => id.fmt(f),
        }
    }
}

/// What becomes of a document.
struct Change {
    /// `None`: it goes.
    to: Option<Document>,
    /// The bytes that waited for a look go too.
    drops: bool,
}

/// Writes what `to` makes of the document. Whether there was something to write.
async fn amend(
    core: &Core,
    which: &Which,
    mut to: impl FnMut(&Document) -> Option<Document>,
) -> Result<bool, Failure> {
    amend_with_jobs(core, which, |document| {
        to(document).map(|to| Change { to: Some(to), drops: false })
    })
    .await
}

async fn amend_with_jobs(
    core: &Core,
    which: &Which,
    mut change: impl FnMut(&Document) -> Option<Change>,
) -> Result<bool, Failure> {
    for _ in 0..MAX_CONFLICTS {
        let Some(document) = which.find(core).await? else { return Ok(false) };
        let Some(Change { to, drops }) = change(&document) else { return Ok(false) };
        let mut batch = Batch::default();
        let mut files = Vec::new();
        batch.expect.push((document.id, Some(document.revision)));
        match to {
            Some(to) => batch.put.push(to),
            None => batch.remove.push(document.id),
        }
        if let Some(id) = document.unconfirmed_job().filter(|_| drops)
            && let Some(job) = find_job(&*core.store, id).await?
        {
            files.extend(job.spool().map(str::to_owned));
            batch.remove_jobs.push(id);
        }
        if core.store.apply(batch).await? == Applied::Done {
            core.remove_files(files).await;
            return Ok(true);
        }
    }
    Err(Failure::Contended)
}

impl Before {
    fn lingers(self, now: u64) -> bool {
        self.open && now.saturating_sub(self.since) < LINGERS
    }
}

/// For how long a write whose end was not seen may still be at work in the app, in milliseconds.
const LINGERS: u64 = 60_000;
/// Documents of one request that are followed. No ordinary one names so many.
const MAX_NAMED: usize = 32;
/// The longest that a request waits for the mark of its documents.
const MARK_AT_MOST: Duration = Duration::from_secs(1);
