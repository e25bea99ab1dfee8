use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::{Service, ServiceExt};

use crate::config::ServerLimits;
use crate::forward::{BoxError, Guarded};
use crate::reason::Reason;
use crate::telemetry::Metrics;

use super::ClientInfo;
use super::access_log::{AccessLog, Visitor};
use super::expect::Expectation;
use super::interim::{Interim, Interposed};
use super::limits::{Limit, Limits};
use super::proxy_protocol::{self, Unreadable};
use super::resting::Line;
use super::room::Room;
use super::signal::Shutdown;
use super::watch::{Answered, REST_AFTER, Watch, Watched};

/// The terms on which connections are taken. Clones count together.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(super) limits: Limits,
    /// Whose connections begin with a header of the PROXY protocol.
    proxies: Arc<[IpNet]>,
    /// For the next connection.
    latest: Arc<ArcSwap<Terms>>,
    room: Room,
    pub(super) metrics: Arc<Metrics>,
    tls: Option<TlsAcceptor>,
    access_log: Option<AccessLog>,
}

/// What of an [`Entrance`] may change while it is open.
#[derive(Clone)]
struct Terms {
    limits: Limits,
    proxies: Arc<[IpNet]>,
}

impl Entrance {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        let room = Room::new(limits.of_clients.connections);
        let proxies: Arc<[IpNet]> = Arc::default();
        let latest = ArcSwap::from_pointee(Terms { limits, proxies: proxies.clone() });
        Self {
            limits,
            proxies,
            latest: Arc::new(latest),
            room,
            metrics,
            tls: None,
            access_log: None,
        }
    }

    /// With a line for each request.
    pub(crate) fn with_access_log(self, access_log: Option<AccessLog>) -> Self {
        Self { access_log, ..self }
    }

    /// Connections are taken on other terms from now on; those that exist keep theirs.
    pub(super) fn renew(&self, limits: Limits, proxies: &[IpNet]) {
        self.latest.store(Arc::new(Terms { limits, proxies: proxies.into() }));
        self.room.resize(limits.of_clients.connections);
    }

    /// On the terms of this moment.
    pub(super) fn now(&self) -> Self {
        let Terms { limits, proxies } = Terms::clone(&self.latest.load());
        Self { limits, proxies, ..self.clone() }
    }

    /// Nothing but TLS.
    pub(crate) fn with_tls(self, tls: TlsAcceptor) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// From these networks, nothing that does not begin with a header of the PROXY protocol.
    pub(crate) fn with_proxies(self, proxies: &[IpNet]) -> Self {
        self.renew(self.limits, proxies);
        self
    }

    fn is_proxy(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        self.proxies.iter().any(|network| network.contains(&ip))
    }

    /// Waits until one more connection may be served. The one that was accepted last waits here, and those
    /// behind it in the kernel.
    async fn admit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let room = self.room.places();
        match Arc::clone(&room).try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                Limit::Connections.strike(&self.metrics, None);
                room.acquire_owned().await
            }
        }
    }
}

/// Serves HTTP/1.1 and HTTP/2 (by ALPN over TLS, or else by prior knowledge) until `shutdown`.
///
/// Requests that are being answered then may take up to `limits.drain`; afterwards their connections are
/// closed. Every request carries a [`ClientInfo`]. Connections that became tunnels are not waited for.
/// `make` is called for each request.
pub(crate) async fn serve<M, S, B>(
    listener: TcpListener,
    make: M,
    mut shutdown: Shutdown,
    entrance: Entrance,
) where
    M: Fn() -> S + Clone + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut connections = JoinSet::new();
    let mut patience = FIRST_PATIENCE;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = shutdown.requested() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                patience = FIRST_PATIENCE;
                let permit = tokio::select! {
                    Ok(permit) = entrance.admit() => permit,
                    () = shutdown.requested() => break,
                };
                let client = ClientInfo { peer, tls: false };
                let (make, entrance, shutdown) = (make.clone(), entrance.now(), shutdown.clone());
                connections.spawn(async move {
                    prepare(&stream);
                    greet(stream, client, make, entrance, shutdown).await;
                    drop(permit);
                });
            }
            Err(error) if is_about_one_connection(&error) => {
                tracing::debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                tracing::error!(
                    %error,
                    "no connection can be accepted; is the limit on open files too low?"
                );
                tokio::select! {
                    () = sleep(patience) => patience = (patience * 2).min(LAST_PATIENCE),
                    () = shutdown.requested() => break,
                }
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(entrance.now().limits.drain, drained).await.is_err() {
        entrance.metrics.limit(Limit::Drain.name());
        let (limit, connections) = (Limit::Drain.name(), connections.len());
        tracing::warn!(limit, connections, "closing connections that did not finish in time");
    }
}

