//! Transom's own refusals, as RFC 9457 problems: the one place that turns a reason into a reply.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::reason::Reason;

/// A problem reply. It says what its code says, and nothing of this case that could be a secret.
pub(crate) fn problem(reason: Reason, request_id: &str) -> Response<Bytes> {
    let status = reason.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({
        "type": "about:blank",
        "title": title(reason),
        "status": status.as_u16(),
        "code": reason.code(),
        "request_id": request_id,
    });
    let mut reply = Response::new(Bytes::from(body.to_string()));
    *reply.status_mut() = status;
    // For the access log.
    reply.extensions_mut().insert(reason);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    match status {
        StatusCode::UNAUTHORIZED => {
            // RFC 6750 section 3.1: no error attribute when no token came at all.
            let challenge = match reason {
                Reason::TokenMissing => "Bearer",
                _ => "Bearer error=\"invalid_token\"",
            };
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        StatusCode::ACCEPTED => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("10"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        _ => {}
    }
    reply
}

/// A problem reply in the app's stead, or a page where a browser shows it to a person.
#[cfg(feature = "server")]
pub(crate) fn instead_of_the_app(reason: Reason, request_id: &str, shown: bool) -> Response<Bytes> {
    match reason.status() {
        Some(status) if shown => {
            crate::viewer::instead_of_the_app(reason, status, request_id).map(Bytes::from)
        }
        _ => problem(reason, request_id),
    }
}

/// Marks a reply in the app's stead to a request of which the app has seen nothing, as a response extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotSent;

fn title(reason: Reason) -> &'static str {
    match reason {
        Reason::TokenMissing => "This request carries no token of the app",
        Reason::TokenInvalid => "The token is not valid here",
        Reason::TokenExpired => "The token has expired",
        Reason::DeniedByPolicy => "The rules for this document do not let this caller view it",
        Reason::DeniedByApp => "The app does not let this caller see the document",
        Reason::OverrideUnclear => "The method of this request can be read in two ways",
        Reason::ParameterUnclear => "A parameter of this request can be read in two ways",
        Reason::IdUnclear => "The document that this request names can be read in two ways",
        Reason::Prefetch => "A session is given when the document is looked at, not ahead of that",
        Reason::DocumentUnknown => "No such document has come by",
        Reason::DocumentChanged => "The app may have another version of the document",
        Reason::DocumentLost => "The viewer service no longer has the document",
        Reason::DocumentPending => "The document is on its way to the viewer service",
        Reason::KeysUnavailable => "The keys that verify tokens cannot be had at the moment",
        Reason::AppUnavailable => "The app cannot be asked at the moment",
        Reason::DwsUnavailable => "The viewer service cannot be reached at the moment",
        Reason::QuotaExhausted => "The viewer service's plan is used up",
        Reason::SessionTooWide => "The viewer service granted more than was asked for",
        Reason::SessionUnreadable => "The viewer service gave no session that can be used",
        Reason::AuditFailed => "Sessions cannot be put on record at the moment",
        Reason::StoreUnavailable => "The record of documents cannot be read at the moment",
        Reason::LayerMisplaced => "Viewing is not set up rightly in this service",
        Reason::Overloaded => "Too many requests are on their way to the app",
        Reason::AppTimeout => "The app did not answer in time",
        Reason::RequestTooSlow => "The request came too slowly",
        Reason::TooManyHeaders => "The request has too many headers",
        Reason::NotFound => "Nothing lives at this address",
        Reason::MethodNotAllowed => "Only GET and HEAD are answered here",
        Reason::FramingUnclear => "Where this request ends can be read in two ways",
        Reason::CodingUnknown => "No transfer coding but chunked is understood here",
        Reason::TargetUnclear => "The target of this request is neither a path nor a web address",
        Reason::HostUnclear => "It is not clear which host this request is for",
        _ => "The request could not be answered",
    }
}
