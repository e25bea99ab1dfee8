//! HTTP with one client.

use std::future::Future;
use std::pin::{Pin, pin};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tower::Service;

use crate::config::ServerLimits;
use crate::forward::{BoxError, Guarded};
use crate::telemetry::Metrics;

use super::ClientInfo;
use super::access_log::{AccessLog, Visitor};
use super::expect::Expectation;
use super::interim::{Interim, Interposed};
use super::limits::{Limit, Limits};
use super::linger::linger;
use super::resting::Line;
use super::signal::Shutdown;
use super::watch::{Answered, REST_AFTER, Watch, Watched};

/// A client's connection, which is served to its end or to the first limit.
pub(super) struct Conversation<'e, I> {
    line: Line<I>,
    watch: Watch,
    client: ClientInfo,
    of_clients: &'e ServerLimits,
    metrics: &'e Metrics,
    access_log: Option<&'e AccessLog>,
    shutdown: Shutdown,
}

enum Spoken {
    All,
    ForNow,
}

impl<'e, I: AsyncRead + AsyncWrite + Unpin + Send + 'static> Conversation<'e, I> {
    pub(super) fn new(
        io: I,
        client: ClientInfo,
        limits: &'e Limits,
        metrics: &'e Metrics,
        access_log: Option<&'e AccessLog>,
        shutdown: Shutdown,
    ) -> Self {
        let line = Line::new(Guarded::new(io, client.peer));
        let (watch, of_clients) = (Watch::new(limits), &limits.of_clients);
        Self { line, watch, client, of_clients, metrics, access_log, shutdown }
    }

    pub(super) async fn hold<M, S, B>(mut self, make: M)
    where
        M: Fn() -> S + Clone + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Error: Into<BoxError> + Send,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // It begins with a rest, since nobody knows yet what it will speak.
        while self.line.rest(&self.watch, self.client, self.metrics, &mut self.shutdown).await {
            // Boxed, so that nothing of it is left while the connection rests.
            if let Spoken::All = Box::pin(self.speak(make.clone())).await {
                break;
            }
        }
        if self.line.was_left_unheard() {
            Box::pin(linger(self.line)).await;
        }
    }

    async fn speak<M, S, B>(&mut self, make: M) -> Spoken
    where
        M: Fn() -> S + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Error: Into<BoxError> + Send,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let io = Watched::new(TokioIo::new(self.line.clone()), self.watch.clone());
        let interim = Interim::default();
        let usual = interim.listener(None);
        let (sayings, client) = (interim.clone(), self.client);
        let (watch, access_log) = (self.watch.clone(), self.access_log.cloned());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let version = request.version();
            let answering = watch.request(version);
            let expectation = Expectation::of(&request);
            let interim = (version == Version::HTTP_11).then(|| interim.clone());
            let extensions = request.extensions_mut();
            extensions.insert(client);
            match (&interim, &expectation) {
                (Some(_), None) => drop(extensions.insert(usual.clone())),
                (Some(interim), Some(expectation)) => {
                    extensions.insert(interim.listener(Some(expectation.clone())));
                    extensions.insert(expectation.clone());
                }
                (None, _) => {}
            }
            let mut visitor =
                access_log.as_ref().map(|log| Visitor::follow(log, &mut request, client));
            let reply = make().call(request);
            async move {
                let mut reply = match interim {
                    Some(interim) => interim.before(reply).await?,
                    None => reply.await?,
                };
                let without_body = expectation.and_then(Expectation::replied);
                if without_body.is_some() {
                    // Whether the client sends it nevertheless can't be known (RFC 9110 section 10.1.1).
                    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                if let Some(visitor) = &mut visitor {
                    visitor.answered(&reply);
                }
                let answered =
                    |body| Answered::new(body, answering, version, without_body, visitor);
                Ok::<_, S::Error>(reply.map(answered))
            }
        });
        if self.line.begins_http2() {
            let http = http2_builder(self.of_clients, Streams(self.watch.clone()));
            let serving = pin!(http.serve_connection(io, service));
            self.follow(serving, http2::Connection::graceful_shutdown).await
        } else {
            let io = Interposed::new(io, sayings);
            let http = http1_builder(self.of_clients).serve_connection(io, service);
            let serving = pin!(http.with_upgrades());
            self.follow(serving, http1::UpgradeableConnection::graceful_shutdown).await
        }
    }

    /// Serves until the end, or until nobody has said anything for a while; `leave` has it end soon.
    async fn follow<F>(&mut self, mut serving: Pin<&mut F>, leave: fn(Pin<&mut F>)) -> Spoken
    where
        F: Future<Output = hyper::Result<()>>,
    {
        let mut leaving = false;
        let ended = loop {
            while let Some(limit) = self.watch.cut(Instant::now()) {
                self.strike(limit);
            }
            let check = match self.watch.check(Instant::now()) {
                Ok(check) => check,
                Err(Limit::KeepAlive) if !leaving => {
                    self.strike(Limit::KeepAlive);
                    leaving = true;
                    leave(serving.as_mut());
                    self.watch.farewell();
                    continue;
                }
                Err(limit) => {
                    self.strike(limit);
                    return Spoken::All;
                }
            };
            tokio::select! {
                biased;
                ended = serving.as_mut() => break ended,
                () = sleep_until(check.min(Instant::now() + REST_AFTER)) => {
                    let at_rest = !leaving && self.watch.is_at_rest(Instant::now());
                    if at_rest && self.line.may_rest() {
                        return Spoken::ForNow;
                    }
                }
                () = self.shutdown.requested(), if !leaving => {
                    leaving = true;
                    leave(serving.as_mut());
                }
            }
        };
        if let Err(error) = ended {
            if error.is_parse_too_large() {
                self.strike(Limit::HeaderSize);
            }
            tracing::debug!(peer = %self.client.peer, %error, "connection ended early");
        }
        Spoken::All
    }

    fn strike(&self, limit: Limit) {
        limit.strike(self.metrics, Some(self.client.peer));
    }
}

/// Where hyper answers the streams of one HTTP/2 connection.
#[derive(Clone)]
struct Streams(Watch);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

fn http1_builder(limits: &ServerLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // The watch does this, for less than a timer per request.
        .header_read_timeout(None)
        .max_buf_size((limits.header_size as usize).max(LEAST_BUFFER));
    if limits.header_count != HYPERS_HEADER_COUNT {
        http.max_headers(limits.header_count);
    }
    http
}

fn http2_builder(limits: &ServerLimits, streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new()).max_header_list_size(limits.header_size);
    http
}

/// hyper accepts no smaller one.
const LEAST_BUFFER: usize = 8192;
/// As long as this is the limit hyper keeps the list of headers off the heap.
const HYPERS_HEADER_COUNT: usize = 100;
