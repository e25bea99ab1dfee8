//! Replies in the shapes that DWS uses.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderName, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use serde::Serialize;
use serde_json::json;

pub(super) type ReplyBody = UnsyncBoxBody<Bytes, io::Error>;
pub(super) type Reply = Response<ReplyBody>;

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Reply {
    match serde_json::to_vec(body) {
        Ok(body) => with_type(status, "application/json; charset=utf-8", body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(super) fn text(status: StatusCode, body: &str) -> Reply {
    with_type(status, "text/plain; charset=utf-8", body.to_owned())
}

pub(super) fn html(status: StatusCode, body: String) -> Reply {
    with_type(status, "text/html; charset=utf-8", body)
}

/// What DWS says of an address that it doesn't have, living documents' own ones included.
pub(super) fn no_such_route() -> Reply {
    json(StatusCode::NOT_FOUND, &json!({ "error": "Resource not found." }))
}

pub(super) fn no_such_document() -> Reply {
    text(StatusCode::NOT_FOUND, "Document not found")
}

pub(super) fn with_type(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Reply {
    with_body(status, content_type, full(body))
}

pub(super) fn with_body(status: StatusCode, content_type: &str, body: ReplyBody) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    set(&mut reply, CONTENT_TYPE, content_type);
    set(&mut reply, CACHE_CONTROL, "no-store");
    reply
}

/// Sets a header; a value that no header can carry is left out.
pub(super) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

pub(super) fn full(body: impl Into<Bytes>) -> ReplyBody {
    Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}