/// What comes before HTTP.
async fn greet<M, S, B>(
    mut stream: TcpStream,
    mut client: ClientInfo,
    make: M,
    entrance: Entrance,
    mut shutdown: Shutdown,
) where
    M: Fn() -> S + Clone + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if entrance.is_proxy(client.peer) {
        let introduced = tokio::select! {
            introduced = introduction(&mut stream, client.peer, &entrance) => introduced,
            () = shutdown.requested() => return,
        };
        match introduced {
            Some(peer) => client.peer = peer,
            None => return,
        }
    }
    let Some(tls) = entrance.tls.clone() else {
        return speak(stream, client, make, entrance, shutdown).await;
    };
    let within = entrance.limits.of_clients.header_time;
    // Boxed, since it would leave its room empty in every connection.
    let handshake = Box::pin(timeout(within, tls.accept(stream)));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = shutdown.requested() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let client = ClientInfo { tls: true, ..client };
            Box::pin(speak(stream, client, make, entrance, shutdown)).await;
        }
        Ok(Err(error)) => tracing::debug!(peer = %client.peer, %error, "no TLS came about"),
        Err(_) => Limit::HeaderTime.strike(&entrance.metrics, Some(client.peer)),
    }
}

/// The client that a proxy says is behind it; `None`: it did not say so, and the log says why.
async fn introduction(
    stream: &mut TcpStream,
    proxy: SocketAddr,
    entrance: &Entrance,
) -> Option<SocketAddr> {
    match timeout(entrance.limits.of_clients.header_time, proxy_protocol::read(stream)).await {
        Ok(Ok(client)) => return Some(client.unwrap_or(proxy)),
        Ok(Err(Unreadable::Silent)) => {
            tracing::debug!(peer = %proxy, "the proxy closed its connection without a word");
        }
        Ok(Err(error)) => {
            let code = Reason::ProxyHeaderInvalid;
            tracing::warn!(%code, peer = %proxy, %error, "no PROXY protocol header where one is due");
        }
        Err(_) => Limit::HeaderTime.strike(&entrance.metrics, Some(proxy)),
    }
    None
}

/// HTTP over one connection, to its end or to the first limit.
async fn speak<I, M, S, B>(
    io: I,
    client: ClientInfo,
    make: M,
    entrance: Entrance,
    mut shutdown: Shutdown,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    M: Fn() -> S + Clone + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let watch = Watch::new(&entrance.limits);
    let line = Line::new(Guarded::new(io, client.peer));
    loop {
        let spoken =
            speak_until_rest(&line, &watch, client, make.clone(), &entrance, &mut shutdown);
        // Boxed, so that nothing of it is left while the connection rests.
        match Box::pin(spoken).await {
            Spoken::All => return,
            Spoken::ForNow => {}
        }
        if !line.rest(&watch, client, &entrance.metrics, &mut shutdown).await {
            return;
        }
    }
}

enum Spoken {
    All,
    ForNow,
}

