//! What the request path and the worker share.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;

use super::belongings::{Belongings, SameBytes};
use super::clock::Clock;
use super::hints::Hints;
use super::intake::Failure;
use super::kinds;
use super::patience::MAX_WAITING;
use super::pause::{PAUSED, Pause};
use super::refusals::Refusals;
use super::remote::Files;
use super::unsettled::Unsettled;
use super::writes::Writes;
use crate::backend::Current;
use crate::events::{Event, Events, JobEvent, JobRef, Origin, StoreNeed};
use crate::reason::Reason;
use crate::store::{DocumentStore, Job, Progress};

pub(super) struct Core {
    pub(super) store: Arc<dyn DocumentStore>,
    pub(super) files: Arc<dyn Files>,
    pub(super) backend: Arc<Current>,
    pub(super) events: Events,
    pub(super) clock: Clock,
    pub(super) hints: Hints,
    pub(super) writes: Writes,
    pub(super) belongings: Belongings,
    pub(super) same_bytes: SameBytes,
    pub(super) unsettled: Unsettled,
    /// Whether an operator has stopped deliveries.
    pub(super) pause: Pause,
    pub(super) refusals: Refusals,
    /// Told whenever a mapping may have stopped being pending.
    pub(super) settled: Notify,
    /// Places for steps that wait for the store.
    pub(super) waiting: Semaphore,
}

impl Core {
    pub(super) fn new(
        store: Arc<dyn DocumentStore>,
        files: Arc<dyn Files>,
        backend: Arc<Current>,
        events: Events,
        clock: Clock,
    ) -> Self {
        let pause = Pause::at(files.path(PAUSED));
        Self {
            store,
            files,
            backend,
            events,
            clock,
            hints: Hints::default(),
            writes: Writes::default(),
            pause,
            belongings: Belongings::default(),
            same_bytes: SameBytes::default(),
            unsettled: Unsettled::default(),
            refusals: Refusals::default(),
            settled: Notify::new(),
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        self.events.tell(event, &Origin::default());
    }

    pub(super) fn tell_of(&self, job: &Job, what: JobEvent<'_>) {
        let kind = kinds::of(job).name();
        let job = JobRef { id: job.id.0, kind, document: job.key(), attempts: job.attempts };
        self.tell(&Event::Job { job, what });
    }

    /// These rest in the journal by now; those among them that are due are tried soon.
    pub(super) fn queued(&self, jobs: &[Job]) {
        let due = jobs.iter().filter(|job| matches!(job.progress, Progress::Due { .. }));
        due.clone().for_each(|job| self.tell_of(job, JobEvent::Queued));
        self.hints.offer(due);
    }

    /// The reason why this step was not written.
    pub(super) fn reason(&self, step: &'static str, failure: &Failure) -> Reason {
        let reason = failure.reason();
        if reason == Reason::StoreUnavailable {
            self.tell(&Event::StoreFailed { need: StoreNeed::Step(step), error: failure });
        }
        reason
    }

    /// Removes spool files that no job needs any more. One that stays is swept at the next start.
    pub(super) async fn remove_files(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        let files = Arc::clone(&self.files);
        let removing = spawn_blocking(move || {
            for name in names {
                if let Err(error) = files.remove(&name) {
                    tracing::warn!(%error, file = name, "a spool file could not be removed");
                }
            }
        });
        // Fails only when the runtime is going down.
        let _ = removing.await;
    }
}
