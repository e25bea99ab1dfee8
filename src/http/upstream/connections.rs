//! Which of the connections to the app a request goes out on.

use std::time::Duration;

use http::uri::Scheme;
use http::{Method, Request, Response};
use hyper::ext::on_informational;

use crate::http::interim::OnInterim;

use super::bare::{Asked, Bare, BareError};
use super::body::{AppReply, RequestBody};
use super::connect::Connector;
use super::failure::UpstreamError;
use super::http1::{Http1, Http1Error};
use super::http2::{Http2, Http2Error, Sent};
use super::parameters::UpstreamParameters;
use crate::http::BoxError;

/// Connections of each kind; see [`Stakes`] for what goes where.
pub(crate) struct Connections {
    /// Used for as long as common app servers keep them.
    bare: Bare,
    /// Used again within a moment or not at all.
    brisk: Http1,
    http2: Option<Http2>,
}

/// What is lost when the app closes the connection just as the request is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stakes {
    /// Nothing: without a body, and asked twice is as good as asked once (RFC 9110 section 9.2.2). It takes any
    /// kept connection, and is sent once more if that was closed without a byte in reply.
    Little,
    /// The request, as nobody can know what the app has made of it. It takes a connection that was used a
    /// moment ago, or a new one.
    Much,
    /// A tunnel, which needs HTTP/1.1 and a connection for itself.
    Tunnel,
}

/// A request as it goes out.
pub(super) enum Prepared {
    Bare(Asked),
    Any(Box<Request<RequestBody>>, Stakes),
    /// It can't go out at all.
    Failed(UpstreamError),
    /// It went out.
    Over,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Bare(#[from] BareError),
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
            bare: Bare::new(connector.clone(), IDLE_TIMEOUT, most),
            brisk: Http1::new(connector.clone(), BRISK_TIMEOUT, most),
            http2: upstream.http2.then(|| Http2::new(scheme.clone(), connector)),
        })
    }

    /// The target is in origin form, and there is a `Host`.
    pub(super) fn prepare(&self, request: Request<RequestBody>, stakes: Stakes) -> Prepared {
        match (stakes, &self.http2) {
            (Stakes::Little, None) => Prepared::Bare(Asked::of(request)),
            _ => Prepared::Any(Box::new(request), stakes),
        }
    }

    /// # Errors
    /// There is no connection, or no reply.
    pub(super) async fn ask(&self, asked: &mut Asked) -> Result<Response<AppReply>, SendError> {
        Ok(self.bare.ask(asked).await?)
    }

    /// # Errors
    /// There is no connection, or no reply.
    pub(super) async fn send(
        &self,
        mut request: Request<RequestBody>,
        stakes: Stakes,
    ) -> Result<Response<AppReply>, SendError> {
        if let Some(http2) = self.http2.as_ref().filter(|_| stakes != Stakes::Tunnel) {
            match http2.send(request, stakes).await? {
                Sent::Answered(reply) => return Ok(reply),
                Sent::Declined(declined) => request = declined,
            }
        }
        hear_interim(&mut request);
        Ok(match stakes {
            Stakes::Little => self.bare.ask(&mut Asked::of(request)).await?,
            Stakes::Much => self.brisk.send(request).await?,
            Stakes::Tunnel => self.brisk.send_anew(request).await?,
        })
    }
}

impl Stakes {
    pub(crate) fn of(method: &Method, bodiless: bool, tunnel: bool) -> Self {
        match (tunnel, bodiless && method.is_idempotent()) {
            (true, _) => Self::Tunnel,
            (false, true) => Self::Little,
            (false, false) => Self::Much,
        }
    }

    /// For how long the connection may have been idle.
    pub(super) fn idle_limit(self) -> Duration {
        match self {
            Self::Little => IDLE_TIMEOUT,
            Self::Much | Self::Tunnel => BRISK_TIMEOUT,
        }
    }
}

impl SendError {
    /// There was not even a connection.
    pub(super) fn is_connect(&self) -> bool {
        matches!(
            self,
            Self::Bare(BareError::Connect(_))
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
pub(super) const BRISK_TIMEOUT: Duration = Duration::from_millis(500);
