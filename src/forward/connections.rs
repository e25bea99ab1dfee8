//! Which of the connections to the app a request goes out on.

use std::io;
use std::time::Duration;

use http::{Method, Request, Response, Uri};
use hyper_util::client::legacy::{self, Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::config::AppConfig;

use super::body::{AppReply, BoxError, RequestBody};
use super::connect::Connector;
use super::fault::causes;
use super::http2::{Http2, Http2Error, Sent};
use super::stream::Unanswered;

/// Connections of each kind; see [`Stakes`] for what goes where.
pub(crate) struct Connections {
    /// Used for as long as common app servers keep them, and remembering what they were asked.
    kept: Client<Connector, RequestBody>,
    /// Used again within a moment or not at all.
    brisk: Client<Connector, RequestBody>,
    /// Used once: tunnels, and what is asked again.
    single: Client<Connector, RequestBody>,
    http2: Option<Http2>,
    app: Uri,
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

/// A request on its way.
pub(crate) enum Sending {
    Http1(ResponseFuture, Stakes),
    Http2(Box<Request<RequestBody>>, Stakes),
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Http1(#[from] legacy::Error),
    #[error(transparent)]
    Http2(#[from] Http2Error),
}

impl Connections {
    /// # Errors
    /// As [`Connector::new`].
    pub(crate) fn new(app: &AppConfig) -> Result<Self, BoxError> {
        let connector = Connector::new(app)?;
        let client = |connector: Connector, idle: Duration, keep: usize| {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(idle)
                .pool_max_idle_per_host(keep)
                .build(connector)
        };
        Ok(Self {
            kept: client(connector.remembering(), IDLE_TIMEOUT, MAX_IDLE),
            brisk: client(connector.clone(), BRISK_TIMEOUT, MAX_IDLE),
            single: client(connector.clone(), IDLE_TIMEOUT, 0),
            http2: app.http2.then(|| Http2::new(connector)),
            app: app.url.clone(),
        })
    }

    pub(crate) fn send(&self, request: Request<RequestBody>, stakes: Stakes) -> Sending {
        if self.http2.is_some() && stakes != Stakes::Tunnel {
            return Sending::Http2(Box::new(request), stakes);
        }
        Sending::Http1(self.send_http1(request, stakes), stakes)
    }

    pub(crate) async fn answer(&self, sending: Sending) -> Result<Response<AppReply>, SendError> {
        let (sent, stakes) = match (sending, &self.http2) {
            (Sending::Http1(sent, stakes), _) => (sent, stakes),
            (Sending::Http2(request, stakes), None) => (self.send_http1(*request, stakes), stakes),
            (Sending::Http2(request, stakes), Some(http2)) => {
                match Box::pin(http2.send(*request, stakes)).await? {
                    Sent::Answered(reply) => return Ok(reply),
                    Sent::Declined(request) => (self.send_http1(request, stakes), stakes),
                }
            }
        };
        let reply = match sent.await {
            Err(error) => match again(&error, &self.app).filter(|_| stakes == Stakes::Little) {
                Some(request) => {
                    tracing::debug!("the app closed a kept connection; asked again on a new one");
                    self.single.request(request).await?
                }
                None => return Err(error.into()),
            },
            Ok(reply) => reply,
        };
        Ok(reply.map(AppReply::from))
    }

    fn send_http1(&self, request: Request<RequestBody>, stakes: Stakes) -> ResponseFuture {
        let client = match stakes {
            Stakes::Little => &self.kept,
            Stakes::Much => &self.brisk,
            Stakes::Tunnel => &self.single,
        };
        client.request(request)
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
        match self {
            Self::Http1(error) => error.is_connect(),
            Self::Http2(error) => matches!(error, Http2Error::Connect(_)),
        }
    }
}

/// The request that was left without a byte in reply on a connection that had served before.
fn again(error: &legacy::Error, app: &Uri) -> Option<Request<RequestBody>> {
    let asked = causes(error).find_map(|cause| {
        let cause = cause.downcast_ref::<io::Error>()?.get_ref()?;
        cause.downcast_ref::<Unanswered>()
    });
    asked?.request(app)
}

/// Below the 5 s after which common app servers close an idle connection.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// No app server is known that closes an idle connection sooner than after a second.
pub(super) const BRISK_TIMEOUT: Duration = Duration::from_millis(500);
const MAX_IDLE: usize = 512;
