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
        "title": reason.title(),
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
#[cfg(feature = "cli")]
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
