use std::time::Duration;

/// What went wrong at the backend. `detail` is bounded and holds no secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind:?}: {detail}")]
pub(crate) struct BackendError {
    pub(crate) kind: BackendErrorKind,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackendErrorKind {
    /// Nothing was taken: name, connect, TLS, or a redirect instead of an answer.
    Unreachable,
    /// 401.
    KeyRefused,
    /// 403: another product's key, a missing right, or quota.
    Forbidden,
    /// 404.
    NotFound,
    /// 402, or a reply that names a quota.
    Quota,
    /// 429.
    RateLimited,
    /// 503 with `Retry-After`.
    Busy,
    /// 500 that speaks of overload: a document that was sent may be stored all the same.
    Overloaded,
    /// 413, 415 and 422: this document will never be taken.
    Refused,
    /// Any other 4xx: nothing was taken, and nothing is said of the document. A gateway before DWS answers so, too.
    Gateway,
    /// Sent, and no clear answer: time-out, reset, 408, 5xx, 2xx without an id.
    Unclear,
    /// A session wider than asked for.
    TooWide,
    /// A session that can't be read with certainty, or without `read`.
    Unreadable,
    /// The spooled file could not be read.
    File,
}

impl BackendError {
    pub(crate) fn new(kind: BackendErrorKind, status: Option<u16>, detail: String) -> Self {
        Self { kind, status, retry_after: None, detail }
    }

    /// Whether the whole backend is in trouble, rather than this one request.
    pub(crate) fn says_away(&self) -> bool {
        use BackendErrorKind::{Busy, Overloaded, RateLimited, Unreachable};
        matches!(self.kind, Unreachable | Busy | Overloaded | RateLimited)
            || matches!(self.status, Some(502..=504))
    }
}
