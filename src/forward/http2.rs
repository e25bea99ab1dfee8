//! HTTP/2 to the app: few connections with many requests on each.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::Scheme;
use http::{Request, Response, Uri, Version};
use http_body_util::{Either, Empty};
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::body::{AppReply, BoxError, RequestBody, Way};
use super::connect::Connector;
use super::connections::{IDLE_TIMEOUT, Stakes};
use super::stream::AppStream;

/// The HTTP/2 connections to an app.
pub(crate) struct Http2(Arc<Lines>);

struct Lines {
    scheme: Scheme,
    connector: Connector,
    open: Mutex<Vec<Arc<Line>>>,
    /// The one that is being made, whoever waits for it.
    next: Mutex<Option<Attempt>>,
    /// When the app last chose HTTP/1.1.
    declined: Mutex<Option<Instant>>,
}

/// Whether the app speaks HTTP/2 there.
type Attempt = Shared<BoxFuture<'static, Result<bool, Arc<BoxError>>>>;

/// A connection.
struct Line {
    sender: SendRequest<RequestBody>,
    /// Knows how many requests the app takes at the same time; `None` once it ended, since requests are taken
    /// and never answered for as long as it lives. Never locked under `load`, as it polls bodies.
    connection: Arc<Mutex<Option<Driver>>>,
    load: Mutex<Load>,
}

type Driver = Connection<TokioIo<AppStream>, RequestBody, TokioExecutor>;

struct Load {
    streams: usize,
    idle_since: Instant,
}

/// A request's place on a connection, until this is dropped.
pub(crate) struct Stream(Arc<Line>);

/// What became of a request.
pub(crate) enum Sent {
    Answered(Response<AppReply>),
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
    #[error(transparent)]
    Exchange(hyper::Error),
}

impl Http2 {
    pub(crate) fn new(scheme: Scheme, connector: Connector) -> Self {
        let (open, next, declined) = Default::default();
        Self(Arc::new(Lines { scheme, connector, open, next, declined }))
    }

    /// The target is in origin form, and there is a `Host`.
    ///
    /// # Errors
    /// There is no connection, or no reply.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        stakes: Stakes,
    ) -> Result<Sent, Http2Error> {
        let mut request = request;
        let (target, host) = (request.uri().clone(), request.headers().get(HOST).cloned());
        let mut again = (stakes == Stakes::Little).then(|| head(&request));
        for _ in 0..ATTEMPTS {
            let Some(stream) = self.stream(stakes.idle_limit()).await? else {
                return Ok(Sent::Declined(request));
            };
            let mut sender = stream.0.sender.clone();
            let mut failed = match sender.try_send_request(address(request, &self.0.scheme)).await {
                Ok(reply) => {
                    let reply = reply.map(|body| AppReply::over(Way::Stream(stream), body));
                    return Ok(Sent::Answered(reply));
                }
                Err(failed) => failed,
            };
            request = match failed.take_message() {
                // It never left, whatever it is.
                Some(mut unsent) => {
                    *unsent.uri_mut() = target.clone();
                    unsent.headers_mut().extend(host.clone().map(|host| (HOST, host)));
                    unsent
                }
                None => {
                    let error = failed.into_error();
                    let unprocessed = error_of(&error).is_some_and(was_not_processed);
                    let Some(head) = again.take().filter(|_| unprocessed) else {
                        return Err(Http2Error::Exchange(error));
                    };
                    tracing::debug!(%error, "the app did not process a request; asked again");
                    head
                }
            };
        }
        Err(Http2Error::Useless)
    }

    /// A place on a connection that was idle for less than this; `None` when the app wants HTTP/1.1.
    async fn stream(&self, idle_limit: Duration) -> Result<Option<Stream>, Http2Error> {
        for _ in 0..ATTEMPTS {
            if let Some(stream) = self.0.enter(idle_limit) {
                return Ok(Some(stream));
            }
            if lock(&self.0.declined).is_some_and(|since| since.elapsed() < DECLINED_FOR) {
                return Ok(None);
            }
            if !self.0.attempt().await.map_err(Http2Error::Connect)? {
                return Ok(None);
            }
        }
        Err(Http2Error::Useless)
    }
}

impl Lines {
    fn enter(&self, idle_limit: Duration) -> Option<Stream> {
        let mut open = lock(&self.open);
        open.retain(|line| line.is_of_use());
        open.iter().find_map(|line| line.enter(idle_limit))
    }

