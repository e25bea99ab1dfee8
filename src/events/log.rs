use std::error::Error;

use tracing::{debug, error, info, warn};

use super::{AuditEvent, Event, JobEvent, JobRef, Listener, Origin, ParkedBy, StoreNeed};
use crate::reason::{Reason, Step};

/// The words and the level of each event.
pub(super) struct Logging;

impl Listener for Logging {
    fn hear(&self, event: &Event<'_>, origin: &Origin<'_>) {
        let request_id = || origin.request_id();
        match *event {
            #[cfg(feature = "cli")]
            Event::Refused { reason: code, peer } => {
                info!(%code, ?peer, request_id = request_id(), "request refused");
            }
            Event::Captured { document, bytes, rule, reason: code } => {
                info!(%code, %document, bytes, rule, request_id = request_id(), "captured");
            }
            Event::FileRefused { document, rule, reason: code } => {
                info!(%code, %document, rule, request_id = request_id(), "not captured");
            }
            Event::Confirmed { document, reason: code } => {
                info!(%code, %document, request_id = request_id(), "captured: the app has it");
            }
            Event::Refuted { step, document } => {
                let (code, request_id) = (Reason::NotAccepted, request_id());
                match step {
                    Step::Delete => {
                        info!(%code, %document, request_id, "not deleted: the app does not say that it is gone");
                    }
                    _ => {
                        info!(%code, %document, request_id, "nothing captured: the app does not have it");
                    }
                }
            }
            Event::NotCaptured { reason: code, path, status, doubtful, is_expected, .. } => {
                if is_expected {
                    debug!(%code, path, request_id = request_id(), status, doubtful, "nothing captured");
                } else {
                    warn!(%code, path, request_id = request_id(), status, doubtful, "nothing captured");
                }
            }
            Event::Deleted { document, forgotten } => {
                let code = Reason::Deleted;
                info!(%code, %document, forgotten, request_id = request_id(), "deleted by the app");
            }
            Event::InDoubt { documents, status } => {
                for document in documents {
                    info!(
                        code = %Reason::InDoubt, %document, status, request_id = request_id(),
                        "a request that no rule follows may have changed a document"
                    );
                }
            }
            Event::PassedOn { reason: code, path } => debug!(%code, path, "passed on"),
            Event::SessionDecided { document, reason: code } => {
                let document = document.map(tracing::field::display);
                match code {
                    Reason::SessionGiven => {
                        debug!(%code, document, request_id = request_id(), "session given");
                    }
                    _ => info!(%code, document, request_id = request_id(), "no session"),
                }
            }
            Event::Fetched { document, reason: code } => match code {
                Reason::Captured => info!(%code, %document, "fetched from the app"),
                Reason::Unchanged => {
                    info!(%code, %document, "the app has the bytes that are known");
                }
                Reason::DocumentPending | Reason::Superseded => {
                    info!(%code, %document, "what was fetched is not needed any more");
                }
                _ => warn!(%code, %document, "the app's source gave no document"),
            },
            Event::Job { job, what } => log_job(&job, what),
            Event::DocumentLost { document, document_id } => {
                let code = Reason::DocumentLost;
                warn!(
                    %code, %document, document_id,
                    "DWS no longer has a document; it takes the app's `source` or another upload to view it again"
                );
            }
            Event::DocumentFound { document, document_id } => {
                info!(%document, document_id, "DWS has a document again");
            }
            Event::BreakerOpened { lane, failures, rests } => {
                let rests_ms = rests.as_millis();
                debug!(lane, failures, rests_ms, "a lane rests, since DWS fails");
            }
            Event::BreakerClosed { lane } => debug!(lane, "a lane goes on, since DWS works"),
            Event::Audit(what) => log_audit(what),
            Event::StoreFailed { need, error } => log_store(need, error),
            // Told by what comes of them, or by figures.
            Event::Journalled { .. }
            | Event::AwaitsLook { .. }
            | Event::NotAddressed { .. }
            | Event::JobsCounted(_) => {}
        }
    }
}

fn log_job(job: &JobRef<'_>, what: JobEvent<'_>) {
    let JobRef { id: job, kind, document, attempts } = *job;
    match what {
        JobEvent::Queued => debug!(job, kind, %document, "a delivery is due"),
        // The upload that takes its place is told.
        JobEvent::Dropped { at_its_turn: false } => {}
        JobEvent::Dropped { at_its_turn: true } => {
            info!(code = %Reason::Superseded, job, %document, "an upload became pointless");
        }
        JobEvent::Done { reason: code @ Reason::Removed, document_id } => {
            info!(%code, job, %document, document_id, "removed at DWS");
        }
        JobEvent::Done { reason: code, document_id } => {
            info!(%code, job, %document, attempts, document_id, "an upload ended");
        }
        JobEvent::Refused { reason: code, detail } => {
            error!(%code, job, %document, attempts, detail, "DWS refuses the document");
        }
        JobEvent::Retried { after, error } => {
            let (code, next_try_ms) = (Reason::DeliveryRetried, after.as_millis());
            warn!(%code, job, %document, attempts, next_try_ms, error, "a delivery will be repeated");
        }
        JobEvent::Unclear { error } => {
            let code = Reason::DeliveryUnclear;
            warn!(%code, job, %document, attempts, error, "an upload had no clear end; it is looked for at DWS");
        }
        JobEvent::Absent => {
            info!(job, %document, "an upload without a clear end is not at DWS; it is sent again");
        }
        JobEvent::Parked { reason: code, by } => match by {
            ParkedBy::Spool { error } => {
                error!(%code, job, %document, error, "an upload is parked: its bytes are gone");
            }
            ParkedBy::Attempt { error } => error!(
                %code, job, %document, attempts, error,
                "an upload is parked: see `transom outbox list`"
            ),
        },
        JobEvent::Fenced => warn!(
            job, %document,
            "an attempt took longer than its lease; the job is another owner's by now"
        ),
    }
}

fn log_audit(what: AuditEvent<'_>) {
    match what {
        AuditEvent::Begins { path, seq, seal } => {
            info!(path = %path.display(), seq, seal, "the audit log goes on after this line");
        }
        AuditEvent::Failed { error } => {
            error!(code = %Reason::AuditFailed, "{error}; no session is given until it is put right");
        }
        AuditEvent::Mended { path } => {
            info!(path = %path.display(), "the audit log is written again");
        }
        AuditEvent::Lines { .. } => {}
    }
}

fn log_store(need: StoreNeed, error: &dyn Error) {
    let code = Reason::StoreUnavailable;
    match need {
        StoreNeed::Step(step) => error!(%code, step, %error, "the journal was not written"),
        StoreNeed::Attempt(job) => error!(%code, job, %error, "a delivery waits for the store"),
        StoreNeed::Lease(job) => warn!(%code, job, %error, "a lease could not be renewed"),
        StoreNeed::Ending => error!(%code, %error, "a delivery's end waits for the store"),
        StoreNeed::Reading => error!(%code, %error, "the journal can't be read; deliveries wait"),
    }
}
