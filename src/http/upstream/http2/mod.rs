//! HTTP/2 to the app: few connections with many requests on each. It stands on h2 itself, as hyper's client passes
//! interim replies over.

mod alive;
#[cfg(test)]
mod alive_tests;
mod connections;
mod exchange;
mod replay;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use h2::Reason;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Scheme;
use http::{Method, Request, Response, Uri, Version};
use hyper::body::Body;
use tokio::time::timeout;

use crate::http::interim::OnInterim;

use super::body::{RequestBody, UpstreamBody};
use super::connect::Connector;
use super::connections::Retry;
use crate::http::BoxError;
use connections::{Http2Connections, LONG, Made, Slot};
pub(super) use exchange::StreamLease;
use exchange::{Failed, exchange};
use replay::Replay;

/// The HTTP/2 connections to an app.
pub(crate) struct Http2 {
    scheme: Scheme,
    connections: Arc<Http2Connections>,
}

/// What became of a request.
pub(crate) enum Sent {
    Answered(Response<UpstreamBody>),
    /// The app wants HTTP/1.1.
    Declined(Request<RequestBody>),
}

/// Why there is no reply over HTTP/2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Http2Error {
    #[error("no connection for HTTP/2")]
    Connect(#[source] Arc<BoxError>),
    #[error("the app closes its HTTP/2 connections before they are used")]
    Useless,
    #[error("the request broke off")]
    Request(#[source] BoxError),
    #[error(transparent)]
    Exchange(#[from] h2::Error),
}

impl Http2 {
    pub(crate) fn new(scheme: Scheme, connector: Connector) -> Self {
        Self { scheme, connections: Arc::new(Http2Connections::new(connector)) }
    }

    /// The target is in origin form, and there is a `Host`.
    ///
    /// # Errors
    /// There is no connection, or no reply.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        retry: Retry,
    ) -> Result<Sent, Http2Error> {
        let (parts, body) = request.into_parts();
        let head = head(&parts, &body, &self.scheme);
        let on_interim = parts.extensions.get::<OnInterim>();
        let (mut body, mut once_more) = (Replay::new(body), true);
        for _ in 0..ATTEMPTS {
            let Some(slot) = self.slot(retry.idle_limit()).await? else {
                return Ok(Sent::Declined(Request::from_parts(parts, body.into_body())));
            };
            // Until a connection takes the head, nothing has left.
            let Some(begun) = slot.begin(head.clone(), body.is_end_stream()).await? else {
                continue;
            };
            body = match exchange(begun, body, on_interim, slot).await {
                Ok(reply) => return Ok(Sent::Answered(reply)),
                // A connection's end at its time is nobody's fault. An app that refuses may have too much to do.
                Err(Failed::Unbegun(error, Some(unsent))) if ends_well(&error) || once_more => {
                    tracing::debug!(%error, "the app has not begun with a request; asked again");
                    once_more &= ends_well(&error);
                    unsent
                }
                Err(Failed::Lost(error)) if retry == Retry::Safe && once_more => {
                    tracing::debug!(%error, "a kept connection was gone; asked again");
                    once_more = false;
                    Replay::empty()
                }
                Err(failed) => return Err(failed.into()),
            };
        }
        Err(Http2Error::Useless)
    }

    /// Room on a connection that was idle for less than this; `None` when the app wants HTTP/1.1.
    async fn slot(&self, idle_limit: Duration) -> Result<Option<Slot>, Http2Error> {
        let mut in_vain = 0;
        while in_vain < ATTEMPTS {
            if let Some(slot) = self.connections.enter(idle_limit) {
                return Ok(Some(slot));
            }
            if self.connections.are_declined() {
                return Ok(None);
            }
            // Meanwhile there may be another connection.
            let Ok(made) = timeout(LONG, self.connections.attempt()).await else { continue };
            match made.map_err(Http2Error::Connect)? {
                Made::Declined => return Ok(None),
                // If others fill it, the next one is for those who are left.
                Made::Open(newest) => in_vain += usize::from(!newest.is_of_use()),
            }
        }
        Err(Http2Error::Useless)
    }
}

fn ends_well(error: &h2::Error) -> bool {
    error.is_go_away() && error.reason() == Some(Reason::NO_ERROR)
}

/// HTTP/2 has the host in the target and frames of its own (RFC 9113 sections 8.2.2 and 8.3.1).
fn head(request: &Parts, body: &RequestBody, scheme: &Scheme) -> Request<()> {
    let mut head = Request::new(());
    *head.version_mut() = Version::HTTP_2;
    *head.method_mut() = request.method.clone();
    *head.headers_mut() = request.headers.clone();
    head.headers_mut().remove(TRANSFER_ENCODING);
    let host = head.headers_mut().remove(HOST);
    let mut target = request.uri.clone().into_parts();
    if let Some(host) = host.and_then(|host| host.to_str().ok()?.parse().ok()) {
        (target.scheme, target.authority) = (Some(scheme.clone()), Some(host));
    }
    *head.uri_mut() = Uri::from_parts(target).unwrap_or_else(|_| request.uri.clone());
    let empty = !matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0 || !empty) {
        head.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    head
}

/// Connections that are made for one request before it is given up.
const ATTEMPTS: usize = 16;
