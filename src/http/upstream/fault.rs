//! Why a request got no reply from the app, and what its client is told.

use std::error::Error;
use std::fmt;
use std::io;
use std::iter;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use serde_json::json;

use crate::problem::NotSent;
use crate::reason::Reason;
use crate::viewer::instead_of_the_app;

use super::body::{ClientGone, ReplyBody};
use super::connections::SendError;

/// What kept the app's reply away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection to the app could be made.
    Unreachable,
    /// The app closed the connection, or its reply is not HTTP.
    BrokenReply,
    /// The app did not answer in time.
    TimedOut,
    /// The client did not send its request to the end.
    ClientGone,
    /// A tunnel to an address of the client's choice is not offered.
    Connect,
    /// The request's path is too long once the app's own prefix is before it.
    Target,
}

impl Fault {
    pub(crate) fn of(error: &SendError) -> Self {
        let known = causes(error).find_map(|cause| {
            if cause.is::<ClientGone>() {
                return Some(Self::ClientGone);
            }
            let timed_out = |e: &io::Error| e.kind() == io::ErrorKind::TimedOut;
            cause.downcast_ref().is_some_and(timed_out).then_some(Self::TimedOut)
        });
        known.unwrap_or(if error.is_connect() { Self::Unreachable } else { Self::BrokenReply })
    }

    /// Whether it tells something about the app rather than about the request.
    pub(crate) fn is_the_apps(self) -> bool {
        matches!(self, Self::Unreachable | Self::BrokenReply | Self::TimedOut)
    }

    /// The reply in the app's stead: a problem (RFC 9457), or a page where a person sees it. It shows nothing of
    /// the app's address or its errors.
    pub(crate) fn reply(self, request_id: &str, shown: bool) -> Response<ReplyBody> {
        let mut reply = self.told(request_id, shown);
        if matches!(self, Self::Unreachable | Self::Connect | Self::Target) {
            reply.extensions_mut().insert(NotSent);
        }
        reply
    }

    fn told(self, request_id: &str, shown: bool) -> Response<ReplyBody> {
        let (status, code, title) = self.words();
        if shown && self.is_the_apps() {
            let page = instead_of_the_app(code, status, request_id);
            return page.map(|page| Either::Right(Full::new(page.into())));
        }
        let problem = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "code": code,
            "request_id": request_id,
        });
        let mut reply = Response::new(Either::Right(Full::new(Bytes::from(problem.to_string()))));
        *reply.status_mut() = status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self == Self::Connect {
            // What follows is meant for a tunnel. HTTP/2 leaves the field out.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }

    fn words(self) -> (StatusCode, Reason, &'static str) {
        match self {
            Self::Unreachable => (
                StatusCode::BAD_GATEWAY,
                Reason::AppUnavailable,
                "The application cannot be reached",
            ),
            Self::BrokenReply => (
                StatusCode::BAD_GATEWAY,
                Reason::AppUnavailable,
                "The application did not send a complete answer",
            ),
            Self::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                Reason::AppUnavailable,
                "The application did not answer in time",
            ),
            Self::ClientGone => (
                StatusCode::BAD_REQUEST,
                Reason::BodyIncomplete,
                "The request body ended before its time",
            ),
            Self::Connect => (
                StatusCode::METHOD_NOT_ALLOWED,
                Reason::MethodNotAllowed,
                "CONNECT is not offered here",
            ),
            Self::Target => {
                (StatusCode::URI_TOO_LONG, Reason::NotFound, "The request's path is too long")
            }
        }
    }
}

/// An error with all its causes, for logs.
pub(crate) struct Causes<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, cause) in causes(self.0).enumerate() {
            let separator = if place == 0 { "" } else { ": " };
            write!(f, "{separator}{cause}")?;
        }
        Ok(())
    }
}

/// The error and what it was caused by.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}
