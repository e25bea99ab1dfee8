use std::time::Duration;

use crate::document::DocumentKey;
use crate::reason::Reason;

/// A job of the outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobRef<'a> {
    pub(crate) id: u64,
    /// `upload`, `remove`.
    pub(crate) kind: &'static str,
    pub(crate) document: &'a DocumentKey,
    pub(crate) attempts: u32,
}

/// What happened to a job of the outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JobEvent<'a> {
    /// It rests in the journal, and is due.
    Queued,
    /// It is not needed any more, and was never sent. `at_its_turn`: that was found when it was about to be.
    Dropped { at_its_turn: bool },
    /// The backend did what was asked of it. `superseded` where the app has other bytes by then.
    Done { reason: Reason, document_id: &'a str },
    /// The backend will never take the document.
    Refused { reason: Reason, detail: &'a str },
    /// An attempt failed; the next is due after this.
    Retried { after: Duration, error: &'a str },
    /// Whether the backend did what was asked of it is not known: it is looked at.
    Unclear { error: &'a str },
    /// It was looked for at the backend, and is certainly not there.
    Absent,
    /// It waits for the operator.
    Parked { reason: Reason, by: ParkedBy<'a> },
    /// Its lease has been taken over, so that the end of this attempt does not count.
    Fenced,
}

/// What parked a job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ParkedBy<'a> {
    /// Its bytes are not in the spool.
    Spool { error: &'a str },
    /// The end of an attempt.
    Attempt { error: &'a str },
}

impl JobEvent<'_> {
    /// As the live feed calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Queued => "job_queued",
            Self::Dropped { .. } => "job_dropped",
            Self::Done { .. } => "job_done",
            Self::Refused { .. } => "job_refused",
            Self::Retried { .. } => "job_retried",
            Self::Unclear { .. } => "job_unclear",
            Self::Absent => "job_absent",
            Self::Parked { .. } => "job_parked",
            Self::Fenced => "job_fenced",
        }
    }

    /// What its delivery has come to; `None` while nothing was decided.
    pub(super) fn reason(self) -> Option<Reason> {
        match self {
            Self::Queued | Self::Fenced | Self::Absent => None,
            Self::Unclear { .. } => Some(Reason::DeliveryUnclear),
            Self::Dropped { .. } => Some(Reason::Superseded),
            Self::Retried { .. } => Some(Reason::DeliveryRetried),
            Self::Done { reason, .. }
            | Self::Refused { reason, .. }
            | Self::Parked { reason, .. } => Some(reason),
        }
    }
}

/// What waits for a store that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoreNeed {
    /// A step of a request, or of what follows from it, was not written.
    Step(&'static str),
    /// An attempt at this job.
    Attempt(u64),
    /// The lease of an attempt at this job.
    Lease(u64),
    /// The end of an attempt.
    Ending,
    /// A look at what is due.
    Reading,
}
