//! Which of the connections to the app a request goes out on.

use std::time::Duration;

use http::uri::Scheme;
use http::{Method, Request, Response};
use hyper::ext::on_informational;

use crate::http::interim::OnInterim;

use super::bodiless::{BodilessClient, BodilessError, BodilessRequest};
use super::body::{RequestBody, UpstreamBody};
use super::connect::Connector;
use super::failure::UpstreamError;
use super::http1::{Http1, Http1Error};
use super::http2::{Http2, Http2Error, Sent};
use super::parameters::UpstreamParameters;
use crate::http::BoxError;

/// Connections of each kind; see [`Retry`] for what goes where.
pub(crate) struct Connections {
    /// Used for as long as common app servers keep them.
    bodiless: BodilessClient,
    /// Used again within a moment or not at all.
    http1: Http1,
    http2: Option<Http2>,
}

/// What is lost when the app closes the connection just as the request is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Nothing: without a body, and asked twice is as good as asked once (RFC 9110 section 9.2.2). It takes any
    /// kept connection, and is sent once more if that was closed without a byte in reply.
    Safe,
    /// The request, as nobody can know what the app has made of it. It takes a connection that was used a
    /// moment ago, or a new one.
    Unsafe,
    /// A tunnel, which needs HTTP/1.1 and a connection for itself.
    Tunnel,
}

/// A request as it goes out.
pub(super) enum Prepared {
    Bodiless(BodilessRequest),
    Any(Box<Request<RequestBody>>, Retry),
    /// It can't go out at all.
    Failed(UpstreamError),
    /// It went out.
    Over,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Bodiless(#[from] BodilessError),
    #[error(transparent)]
    Http1(#[from] Http1Error),
    #[error(transparent)]
    Http2(#[from] Http2Error),
}

impl Connections {
    /// # Errors
    /// As [`Connector::new`].
    pub(crate) fn new(upstream: &UpstreamParameters) -> Result<Self, BoxError> {
        let connector = Connector::new(upstream)?;
        let most = upstream.max_idle;
        let scheme = upstream.url.scheme().unwrap_or(&Scheme::HTTP);
        Ok(Self {
            bodiless: BodilessClient::new(connector.clone(), IDLE_TIMEOUT, most),
            http1: Http1::new(connector.clone(), SHORT_IDLE_TIMEOUT, most),
            http2: upstream.http2.then(|| Http2::new(scheme.clone(), connector)),
        })
    }

    /// The target is in origin form, and there is a `Host`.
    pub(super) fn prepare(&self, request: Request<RequestBody>, retry: Retry) -> Prepared {
        match (retry, &self.http2) {
            (Retry::Safe, None) => Prepared::Bodiless(BodilessRequest::of(request)),
            _ => Prepared::Any(Box::new(request), retry),
        }
    }

    /// # Errors
    /// There is no connection, or no reply.
    pub(super) async fn ask(
        &self,
        asked: &mut BodilessRequest,
    ) -> Result<Response<UpstreamBody>, SendError> {
        Ok(self.bodiless.ask(asked).await?)
    }

    /// # Errors
    /// There is no connection, or no reply.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        retry: Retry,
    ) -> Result<Response<UpstreamBody>, SendError> {
        if let Some(http2) = self.http2.as_ref().filter(|_| retry != Retry::Tunnel) {
            match http2.send(request, retry).await? {
                Sent::Answered(reply) => return Ok(reply),
                Sent::Declined(declined) => request = declined,
            }
        }
        hear_interim(&mut request);
        Ok(match retry {
            Retry::Safe => self.bodiless.ask(&mut BodilessRequest::of(request)).await?,
            Retry::Unsafe => self.http1.send(request).await?,
            Retry::Tunnel => self.http1.send_anew(request).await?,
        })
    }
}

impl Retry {
    pub(crate) fn of(method: &Method, bodiless: bool, tunnel: bool) -> Self {
        match (tunnel, bodiless && method.is_idempotent()) {
            (true, _) => Self::Tunnel,
            (false, true) => Self::Safe,
            (false, false) => Self::Unsafe,
        }
    }

    /// For how long the connection may have been idle.
    pub(super) fn idle_limit(self) -> Duration {
        match self {
            Self::Safe => IDLE_TIMEOUT,
            Self::Unsafe | Self::Tunnel => SHORT_IDLE_TIMEOUT,
        }
    }
}

impl SendError {
    /// There was not even a connection.
    pub(super) fn is_connect(&self) -> bool {
        matches!(
            self,
            Self::Bodiless(BodilessError::Connect(_))
                | Self::Http1(Http1Error::Connect(_))
                | Self::Http2(Http2Error::Connect(_))
        )
    }
}

/// hyper looks elsewhere for who hears it.
fn hear_interim(request: &mut Request<RequestBody>) {
    if let Some(on_interim) = request.extensions().get::<OnInterim>().cloned() {
        on_informational(request, move |reply| on_interim.hear(reply.status(), reply.headers()));
    }
}

/// Below the 5 s after which common app servers close an idle connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// No app server is known that closes an idle connection sooner than after a second.
pub(crate) const SHORT_IDLE_TIMEOUT: Duration = Duration::from_millis(500);
