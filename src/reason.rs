//! Every outcome that Transom can have, each with one stable code.
//!
//! The codes are the same in logs, metrics and problem replies; operators alert on them, so a code
//! is never renamed and never gets a second meaning.

use std::fmt;

use http::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)+) => {
        /// Why a request, a capture, a delivery or a session ended as it did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The stable code, in `snake_case`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code,)+ }
            }

            /// The reason with this code.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Reason> {
                match code { $($code => Some(Reason::$variant),)+ _ => None }
            }
        }
    };
}

reasons! {
    // Sessions: these are also the codes of problem replies.
    /// The caller got a session.
    SessionGiven = "session_given",
    /// None of the configured places held a token.
    TokenMissing = "token_missing",
    /// A token that is malformed, forged, not yet valid, for somebody else, or contradicted by another.
    TokenInvalid = "token_invalid",
    /// A good token past its `exp`.
    TokenExpired = "token_expired",
    /// `allow` said no, or could not be evaluated.
    DeniedByPolicy = "denied_by_policy",
    /// The app itself did not answer the caller with 2xx.
    DeniedByApp = "denied_by_app",
    /// No document of this kind and id ever came by.
    DocumentUnknown = "document_unknown",
    /// The document is still on its way to DWS.
    DocumentPending = "document_pending",
    /// The app may have other bytes than DWS by now, and they can't be had.
    DocumentChanged = "document_changed",
    /// DWS no longer has the document, and the app gave it no second time.
    DocumentLost = "document_lost",
    /// The keys that would verify the token can't be had now.
    KeysUnavailable = "keys_unavailable",
    /// The app can't be asked now.
    AppUnavailable = "app_unavailable",
    /// DWS can't be asked now.
    DwsUnavailable = "dws_unavailable",
    /// The DWS plan is used up.
    QuotaExhausted = "quota_exhausted",
    /// DWS granted more than was asked for, so the session was thrown away.
    SessionTooWide = "session_too_wide",
    /// DWS gave a session that can't be read with certainty, or without `read`.
    SessionUnreadable = "session_unreadable",
    /// The audit log can't be written now, and no session is given without a line in it.
    AuditFailed = "audit_failed",
    /// The mapping store can't be read or written now.
    StoreUnavailable = "store_unavailable",
    /// The layer is mounted inside of the app instead of around it, where the app can't be asked.
    LayerMisplaced = "layer_misplaced",
    /// A browser asks ahead of its user, who may never look: sessions cost.
    Prefetch = "prefetch",
    /// Nothing lives at this address under Transom's own prefix.
    NotFound = "not_found",
    /// Transom's own addresses answer GET and HEAD only.
    MethodNotAllowed = "method_not_allowed",
    /// As many requests as `[app.limits]` allows are on their way to the app and waiting.
    Overloaded = "overloaded",
    /// The app did not begin to answer within `first_byte`.
    AppTimeout = "app_timeout",
    /// The client did not send its body as fast as `[server.limits]` asks.
    RequestTooSlow = "request_too_slow",
    /// The request has more headers than `header_count` allows.
    TooManyHeaders = "too_many_headers",

    // Connections.
    /// A proxy named in `proxy_protocol` did not say who its client is.
    ProxyHeaderInvalid = "proxy_header_invalid",

    // Requests that the app could read differently than Transom; it never sees them.
    /// Where the request ends can be read in two ways.
    FramingUnclear = "framing_unclear",
    /// A transfer coding other than `chunked`.
    CodingUnknown = "coding_unknown",
    /// A target that is neither a path nor an http address.
    TargetUnclear = "target_unclear",
    /// No host, several, or one that contradicts the target.
    HostUnclear = "host_unclear",

    // Views whose reply could not carry the session.
    /// The reply is compressed although identity was asked for.
    ReplyEncoded = "reply_encoded",
    /// The reply is longer than Transom reads (1 MiB).
    ReplyTooLarge = "reply_too_large",
    /// The reply is not JSON.
    ReplyNotJson = "reply_not_json",
    /// The JSON pointer leads nowhere in this reply.
    PointerUnmatched = "pointer_unmatched",
    /// The reply ended before its time, or stood still for too long.
    ReplyIncomplete = "reply_incomplete",

    // Captures.
    /// The document rests in the journal.
    Captured = "captured",
    /// New bytes for a known document rest in the journal.
    Replaced = "replaced",
    /// The app deleted the document; its removal from DWS rests in the journal.
    Deleted = "deleted",
    /// A matched route whose request carried no file: an ordinary request.
    NoFile = "no_file",
    /// No rule of the route had a `when` that holds.
    WhenUnmet = "when_unmet",
    /// The method may be overridden in a way that can't be known.
    OverrideUnclear = "override_unclear",
    /// The app could read the path as another one that a rule is about.
    PathUnclear = "path_unclear",
    /// A parameter that a rule is about is there twice, in a spelling that some servers take for it, or in a form
    /// beside the query.
    ParameterUnclear = "parameter_unclear",
    /// The app did not accept the upload (`accepted` does not hold).
    NotAccepted = "not_accepted",
    /// No locator found the app's id.
    IdMissing = "id_missing",
    /// Where the id is, there are several, or one that some servers read differently: a parameter, a form field or a
    /// header that comes twice or in two spellings.
    IdUnclear = "id_unclear",
    /// The id is empty, too long, or holds control characters or dot segments.
    IdInvalid = "id_invalid",
    /// There are not as many ids as files.
    IdCountMismatch = "id_count_mismatch",
    /// The bytes are of a type that is not captured.
    TypeNotCaptured = "type_not_captured",
    /// The file is larger than `max_size`.
    FileTooLarge = "file_too_large",
    /// The file has no bytes.
    FileEmpty = "file_empty",
    /// More files in one request than are captured (32).
    TooManyFiles = "too_many_files",
    /// The multipart body does not follow RFC 7578, or exceeds a limit of the scanner.
    MultipartMalformed = "multipart_malformed",
    /// Which part of the form is the file, or with which bytes, can be read in two ways.
    FileUnclear = "file_unclear",
    /// The body ended before its time, or the client went away.
    BodyIncomplete = "body_incomplete",
    /// The body is only a part of a document (Content-Range).
    BodyPartial = "body_partial",
    /// The request body is compressed.
    BodyEncoded = "body_encoded",
    /// New bytes for a document that Transom does not know.
    ReplaceUnknown = "replace_unknown",
    /// The app's reply proves little, so that a look at the app decides whether the upload or deletion counts.
    Unconfirmed = "unconfirmed",
    /// The app still has just the bytes that are known.
    Unchanged = "unchanged",
    /// A writing request reached the app, and what it has now is not known: the document is in doubt.
    InDoubt = "in_doubt",
    /// The spool could not be written.
    SpoolFailed = "spool_failed",
    /// A limit of `[store] spool` leaves no room for the file.
    SpoolFull = "spool_full",
    /// The app did not answer a fetch from `source`, or not with a whole document.
    SourceFailed = "source_failed",

    // Delivery.
    /// DWS has the document.
    Delivered = "delivered",
    /// DWS has the removal.
    Removed = "removed",
    /// A newer upload or a delete made this delivery pointless, or an upload this fetch.
    Superseded = "superseded",
    /// An attempt failed in a way that is certain not to have stored the document; it will be repeated.
    DeliveryRetried = "delivery_retried",
    /// DWS refuses this document for good.
    DeliveryRefused = "delivery_refused",
    /// Whether DWS stored the document can't be known; parked for the operator.
    OutcomeUnknown = "outcome_unknown",
    /// The spooled bytes are gone or are not the captured ones; parked for the operator.
    SpoolLost = "spool_lost",
}

