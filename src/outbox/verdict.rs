//! What the end of an attempt means for its job.

use super::schedule::Pace;
use crate::backend::BackendErrorKind;
use crate::reason::Reason;

/// What is to be done with a job whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// DWS certainly has not done it: again later.
    Retry(Pace),
    /// Waits for the operator.
    Park(Reason),
    /// DWS will never take it.
    Refuse,
    /// What was to be done is done.
    Done,
}

/// An upload is repeated only when it is certain that DWS did not store it: nothing makes a second
/// one harmless.
pub(super) fn upload(kind: BackendErrorKind) -> Verdict {
    match kind {
        BackendErrorKind::Unreachable | BackendErrorKind::RateLimited | BackendErrorKind::Busy => {
            Verdict::Retry(Pace::Quick)
        }
        // The key, the plan or the address is wrong, not the document.
        BackendErrorKind::KeyRefused
        | BackendErrorKind::Forbidden
        | BackendErrorKind::Quota
        | BackendErrorKind::NotFound => Verdict::Retry(Pace::Slow),
        BackendErrorKind::Refused => Verdict::Refuse,
        BackendErrorKind::File => Verdict::Park(Reason::SpoolLost),
        BackendErrorKind::Unclear | BackendErrorKind::TooWide | BackendErrorKind::Unreadable => {
            Verdict::Park(Reason::OutcomeUnknown)
        }
    }
}

/// A removal can be repeated as often as need be.
pub(super) fn remove(kind: BackendErrorKind) -> Verdict {
    match kind {
        BackendErrorKind::NotFound => Verdict::Done,
        BackendErrorKind::Unreachable
        | BackendErrorKind::RateLimited
        | BackendErrorKind::Busy
        | BackendErrorKind::Unclear => Verdict::Retry(Pace::Quick),
        BackendErrorKind::KeyRefused
        | BackendErrorKind::Forbidden
        | BackendErrorKind::Quota
        | BackendErrorKind::Refused
        | BackendErrorKind::TooWide
        | BackendErrorKind::Unreadable
        | BackendErrorKind::File => Verdict::Retry(Pace::Slow),
    }
}

/// Whether the next job of the same lane would most likely end the same way, so that it had better
/// wait too. An unclear end counts: an outage must not park a whole backlog.
pub(super) fn blames_backend(kind: BackendErrorKind) -> bool {
    !matches!(kind, BackendErrorKind::Refused | BackendErrorKind::File)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_repeated_only_when_nothing_was_stored() {
        use BackendErrorKind::*;
        let repeated = |kind| matches!(upload(kind), Verdict::Retry(_));
        assert!(
            [Unreachable, RateLimited, Busy, KeyRefused, Forbidden, Quota, NotFound]
                .into_iter()
                .all(repeated)
        );
        assert!(![Unclear, Refused, File, TooWide].into_iter().any(repeated));
        assert_eq!(upload(Unclear), Verdict::Park(Reason::OutcomeUnknown));
        assert_eq!(upload(File), Verdict::Park(Reason::SpoolLost));
        assert_eq!(upload(Refused), Verdict::Refuse);
    }

    #[test]
    fn a_removal_goes_on_until_the_document_is_gone() {
        use BackendErrorKind::*;
        assert_eq!(remove(NotFound), Verdict::Done);
        let rest =
            [Unreachable, RateLimited, Busy, KeyRefused, Forbidden, Quota, Unclear, Refused, File];
        assert!(rest.into_iter().all(|kind| matches!(remove(kind), Verdict::Retry(_))));
    }
}
