//! Gets what the journal holds to DWS, however long it takes, once.
//!
//! `intake` writes the journal for the request path; `worker` picks what is due, `attempt` claims it, `kinds` ask
//! DWS, `conclude` writes down what became of it. `recover` deals with what a crash left.
//!
//! What happens to a job or a document is told as an event. A line that is logged here is about the machinery: a file
//! that stays, a task that broke off.

mod attempt;
mod belongings;
mod bind;
mod breaker;
mod clock;
mod conclude;
mod core;
mod doubt;
mod handle;
mod hints;
mod intake;
mod kinds;
mod lane;
mod line;
mod parked;
mod patience;
mod pause;
mod reconcile;
mod recover;
mod refusals;
mod remote;
mod schedule;
mod settlement;
#[cfg(test)]
mod tests;
mod token_bucket;
mod unconfirmed;
mod unsettled;
mod verdict;
mod worker;
mod writes;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

#[cfg(feature = "cli")]
pub(crate) use self::bind::bind;
use self::clock::Clock;
use self::core::Core;
pub(crate) use self::doubt::{Circumstances, WriteUnderWay};
pub use self::handle::OutboxHandle;
#[cfg(feature = "cli")]
pub(crate) use self::handle::figures;
use self::intake::Kept;
pub(crate) use self::intake::Known;
#[cfg(feature = "cli")]
pub(crate) use self::intake::forget;
#[cfg(not(feature = "cli"))]
use self::intake::forget;
pub(crate) use self::line::JobLine;
pub use self::parked::OutboxError;
#[cfg(feature = "cli")]
pub(crate) use self::parked::{discard, retry};
use self::patience::{ANSWER_AT_MOST, Patience};
#[cfg(feature = "cli")]
pub(crate) use self::pause::{PAUSED, Pause};
#[cfg(feature = "cli")]
pub(crate) use self::reconcile::Finding;
#[cfg(feature = "cli")]
pub(crate) use self::reconcile::reconcile;
use self::remote::Files;
pub(crate) use self::unconfirmed::Proposal;
use self::worker::Worker;
use crate::backend::Current;
use crate::document::DocumentKey;
use crate::events::{Event, Events, StoreNeed};
use crate::reason::{Because, Reason};
use crate::spool::{Spool, SpooledFile};
use crate::store::{
    DocumentState, DocumentStore, Job, JobId, Mapping, Progress, Provenance, find_job,
};

/// The journal's face to the request path, and its worker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    core: Arc<Core>,
    stop: watch::Sender<bool>,
    worker: Mutex<Option<JoinHandle<()>>>,
    /// Where work of requests goes on that must not end with them.
    background: Handle,
}

impl Outbox {
    /// Takes up what a crash left unclear, sweeps the spool, and starts the worker on the current
    /// runtime. Nothing may be spooled before this resolves: the sweep would take it. If the store is away, the worker does
    /// as much when it is there, and leaves what was spooled since.
    pub(crate) async fn start(
        store: Arc<dyn DocumentStore>,
        spool: Spool,
        backend: Arc<Current>,
        events: Events,
    ) -> Self {
        Self::start_with(store, Arc::new(spool), backend, events, Clock::start()).await
    }

    async fn start_with(
        store: Arc<dyn DocumentStore>,
        files: Arc<dyn Files>,
        backend: Arc<Current>,
        events: Events,
        clock: Clock,
    ) -> Self {
        let core = Arc::new(Core::new(store, files, backend, events, clock));
        let recovered = recover::recover(&core, false).await;
        if let Err(error) = &recovered {
            core.tell(&Event::StoreFailed { need: StoreNeed::Reading, error });
        }
        let (stop, mut stopped) = watch::channel(false);
        let worker = tokio::spawn({
            let core = Arc::clone(&core);
            async move {
                if recovered.is_err() {
                    tokio::select! {
                        () = recover::recover_late(&core) => {}
                        _ = stopped.wait_for(|stopped| *stopped) => return,
                    }
                }
                let looking = Arc::clone(&core);
                tokio::select! {
                    () = Worker::new(core).run(stopped) => {}
                    () = reconcile::now_and_then(&looking) => {}
                }
            }
        });
        let worker = Mutex::new(Some(worker));
        Self { shared: Arc::new(Shared { core, stop, worker, background: Handle::current() }) }
    }