    /// The attempt that is under way, or another one. It goes on if all who wait for it leave.
    fn attempt(self: &Arc<Self>) -> Attempt {
        let mut next = lock(&self.next);
        if let Some(attempt) = next.as_ref().filter(|attempt| attempt.peek().is_none()) {
            return attempt.clone();
        }
        let connecting = tokio::spawn(Arc::clone(self).connect());
        let attempt = connecting.map(|ended| match ended {
            Ok(connected) => connected.map_err(Arc::new),
            Err(error) => Err(Arc::new(error.into())),
        });
        let attempt = attempt.boxed().shared();
        *next = Some(attempt.clone());
        attempt
    }

    async fn connect(self: Arc<Self>) -> Result<bool, BoxError> {
        let (stream, speaks_http2) = self.connector.connect_http2().await?;
        if !speaks_http2 {
            tracing::debug!("the app does not offer HTTP/2; HTTP/1.1 is used for a while");
            *lock(&self.declined) = Some(Instant::now());
            return Ok(false);
        }
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await?;
        let connection = Arc::new(Mutex::new(Some(connection)));
        let load = Load { streams: 0, idle_since: Instant::now() };
        let line = Line { sender, connection: Arc::clone(&connection), load: Mutex::new(load) };
        lock(&self.open).push(Arc::new(line));
        tokio::spawn(async move {
            let ended = poll_fn(|context| {
                let mut driver = lock(&connection);
                let ended =
                    driver.as_mut().map_or(Poll::Ready(Ok(())), |it| Pin::new(it).poll(context));
                driver.take_if(|_| ended.is_ready());
                ended
            });
            if let Err(error) = ended.await {
                tracing::debug!(%error, "an HTTP/2 connection to the app broke off");
            }
        });
        Ok(true)
    }
}

impl Line {
    fn is_of_use(&self) -> bool {
        let load = lock(&self.load);
        let fresh = load.streams > 0 || load.idle_since.elapsed() < IDLE_TIMEOUT;
        fresh && !self.sender.is_closed()
    }

    fn enter(self: &Arc<Self>, idle_limit: Duration) -> Option<Stream> {
        let room = lock(&self.connection).as_ref()?.current_max_send_streams().min(MAX_STREAMS);
        let mut load = lock(&self.load);
        let fresh = load.streams > 0 || load.idle_since.elapsed() < idle_limit;
        (fresh && load.streams < room).then(|| {
            load.streams += 1;
            Stream(Arc::clone(self))
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut load = lock(&self.0.load);
        load.streams -= 1;
        load.idle_since = Instant::now();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// Whether it was reset because its own body failed.
pub(super) fn broken_off_by_us(error: &h2::Error) -> bool {
    error.is_reset() && !error.is_remote() && !error.is_library()
}

/// The app says so (RFC 9113 section 8.7), or is about to go.
fn was_not_processed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

fn error_of(error: &hyper::Error) -> Option<&h2::Error> {
    super::fault::causes(error).find_map(|cause| cause.downcast_ref())
}

/// A request without a body, once more.
fn head(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(Either::Left(Empty::new()));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// HTTP/2 has the host in the target and frames of its own (RFC 9113 sections 8.2.2 and 8.3.1).
fn address(mut request: Request<RequestBody>, scheme: &Scheme) -> Request<RequestBody> {
    request.headers_mut().remove(TRANSFER_ENCODING);
    let host = request.headers_mut().remove(HOST);
    let mut target = request.uri().clone().into_parts();
    if let Some(host) = host.and_then(|host| host.to_str().ok()?.parse().ok()) {
        (target.scheme, target.authority) = (Some(scheme.clone()), Some(host));
    }
    if let Ok(target) = Uri::from_parts(target) {
        *request.uri_mut() = target;
    }
    *request.version_mut() = Version::HTTP_2;
    request
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On one connection, whatever more the app would take, so that one loss does not take everything along.
const MAX_STREAMS: usize = 100;
/// Connections that are made for one request before it is given up.
const ATTEMPTS: usize = 16;
/// An app that chose HTTP/1.1 is asked again after this time, since it may be another by then.
const DECLINED_FOR: Duration = Duration::from_secs(60);
/// Finds out about an app that vanished without a word.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
