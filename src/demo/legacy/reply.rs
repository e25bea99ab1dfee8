use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::pages;

pub(super) type Reply = Response<Full<Bytes>>;

/// Why the app says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    LoggedOut,
    WrongPassword,
    Forbidden,
    Missing,
    Malformed,
    TooLarge,
    Full,
}

impl Refused {
    /// JSON for programs; pages, or the way to the login, for people.
    pub(super) fn reply(self, api: bool) -> Reply {
        let (status, text) = match self {
            Self::LoggedOut => (StatusCode::UNAUTHORIZED, "Log in first."),
            Self::WrongPassword => (StatusCode::UNAUTHORIZED, "Wrong name or password."),
            Self::Forbidden => (StatusCode::FORBIDDEN, "This file belongs to somebody else."),
            Self::Missing => (StatusCode::NOT_FOUND, "There is no such file or page."),
            Self::Malformed => (StatusCode::BAD_REQUEST, "The request makes no sense."),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The file is too large."),
            Self::Full => (StatusCode::INSUFFICIENT_STORAGE, "The disk is full."),
        };
        match (api, self) {
            (true, _) => json_reply(status, &json!({ "error": text })),
            (false, Self::LoggedOut) => see_other("/login"),
            (false, _) => page(status, &pages::message(text)),
        }
    }
}

pub(super) fn page(status: StatusCode, html: &str) -> Reply {
    bytes(status, "text/html; charset=utf-8", Bytes::copy_from_slice(html.as_bytes()))
}

pub(super) fn json_reply(status: StatusCode, value: &Value) -> Reply {
    bytes(status, "application/json", Bytes::from(value.to_string()))
}

pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = status;
    reply
}

pub(super) fn see_other(location: &str) -> Reply {
    let mut reply = empty(StatusCode::SEE_OTHER);
    set(&mut reply, LOCATION, location);
    reply
}

pub(super) fn bytes(status: StatusCode, content_type: &str, bytes: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(bytes));
    *reply.status_mut() = status;
    set(&mut reply, CONTENT_TYPE, content_type);
    set(&mut reply, X_CONTENT_TYPE_OPTIONS, "nosniff");
    reply
}

/// Leaves out what can't be a header.
pub(super) fn set(reply: &mut Reply, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}