    /// Makes captured files durable, all of them in one batch or none: mappings pending, jobs due.
    /// `known` says which documents may be among them, `by` what else is known of them. When this resolves with `Ok`, power loss
    /// loses nothing.
    ///
    /// Returns `captured` or `replaced` per document, or `superseded` for a file that a later one
    /// replaces. A caller that goes away does not interrupt it. An upload is not given up because the store is away: this
    /// resolves when it is back.
    pub(crate) async fn capture(
        &self,
        files: Vec<(DocumentKey, SpooledFile)>,
        provenance: Provenance,
        known: Known,
        by: Circumstances,
    ) -> Result<Vec<Reason>, Reason> {
        let is_upload = by.are_of_upload();
        let capture = move |core: Arc<Core>| async move {
            let kept = keep(&core, files, &provenance).await?;
            intake::capture(&core, kept, known, &by).await
        };
        // What Transom fetched it can fetch again.
        if is_upload { self.finish(capture).await } else { self.finish_in_time(capture).await }
    }

    /// The app deleted these: names go, with the last one the document, and removals of their DWS documents rest in the journal.
    /// `prefix`: and every id that starts with `id + "/"`.
    ///
    /// Returns how many names went. A caller that goes away does not interrupt it.
    pub(crate) async fn delete(&self, key: &DocumentKey, prefix: bool) -> Result<usize, Reason> {
        let key = key.clone();
        self.finish(move |core| async move { delete(&core, key, prefix).await }).await
    }

    /// The document of this name as it is now, if that can be told without asking anybody.
    pub(crate) fn known(&self, key: &DocumentKey) -> Option<Arc<Mapping>> {
        self.shared.core.store.known(key)
    }

    /// The document of this name as it is now.
    pub(crate) async fn mapping(&self, key: &DocumentKey) -> Result<Option<Arc<Mapping>>, Reason> {
        if let Some(known) = self.known(key) {
            return Ok(Some(known));
        }
        let mapping = self.shared.core.store.get(key).await;
        mapping.map_err(|error| self.shared.core.reason("mapping", &error.into()))
    }

    /// DWS no longer has this document.
    pub(crate) async fn lost(&self, key: &DocumentKey, document_id: String) -> Result<(), Reason> {
        let ready = DocumentState::Ready { document_id: document_id.clone() };
        let lost = DocumentState::Lost { document_id: document_id.clone() };
        if self.turn(key, ready, lost).await? {
            let (document, document_id) = (key, document_id.as_str());
            self.shared.core.tell(&Event::DocumentLost { document, document_id });
        }
        Ok(())
    }

    /// DWS has this document after all.
    pub(crate) async fn found(&self, key: &DocumentKey, document_id: String) -> Result<(), Reason> {
        let lost = DocumentState::Lost { document_id: document_id.clone() };
        let ready = DocumentState::Ready { document_id: document_id.clone() };
        if self.turn(key, lost, ready).await? {
            let (document, document_id) = (key, document_id.as_str());
            self.shared.core.tell(&Event::DocumentFound { document, document_id });
        }
        Ok(())
    }

    async fn turn(
        &self,
        key: &DocumentKey,
        from: DocumentState,
        to: DocumentState,
    ) -> Result<bool, Reason> {
        let key = key.clone();
        self.finish_in_time(move |core| async move {
            let turned = intake::turn(&core, &key, &from, &to).await;
            turned.map_err(|failure| core.reason("turn", &failure))
        })
        .await
    }

    /// The job that this document waits for, if that waits for an operator.
    pub(crate) async fn parked(&self, mapping: &Mapping) -> Result<Option<JobId>, Reason> {
        let Some(id) = mapping.pending_job() else { return Ok(None) };
        let job = find_job(&*self.shared.core.store, id).await;
        let job = job.map_err(|error| self.shared.core.reason("parked", &error.into()))?;
        let is_parked = |job: &Job| matches!(job.progress, Progress::Parked { .. });
        Ok(job.filter(is_parked).map(|job| job.id))
    }

    /// The document, waiting up to `wait` for one that is pending to become ready or refused.
    pub(crate) async fn settled(
        &self,
        key: &DocumentKey,
        wait: Duration,
    ) -> Result<Option<Arc<Mapping>>, Reason> {
        let core = &self.shared.core;
        let deadline = Instant::now() + wait;
        let mut preferred = None;
        loop {
            let mut told = std::pin::pin!(core.settled.notified());
            // From here on nothing is missed.
            told.as_mut().enable();
            let mapping = self.mapping(key).await?;
            let job = mapping.as_ref().and_then(|found| found.pending_job());
            if let Some(id) = job.filter(|_| job != preferred) {
                preferred = job;
                let due = find_job(&*core.store, id).await.ok().flatten();
                let due = due.filter(|due| matches!(due.progress, Progress::Due { .. }));
                due.iter().for_each(|due| core.hints.prefer(due));
            }
            if job.is_none() || timeout_at(deadline, told).await.is_err() {
                return Ok(mapping);
            }
        }
    }

