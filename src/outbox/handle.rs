//! The outbox, as a service shows it to its operators.

use std::fmt;
use std::sync::Arc;

use super::bind::bind;
use super::core::Core;
use super::intake::{Failure, forget};
use super::parked::{Discarded, find_parked};
use super::reconcile::{self, Finding};
use super::worker::count;
use super::{Outbox, OutboxError, parked};
use crate::document::DocumentKey;
use crate::events::{Event, JobEvent};
use crate::reason::Reason;
use crate::store::{DocumentStore, Job, JobId, StoreError, find_job};
use crate::telemetry::OutboxFigures;

/// What is still to be delivered, and what waits for an operator: `transom outbox` for a service that is running. From
/// [`Transom::outbox`](crate::Transom::outbox). Cheap to clone.
#[derive(Clone)]
pub struct OutboxHandle {
    outbox: Outbox,
}

impl OutboxHandle {
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { outbox }
    }

    /// How many jobs there are, by state. Reads the whole journal; the same figures are in
    /// [`render_metrics`](crate::Transom::render_metrics), at most 15 s old and for nothing.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn figures(&self) -> Result<OutboxFigures, StoreError> {
        let core = &self.outbox.shared.core;
        figures(&*core.store, core.clock.now()).await
    }

    /// Up to `limit` jobs after `after`, the oldest first. Those whose progress is
    /// [`Parked`](crate::store::Progress::Parked) wait for [`retry`](Self::retry) or [`discard`](Self::discard).
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.outbox.shared.core.store.jobs(after, limit).await
    }

    /// One job.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn job(&self, job: JobId) -> Result<Option<Job>, StoreError> {
        find_job(&*self.outbox.shared.core.store, job).await
    }

    /// Sends a parked upload again, at once. Look first that DWS does not have it: it may be there twice otherwise.
    ///
    /// # Errors
    /// It is not parked, or something else was decided meanwhile.
    pub async fn retry(&self, job: JobId) -> Result<(), OutboxError> {
        self.decide(move |core| async move {
            let due = parked::retry(&*core.store, job, core.clock.now()).await?;
            core.hints.offer([&due]);
            Ok(())
        })
        .await
    }

    /// Gives a parked upload up: the document that waits for it is forgotten, and what it would have replaced at DWS is
    /// removed there.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn discard(&self, job: JobId) -> Result<(), OutboxError> {
        self.decide(move |core| async move {
            let discarded = parked::discard(&*core.store, job, core.clock.now()).await?;
            clear_up(&core, discarded).await;
            Ok(())
        })
        .await
    }

    /// Compares what DWS has with what is known of it; see [`reconcile`](super::reconcile::reconcile).
    pub(crate) async fn settle(&self, dry_run: bool) -> Result<Vec<Finding>, OutboxError> {
        self.decide(move |core| async move { reconcile::run(&core, dry_run).await }).await
    }

    /// Takes `document_id` at DWS for what a parked upload has stored: the document is ready, and what it replaces is
    /// removed there.
    ///
    /// # Errors
    /// As [`retry`](Self::retry); DWS has no such document or can't be asked now, or it belongs to another document.
    pub async fn bind(&self, job: JobId, document_id: &str) -> Result<(), OutboxError> {
        let document_id = document_id.to_owned();
        self.decide(move |core| async move {
            let found = find_parked(&*core.store, job).await?;
            match core.backend.get().has_lost(&document_id).await {
                Ok(false) => {}
                Ok(true) => return Err(OutboxError::NoDocument(document_id)),
                Err(error) => return Err(OutboxError::Backend(error.detail)),
            }
            core.belongings.note(&document_id);
            let bound = bind(&*core.store, job, &document_id, core.clock.now()).await?;
            clear_up(&core, bound).await;
            let (reason, document_id) = (Reason::Delivered, document_id.as_str());
            core.tell_of(&found, JobEvent::Done { reason, document_id });
            Ok(())
        })
        .await
    }

    /// Makes no new attempts until [`resume`](Self::resume), across restarts too. Those under way come to their end, and
    /// captures go on.
    ///
    /// # Errors
    /// A restart would end it.
    pub async fn pause(&self) -> Result<(), OutboxError> {
        self.set_paused(true).await
    }

    /// Ends a [`pause`](Self::pause).
    ///
    /// # Errors
    /// A restart would bring it back.
    pub async fn resume(&self) -> Result<(), OutboxError> {
        self.set_paused(false).await
    }

    /// Whether no new attempts are made.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.outbox.shared.core.pause.is_on()
    }

    async fn set_paused(&self, paused: bool) -> Result<(), OutboxError> {
        self.decide(move |core| async move {
            let setting = Arc::clone(&core);
            let set = tokio::task::spawn_blocking(move || setting.pause.set(paused)).await;
            core.hints.offer([]);
            tracing::warn!(paused, "an operator has stopped deliveries, or let them go on");
            Ok(set.map_err(std::io::Error::other)??)
        })
        .await
    }

    /// Forgets up to a page of names, and with `remove_documents` has removed at DWS what nothing refers to any more.
    /// Returns how many there were.
    pub(crate) async fn forget(
        &self,
        keys: Vec<DocumentKey>,
        remove_documents: bool,
    ) -> Result<usize, OutboxError> {
        self.decide(move |core| async move {
            let now = core.clock.now();
            let forgotten = forget(&*core.store, &keys, remove_documents, now).await;
            let forgotten = forgotten.map_err(|failure| match failure {
                Failure::Store(error) => OutboxError::Store(error),
                other => OutboxError::Store(StoreError::Io(other.to_string())),
            })?;
            core.queued(&forgotten.removals);
            core.remove_files(forgotten.files).await;
            core.settled.notify_waiters();
            Ok(forgotten.names)
        })
        .await
    }

    /// To its end, also where the caller goes away.
    async fn decide<T: Send + 'static, F>(
        &self,
        decision: impl FnOnce(Arc<Core>) -> F,
    ) -> Result<T, OutboxError>
    where
        F: Future<Output = Result<T, OutboxError>> + Send + 'static,
    {
        let shared = &self.outbox.shared;
        let (decided, core) = (decision(Arc::clone(&shared.core)), Arc::clone(&shared.core));
        let task = shared.background.spawn(async move {
            let decided = decided.await;
            // Otherwise the figures would be those of before until something else changes.
            if decided.is_ok()
                && let Ok(figures) = figures(&*core.store, core.clock.now()).await
            {
                core.tell(&Event::JobsCounted(&figures));
            }
            decided
        });
        let interrupted = |_| StoreError::Stopped("the runtime of Transom has ended".to_owned());
        task.await.map_err(interrupted)?
    }
}

/// How many jobs there are. `now`: in Unix milliseconds.
pub(crate) async fn figures(
    store: &dyn DocumentStore,
    now: u64,
) -> Result<OutboxFigures, StoreError> {
    let (mut figures, mut after) = (OutboxFigures::default(), None);
    loop {
        let page = store.jobs(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(figures) };
        after = Some(last.id);
        page.iter().for_each(|job| count(&mut figures, job, now));
    }
}

async fn clear_up(core: &Core, decided: Discarded) {
    core.hints.offer(&decided.removal);
    core.remove_files(decided.file.into_iter().collect()).await;
    core.settled.notify_waiters();
}

impl fmt::Debug for OutboxHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxHandle").finish_non_exhaustive()
    }
}

const PAGE: usize = 256;
