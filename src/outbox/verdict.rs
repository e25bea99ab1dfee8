//! What the end of an attempt means for its job.

use super::schedule::Pace;
use crate::backend::BackendErrorKind;
use crate::reason::Reason;

/// What is to be done with a job whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// DWS certainly has not done it: again later.
    Retry(Pace),
    /// DWS may have done it: it is looked for.
    Settle,
    /// Waits for the operator.
    Park(Reason),
    /// DWS will never take it.
    Refuse,
    /// What was to be done is done.
    Done,
}

/// Whether the next job of the same lane would most likely end the same way, so that it had better
/// wait too. An unclear end counts: an outage must not park a whole backlog.
pub(super) fn blames_backend(kind: BackendErrorKind) -> bool {
    !matches!(kind, BackendErrorKind::Refused | BackendErrorKind::File)
}