    /// DWS is another one, or another key opens it: what failed before is tried again at once.
    pub(crate) fn begin_anew(&self) {
        self.shared.core.hints.begin_anew();
    }

    /// Stops taking new jobs and waits for the running ones until `within`. Uploads that are cut
    /// off then are found as unclear at the next start.
    pub(crate) async fn stop(&self, within: Duration) {
        self.shared.stop.send_replace(true);
        let worker = self.shared.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut worker) = worker
            && timeout(within, &mut worker).await.is_err()
        {
            worker.abort();
            tracing::warn!("deliveries under way were cut off by the end of the drain");
        }
    }

    /// Whether an operator has stopped deliveries.
    pub(crate) fn is_paused(&self) -> bool {
        self.shared.core.pause.is_on()
    }

    /// Whether [`stop`](Self::stop) was called.
    pub(crate) fn is_stopped(&self) -> bool {
        *self.shared.stop.borrow()
    }

    /// Done when [`stop`](Self::stop) is called.
    pub(crate) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.shared.stop.subscribe();
        // An outbox that is gone has stopped, too.
        async move { _ = stop.wait_for(|stopped| *stopped).await }
    }

    /// The same for a caller that can do without: it goes on by itself then.
    async fn finish_in_time<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<T, Reason>
    where
        F: Future<Output = Result<T, Reason>> + Send + 'static,
    {
        timeout(ANSWER_AT_MOST, self.finish(work)).await.unwrap_or(Err(Reason::StoreUnavailable))
    }

    /// To its end, also where the caller goes away.
    async fn finish<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<T, Reason>
    where
        F: Future<Output = Result<T, Reason>> + Send + 'static,
    {
        let task = self.shared.background.spawn(work(Arc::clone(&self.shared.core)));
        task.await.because(Reason::StoreUnavailable, "a change of the journal")?
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            worker.abort();
        }
    }
}

/// Makes the files durable, all or none.
async fn keep(
    core: &Core,
    files: Vec<(DocumentKey, SpooledFile)>,
    provenance: &Provenance,
) -> Result<Vec<Kept>, Reason> {
    let mut kept: Vec<Kept> = Vec::with_capacity(files.len());
    for (key, file) in files {
        let (title, content_type, size) =
            (file.title.clone(), file.content_type.clone(), file.size);
        let sha256 = hex(&file.sha256);
        match file.keep().await {
            Ok(spool) => {
                let provenance = provenance.clone();
                kept.push(Kept { key, spool, title, content_type, size, sha256, provenance });
            }
            Err(error) => {
                tracing::error!(code = %Reason::SpoolFailed, document = %key, %error, "a captured file can't be made durable");
                core.remove_files(kept.into_iter().map(|file| file.spool).collect()).await;
                return Err(Reason::SpoolFailed);
            }
        }
    }
    Ok(kept)
}

async fn delete(core: &Core, key: DocumentKey, prefix: bool) -> Result<usize, Reason> {
    let mut count = delete_page(core, std::slice::from_ref(&key)).await?;
    // Too long an id to have others below it is no folder.
    let folder = key.sibling(format!("{}/", key.id())).ok().filter(|_| prefix);
    let Some(folder) = folder else { return Ok(count) };
    count += delete_page(core, std::slice::from_ref(&folder)).await?;
    let mut after = folder.clone();
    loop {
        let page = core.store.list(Some(&after), PAGE).await;
        let page = page.map_err(|error| core.reason("delete", &error.into()))?;
        let below =
            page.into_iter().map(|mapping| mapping.key).take_while(|key| key.is_below(&folder));
        let below: Vec<_> = below.collect();
        let Some(last) = below.last() else { return Ok(count) };
        after = last.clone();
        count += delete_page(core, &below).await?;
    }
}

async fn delete_page(core: &Core, keys: &[DocumentKey]) -> Result<usize, Reason> {
    let mut patience = Patience::new(core, "delete");
    let forgotten = loop {
        match forget(&*core.store, keys, true, core.clock.now()).await {
            Ok(forgotten) => break forgotten,
            Err(failure) => {
                let outlasted = patience.outlast(failure).await;
                outlasted.map_err(|failure| core.reason("delete", &failure))?;
            }
        }
    };
    core.queued(&forgotten.removals);
    core.remove_files(forgotten.files).await;
    core.settled.notify_waiters();
    Ok(forgotten.names)
}

/// Two digits for each byte, as mappings keep hashes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Names that are deleted in one batch.
const PAGE: usize = 100;
