//! Which of the connections to the app a request goes out on.

use std::io;
use std::time::Duration;

use http::uri::Scheme;
use http::{Method, Request, Response};

use crate::config::AppConfig;

use super::body::{AppReply, BoxError, RequestBody};
use super::connect::Connector;
use super::fault::causes;
use super::http1::{Driven, Http1, Http1Error};
use super::http2::{Http2, Http2Error, Sent};
use super::stream::Unanswered;

/// Connections of each kind; see [`Stakes`] for what goes where.
pub(crate) struct Connections {
    /// Used for as long as common app servers keep them.
    kept: Http1,
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

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Http1(#[from] Http1Error),
    #[error(transparent)]
    Http2(#[from] Http2Error),
}

impl Connections {
    /// # Errors
    /// As [`Connector::new`].
    pub(crate) fn new(app: &AppConfig) -> Result<Self, BoxError> {
        let connector = Connector::new(app)?;
        let scheme = app.url.scheme().unwrap_or(&Scheme::HTTP);
        Ok(Self {
            kept: Http1::new(connector.clone(), Driven::ByItsRequest, IDLE_TIMEOUT),
            brisk: Http1::new(connector.clone(), Driven::ByATask, BRISK_TIMEOUT),
            http2: app.http2.then(|| Http2::new(scheme.clone(), connector)),
        })
    }

    /// The target is in origin form, and there is a `Host`.
    ///
    /// # Errors
    /// There is no connection, or no reply.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        stakes: Stakes,
    ) -> Result<Response<AppReply>, SendError> {
        let http2 = self.http2.as_ref().filter(|_| stakes != Stakes::Tunnel);
        let request = match http2 {
            None => request,
            Some(http2) => match Box::pin(http2.send(request, stakes)).await? {
                Sent::Answered(reply) => return Ok(reply),
                Sent::Declined(request) => request,
            },
        };
        let sent = match stakes {
            Stakes::Little => self.kept.send(request).await,
            Stakes::Much => self.brisk.send(request).await,
            Stakes::Tunnel => self.brisk.send_anew(request).await,
        };
        let error = match sent {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let Some(request) = again(&error) else { return Err(error.into()) };
        tracing::debug!("the app closed a kept connection; asked again on a new one");
        Ok(self.kept.send_anew(request).await?)
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
        matches!(self, Self::Http1(Http1Error::Connect(_)) | Self::Http2(Http2Error::Connect(_)))
    }
}

/// The request that was left without a byte in reply on a connection that had served before.
fn again(error: &Http1Error) -> Option<Request<RequestBody>> {
    let asked = causes(error).find_map(|cause| {
        let cause = cause.downcast_ref::<io::Error>()?.get_ref()?;
        cause.downcast_ref::<Unanswered>()
    });
    asked?.request()
}

/// Below the 5 s after which common app servers close an idle connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// No app server is known that closes an idle connection sooner than after a second.
pub(super) const BRISK_TIMEOUT: Duration = Duration::from_millis(500);
