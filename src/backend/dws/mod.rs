//! The DWS Viewer API, as far as its behaviour is known.
//!
//! Traps that the code here answers to: `Accept` must name JSON or DWS may answer 406; the id of an
//! upload has several spellings; deletes succeed with plain text; errors are text, JSON, HTML or
//! nothing; an upload is not idempotent, so an attempt whose end is not known is
//! [`DwsErrorKind::Unclear`] and nothing here repeats it.

mod client;
mod data_plane;
mod liveness;
mod readback;
mod scrub;
mod upload;
mod verdict;

#[cfg(all(test, feature = "cli"))]
mod tests;

use std::path::Path;
use std::time::Duration;

use http::HeaderValue;
use secrecy::SecretString;

pub(crate) use self::client::DwsClient;

use crate::config::Permissions;
use crate::session::OnRecord;

/// A file for DWS.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) path: &'a Path,
    pub(crate) title: Option<&'a str>,
    pub(crate) content_type: &'a str,
    pub(crate) size: u64,
}

/// A session to be asked for.
#[derive(Debug, Clone)]
pub(crate) struct SessionRequest<'a> {
    pub(crate) document_id: &'a str,
    pub(crate) permissions: Permissions,
    /// Unix seconds.
    pub(crate) expires: u64,
    pub(crate) user_id: Option<&'a str>,
}

/// A session that was read back and is no wider than asked.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) jwt: SecretString,
    /// The same, ready to be sent; marked as sensitive, so that it is never shown.
    pub(crate) header: HeaderValue,
    pub(crate) document_id: String,
    /// Unix seconds, from the JWT.
    pub(crate) expires: u64,
    pub(crate) permissions: Permissions,
    /// The data plane's address in the JWT, for the viewer page's policy.
    pub(crate) server_url: Option<String>,
    /// Whom the audit log tells of, where there is one.
    pub(crate) on_record: OnRecord,
}

/// What went wrong at DWS. `detail` is bounded and holds no secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind:?}: {detail}")]
pub(crate) struct DwsError {
    pub(crate) kind: DwsErrorKind,
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DwsErrorKind {
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
    /// 400, 406, 411, 413, 415, 422 and other 4xx: this request will never be taken.
    Refused,
    /// Sent, and no clear answer: time-out, reset, 408, 5xx, 2xx without an id.
    Unclear,
    /// A session wider than asked for.
    TooWide,
    /// A session that is no clean JWT, or without `read`.
    Unreadable,
    /// The spooled file could not be read.
    File,
}

impl DwsError {
    fn new(kind: DwsErrorKind, status: Option<u16>, detail: String) -> Self {
        Self { kind, status, retry_after: None, detail }
    }
}