async fn speak_until_rest<I, M, S, B>(
    line: &Line<I>,
    watch: &Watch,
    client: ClientInfo,
    make: M,
    entrance: &Entrance,
    shutdown: &mut Shutdown,
) -> Spoken
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    M: Fn() -> S + Clone + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let http = http_builder(&entrance.limits.of_clients, Streams(watch.clone()));
    let io = Watched::new(TokioIo::new(line.clone()), watch.clone());
    let interim = Interim::default();
    let io = Interposed::new(io, interim.clone());
    let mut usual = interim.extensions(None);
    usual.insert(client);
    let asked = watch.clone();
    let access_log = entrance.access_log.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let version = request.version();
        let answering = asked.request(version);
        let expectation = Expectation::of(&request);
        let interim = (version == Version::HTTP_11).then(|| interim.clone());
        match (&interim, &expectation) {
            (Some(_), None) => request.extensions_mut().extend(usual.clone()),
            (Some(interim), Some(expectation)) => {
                let mut extensions = interim.extensions(Some(expectation.clone()));
                extensions.insert(expectation.clone());
                extensions.insert(client);
                request.extensions_mut().extend(extensions);
            }
            (None, _) => drop(request.extensions_mut().insert(client)),
        }
        let mut visitor = access_log.as_ref().map(|log| Visitor::follow(log, &mut request, client));
        let reply = make().oneshot(request);
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
            let answered = |body| Answered::new(body, answering, version, without_body, visitor);
            Ok::<_, S::Error>(reply.map(answered))
        }
    });
    let mut serving = pin!(http.serve_connection_with_upgrades(io, service));
    let mut leaving = false;
    let ended = loop {
        while let Some(limit) = watch.cut(Instant::now()) {
            limit.strike(&entrance.metrics, Some(client.peer));
        }
        let check = match watch.check(Instant::now()) {
            Ok(check) => check,
            Err(Limit::KeepAlive) if !leaving => {
                Limit::KeepAlive.strike(&entrance.metrics, Some(client.peer));
                leaving = true;
                serving.as_mut().graceful_shutdown();
                watch.farewell();
                continue;
            }
            Err(limit) => {
                limit.strike(&entrance.metrics, Some(client.peer));
                return Spoken::All;
            }
        };
        tokio::select! {
            ended = serving.as_mut() => break ended,
            () = sleep_until(check.min(Instant::now() + REST_AFTER)) => {
                if !leaving && watch.is_at_rest(Instant::now()) && line.may_rest() {
                    return Spoken::ForNow;
                }
            }
            () = shutdown.requested(), if !leaving => {
                leaving = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        let too_large = error.downcast_ref().is_some_and(hyper::Error::is_parse_too_large);
        if too_large {
            Limit::HeaderSize.strike(&entrance.metrics, Some(client.peer));
        }
        tracing::debug!(peer = %client.peer, error, "connection ended early");
    }
    Spoken::All
}

/// Where hyper answers the streams of one HTTP/2 connection.
#[derive(Clone)]
struct Streams(Watch);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.0.spawn(stream);
    }
}

fn http_builder(limits: &ServerLimits, streams: Streams) -> auto::Builder<Streams> {
    let mut http = auto::Builder::new(streams);
    http.http1()
        .timer(TokioTimer::new())
        // The watch does this, for less than a timer per request.
        .header_read_timeout(None)
        .max_buf_size((limits.header_size as usize).max(LEAST_BUFFER));
    if limits.header_count != HYPERS_HEADER_COUNT {
        http.http1().max_headers(limits.header_count);
    }
    http.http2().timer(TokioTimer::new()).max_header_list_size(limits.header_size);
    http
}

/// A socket that refuses an option still carries HTTP.
fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    let set =
        stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = set {
        tracing::debug!(%error, "socket option refused");
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// hyper accepts no smaller one.
const LEAST_BUFFER: usize = 8192;
/// As long as this is the limit hyper keeps the list of headers off the heap.
const HYPERS_HEADER_COUNT: usize = 100;
/// Finds out about clients that vanished without a word, under a reply that may take forever.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
const FIRST_PATIENCE: Duration = Duration::from_millis(20);
const LAST_PATIENCE: Duration = Duration::from_secs(1);