impl Reason {
    /// The status of a problem reply with this code; `None` for outcomes that are never a reply.
    #[must_use]
    pub const fn status(self) -> Option<StatusCode> {
        Some(match self {
            Self::TokenMissing | Self::TokenInvalid | Self::TokenExpired => {
                StatusCode::UNAUTHORIZED
            }
            Self::DeniedByPolicy
            | Self::DeniedByApp
            | Self::OverrideUnclear
            | Self::ParameterUnclear
            | Self::IdUnclear => StatusCode::FORBIDDEN,
            Self::DocumentUnknown | Self::NotFound | Self::IdInvalid => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::FramingUnclear | Self::TargetUnclear | Self::HostUnclear => {
                StatusCode::BAD_REQUEST
            }
            Self::CodingUnknown => StatusCode::NOT_IMPLEMENTED,
            Self::DocumentChanged => StatusCode::CONFLICT,
            Self::DocumentLost => StatusCode::GONE,
            Self::DocumentPending => StatusCode::ACCEPTED,
            Self::AppTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Overloaded
            | Self::KeysUnavailable
            | Self::AppUnavailable
            | Self::DwsUnavailable
            | Self::QuotaExhausted
            | Self::AuditFailed
            | Self::Prefetch
            | Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::SessionTooWide | Self::SessionUnreadable => StatusCode::BAD_GATEWAY,
            Self::LayerMisplaced => StatusCode::INTERNAL_SERVER_ERROR,
            _ => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Reason::from_code(&code)
            .ok_or_else(|| D::Error::custom(format_args!("unknown reason code `{code}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
        }
    }
}
