//! What the end of an attempt means for its job.

use std::time::Duration;

use super::schedule::Pace;
use crate::backend::{BackendError, BackendErrorKind};
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

/// Whether a question that costs little may tell earlier than another attempt that the backend works again.
pub(super) fn may_be_probed(error: &BackendError) -> bool {
    // When it is to be asked again, it may say itself.
    is_away(error.kind) && error.retry_after.is_none_or(|wait| wait <= PROBE_EVERY)
}

/// Whether a question that ends so tells of a backend that serves nobody.
pub(super) fn is_away(kind: BackendErrorKind) -> bool {
    use BackendErrorKind::{Busy, Gateway, Overloaded, RateLimited, Unclear, Unreachable};
    matches!(kind, Busy | Gateway | Overloaded | RateLimited | Unclear | Unreachable)
}

/// Between two questions of whether a backend that was away is back.
pub(super) const PROBE_EVERY: Duration = Duration::from_secs(30);

/// Whether the next job of the same lane would most likely end the same way, so that it had better
/// wait too. An unclear end counts: an outage must not park a whole backlog.
pub(super) fn blames_backend(kind: BackendErrorKind) -> bool {
    !matches!(kind, BackendErrorKind::Refused | BackendErrorKind::File)
}
