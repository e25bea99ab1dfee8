use std::error::Error;
#[cfg(feature = "cli")]
use std::net::SocketAddr;
use std::time::Duration;

use super::{AuditEvent, JobEvent, JobRef, StoreNeed};
use crate::document::DocumentKey;
use crate::reason::{Reason, Step};
use crate::telemetry::OutboxFigures;

/// What happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub(crate) enum Event<'a> {
    /// The app never gets a request, since it could read it differently.
    #[cfg_attr(
        not(feature = "cli"),
        expect(dead_code, reason = "only the proxy reads heads itself")
    )]
    #[cfg(feature = "cli")]
    Refused { reason: Reason, peer: Option<SocketAddr> },
    /// A file of an upload rests in the journal, or gave way to another of the same upload.
    Captured { document: &'a DocumentKey, bytes: u64, rule: &'a str, reason: Reason },
    /// The bytes of a fetch rest in the journal.
    Journalled { bytes: u64 },
    /// An upload or a deletion was written down, and a look at the app decides whether it counts.
    AwaitsLook { step: Step },
    /// The look found that the app has the upload.
    Confirmed { document: &'a DocumentKey, reason: Reason },
    /// The look found that the app did not do it.
    Refuted { step: Step, document: &'a DocumentKey },
    /// One file of an upload is not kept.
    FileRefused { document: &'a DocumentKey, rule: &'a str, reason: Reason },
    /// Nothing is kept of a request that a rule is about. `doubtful`: of documents that it named, it is not known what the
    /// app has now. `is_expected`: an ordinary request, or one that has changed nothing.
    NotCaptured {
        step: Step,
        reason: Reason,
        path: &'a str,
        status: u16,
        doubtful: bool,
        is_expected: bool,
    },
    /// The app deleted a document; `forgotten`: how many with those below it.
    Deleted { document: &'a DocumentKey, forgotten: usize },
    /// A request that no rule follows may have changed documents.
    InDoubt { documents: &'a [&'a DocumentKey], status: u16 },
    /// No rule is followed, since the request can be read in two ways.
    PassedOn { reason: Reason, path: &'a str },
    /// A session was asked for at an address that names no document.
    NotAddressed { reason: Reason },
    /// A view or a request for a session came to its end, with one or without.
    SessionDecided { document: Option<&'a DocumentKey>, reason: Reason },
    /// A fetch from the app came to its end.
    Fetched { document: &'a DocumentKey, reason: Reason },
    /// Something happened to a job of the outbox.
    Job { job: JobRef<'a>, what: JobEvent<'a> },
    /// The backend no longer has a document that it had.
    DocumentLost { document: &'a DocumentKey, document_id: &'a str },
    /// It has it again.
    DocumentFound { document: &'a DocumentKey, document_id: &'a str },
    /// The backend failed `failures` times in a row, so that a lane of the outbox rests.
    BreakerOpened { lane: &'static str, failures: u32, rests: Duration },
    /// The backend works again, as far as a lane can tell.
    BreakerClosed { lane: &'static str },
    /// The jobs of the outbox were counted.
    JobsCounted(&'a OutboxFigures),
    /// Something happened to the audit log.
    Audit(AuditEvent<'a>),
    /// The outbox needs the store, and it failed.
    StoreFailed { need: StoreNeed, error: &'a dyn Error },
}

impl Event<'_> {
    /// As the live feed calls it.
    pub(super) fn name(&self) -> &'static str {
        match *self {
            #[cfg(feature = "cli")]
            Self::Refused { .. } => "refused",
            Self::Captured { .. } => "captured",
            Self::Journalled { .. } => "journalled",
            Self::AwaitsLook { .. } => "awaits_look",
            Self::Confirmed { .. } => "confirmed",
            Self::Refuted { .. } => "refuted",
            Self::FileRefused { .. } => "file_refused",
            Self::NotCaptured { .. } => "not_captured",
            Self::Deleted { .. } => "deleted",
            Self::InDoubt { .. } => "in_doubt",
            Self::PassedOn { .. } => "passed_on",
            Self::NotAddressed { .. } => "not_addressed",
            Self::SessionDecided { .. } => "session_decided",
            Self::Fetched { .. } => "fetched",
            Self::Job { what, .. } => what.name(),
            Self::DocumentLost { .. } => "document_lost",
            Self::DocumentFound { .. } => "document_found",
            Self::BreakerOpened { .. } => "breaker_opened",
            Self::BreakerClosed { .. } => "breaker_closed",
            Self::JobsCounted(_) => "jobs_counted",
            Self::Audit(what) => what.name(),
            Self::StoreFailed { .. } => "store_failed",
        }
    }

    /// The decision that it is, and the step that it is counted at.
    pub(super) fn outcome(&self) -> Option<(Step, Reason)> {
        Some(match *self {
            #[cfg(feature = "cli")]
            Self::Refused { .. } => return None,
            Self::Journalled { .. }
            | Self::NotAddressed { .. }
            | Self::DocumentFound { .. }
            | Self::BreakerOpened { .. }
            | Self::BreakerClosed { .. }
            | Self::JobsCounted(_)
            | Self::Audit(_)
            | Self::StoreFailed { .. } => return None,
            Self::Captured { reason, .. }
            | Self::Confirmed { reason, .. }
            | Self::FileRefused { reason, .. }
            | Self::PassedOn { reason, .. } => (Step::Capture, reason),
            Self::AwaitsLook { step } => (step, Reason::Unconfirmed),
            Self::Refuted { step, .. } => (step, Reason::NotAccepted),
            Self::NotCaptured { step, reason, .. } => (step, reason),
            Self::Deleted { .. } => (Step::Delete, Reason::Deleted),
            Self::InDoubt { .. } => (Step::Capture, Reason::InDoubt),
            Self::SessionDecided { reason, .. } => (Step::Session, reason),
            Self::Fetched { reason, .. } => (Step::Source, reason),
            Self::Job { what, .. } => (Step::Deliver, what.reason()?),
            Self::DocumentLost { .. } => (Step::Deliver, Reason::DocumentLost),
        })
    }

    /// What was decided on the request, as its line in the access log and its trail say it. A fetch is a step on the way
    /// to that, and a delivery has no request.
    pub(crate) fn decision(&self) -> Option<Reason> {
        match *self {
            #[cfg(feature = "cli")]
            Self::Refused { reason, .. } => Some(reason),
            Self::NotAddressed { reason } => Some(reason),
            Self::Fetched { .. } | Self::Job { .. } | Self::DocumentLost { .. } => None,
            _ => self.outcome().map(|(_, reason)| reason),
        }
    }

    /// Bytes that rest in the journal since.
    pub(super) fn journalled(&self) -> Option<u64> {
        match *self {
            Self::Captured { bytes, .. } | Self::Journalled { bytes } => Some(bytes),
            _ => None,
        }
    }
}
