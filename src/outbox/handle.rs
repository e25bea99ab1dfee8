//! The outbox, as a service shows it to its operators.

use std::fmt;
use std::sync::Arc;

use super::core::Core;
use super::worker::count;
use super::{Outbox, OutboxError, parked};
use crate::store::{Job, JobId, StoreError};
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
        let (mut figures, mut after) = (OutboxFigures::default(), None);
        loop {
            let page = core.store.jobs(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(figures) };
            after = Some(last.id);
            let now = core.clock.now();
            page.iter().for_each(|job| count(&mut figures, job, now));
        }
    }

    /// Up to `limit` jobs after `after`, the oldest first. Those whose progress is
    /// [`Parked`](crate::store::Progress::Parked) wait for [`retry`](Self::retry) or [`discard`](Self::discard).
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.outbox.shared.core.store.jobs(after, limit).await
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
            core.hints.offer(&discarded.removal);
            core.remove_files(discarded.file.into_iter().collect()).await;
            core.settled.notify_waiters();
            Ok(())
        })
        .await
    }

    /// To its end, also where the caller goes away.
    async fn decide<F>(&self, decision: impl FnOnce(Arc<Core>) -> F) -> Result<(), OutboxError>
    where
        F: Future<Output = Result<(), OutboxError>> + Send + 'static,
    {
        let shared = &self.outbox.shared;
        let task = shared.background.spawn(decision(Arc::clone(&shared.core)));
        let interrupted = |_| StoreError::Stopped("the runtime of Transom has ended".to_owned());
        task.await.map_err(interrupted)?
    }
}

impl fmt::Debug for OutboxHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxHandle").finish_non_exhaustive()
    }
}

const PAGE: usize = 256;
