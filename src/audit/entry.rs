//! What a line tells of a session.

use serde::Serialize;

use super::chain::{MAX_LINE, OWN_MEMBERS, hex, sha256};
use crate::reason::Reason;
use crate::telemetry::Rfc3339;

/// Who got what, why, and until when. Field names are a contract.
#[derive(Debug, Serialize)]
pub(crate) struct Entry<'a> {
    /// `session_given`.
    pub(crate) event: Reason,
    #[serde(flatten)]
    pub(crate) who: Who<'a>,
    pub(crate) kind: &'a str,
    /// The tenant's, where documents belong to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<&'a str>,
    /// The app's own.
    pub(crate) id: &'a str,
    /// DWS's own.
    pub(crate) document_id: &'a str,
    pub(crate) permissions: Vec<&'static str>,
    pub(crate) rule: &'a str,
    /// Of `token`, `app` and `policy`, those that had to say yes and did.
    pub(crate) yes: Vec<&'static str>,
    pub(crate) until: Rfc3339,
    /// SHA-256 of the session's token.
    pub(crate) session: String,
    /// The way it left.
    pub(crate) via: &'static str,
    /// Whether this session was handed out before.
    pub(crate) again: bool,
    pub(crate) request_id: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Who<'a> {
    User {
        identity: &'a str,
        user: &'a str,
    },
    /// Known by nothing but the credentials that the app accepts.
    Caller {
        caller: String,
    },
}

/// The SHA-256 that stands for a session's token: whoever has the token can find its line.
pub(crate) fn token_hash(token: &str) -> String {
    hex(&sha256(token.as_bytes()))
}

impl Entry<'_> {
    /// As JSON without braces; `None` if that would make too long a line.
    pub(super) fn members(&self) -> Option<String> {
        let object = serde_json::to_string(self).ok()?;
        let members = object.strip_prefix('{')?.strip_suffix('}')?;
        (members.len() + OWN_MEMBERS <= MAX_LINE).then(|| members.to_owned())
    }
}
