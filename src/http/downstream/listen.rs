use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use ipnet::IpNet;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::http::BoxError;
use crate::reason::Reason;
use crate::telemetry::Metrics;

use super::arriving::Arriving;
use super::limits::{Limit, Limits};
use super::proxy_protocol::{self, Unreadable};
use super::room::Room;
use super::seats::Seats;
use super::signal::Shutdown;
use super::speak::{Admitted, Conversation};
use super::watch::Watch;
use crate::http::ClientInfo;
use crate::proxy::access_log::AccessLog;

/// The terms on which connections are taken. Clones count together.
#[derive(Clone)]
pub(crate) struct Entrance {
    /// For the next connection.
    terms: Arc<ArcSwap<Terms>>,
    room: Room,
    seats: Seats,
    pub(crate) metrics: Arc<Metrics>,
    tls: Option<TlsAcceptor>,
    access_log: Option<AccessLog>,
}

/// What of an [`Entrance`] may change while it is open. A connection keeps those of its beginning.
struct Terms {
    limits: Limits,
    /// Whose connections begin with a header of the PROXY protocol.
    proxies: Vec<IpNet>,
}

impl Entrance {
    pub(crate) fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        let room = Room::new(limits.of_clients.connections);
        let terms = Arc::new(ArcSwap::from_pointee(Terms { limits, proxies: Vec::new() }));
        let seats = Seats::default();
        Self { terms, room, seats, metrics, tls: None, access_log: None }
    }

    /// With a line for each request.
    pub(crate) fn with_access_log(self, access_log: Option<AccessLog>) -> Self {
        Self { access_log, ..self }
    }

    /// Connections are taken on other terms from now on.
    pub(crate) fn renew(&self, limits: Limits, proxies: &[IpNet]) {
        self.terms.store(Arc::new(Terms { limits, proxies: proxies.to_vec() }));
        self.room.resize(limits.of_clients.connections);
    }

    /// Of this moment.
    pub(crate) fn limits(&self) -> Limits {
        self.terms.load().limits
    }

    /// Nothing but TLS.
    pub(crate) fn with_tls(self, tls: TlsAcceptor) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// From these networks, nothing that does not begin with a header of the PROXY protocol.
    pub(crate) fn with_proxies(self, proxies: &[IpNet]) -> Self {
        self.renew(self.limits(), proxies);
        self
    }

    /// Waits until one more connection may be served, for which silent ones make room. The one that was accepted
    /// last waits here, and those behind it in the kernel.
    async fn admit(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let room = self.room.places();
        match Arc::clone(&room).try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(_) => {
                Limit::Connections.strike(&self.metrics, None);
                let mut permit = pin!(room.acquire_owned());
                loop {
                    self.seats.make_room(Instant::now());
                    if let Ok(permit) = timeout(PAUSE, permit.as_mut()).await {
                        return permit;
                    }
                }
            }
        }
    }
}

impl Terms {
    fn is_proxy(&self, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        self.proxies.iter().any(|network| network.contains(&ip))
    }
}

/// Serves HTTP/1.1 and HTTP/2 (by ALPN over TLS, or else by prior knowledge) until `shutdown`.
///
/// Requests that are being answered then may take up to `limits.drain`; afterwards their connections are
/// closed. Every request carries a [`ClientInfo`]. Connections that became tunnels are not waited for.
/// `make` is called for each request; what it makes has to be ready at once, and is not polled for that.
pub(crate) async fn serve<M, S, B>(
    listener: TcpListener,
    make: M,
    mut shutdown: Shutdown,
    entrance: Entrance,
) where
    M: Fn() -> S + Clone + Send + 'static,
    S: Service<Request<Arriving>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    prepare(&listener);
    let entrance = Arc::new(entrance);
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
                let (make, shutdown) = (make.clone(), shutdown.clone());
                let (entrance, terms) = (Arc::clone(&entrance), entrance.terms.load_full());
                let watch = Watch::new(&terms.limits);
                let seat = entrance.seats.take(&watch);
                connections.spawn(async move {
                    watch.attend().await;
                    let admitted = Admitted { watch, permit: Some(permit) };
                    greet(stream, client, admitted, make, &entrance, &terms, shutdown).await;
                    drop(seat);
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
                entrance.seats.make_room(Instant::now());
                tokio::select! {
                    () = sleep(patience) => patience = (patience * 2).min(LAST_PATIENCE),
                    () = shutdown.requested() => break,
                }
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(entrance.limits().drain, drained).await.is_err() {
        entrance.metrics.limit(Limit::Drain.name());
        let (limit, connections) = (Limit::Drain.name(), connections.len());
        tracing::warn!(limit, connections, "closing connections that did not finish in time");
    }
}

/// What comes before HTTP.
async fn greet<M, S, B>(
    mut stream: TcpStream,
    mut client: ClientInfo,
    admitted: Admitted,
    make: M,
    entrance: &Entrance,
    terms: &Terms,
    mut shutdown: Shutdown,
) where
    M: Fn() -> S + Clone + Send + 'static,
    S: Service<Request<Arriving>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let metrics = &entrance.metrics;
    if terms.is_proxy(client.peer) {
        // Boxed, as TLS below: it would leave its room empty in every connection.
        let within = terms.limits.of_clients.header_time;
        let introduction = Box::pin(introduction(&mut stream, client.peer, within, metrics));
        let introduced = tokio::select! {
            introduced = introduction => introduced,
            () = shutdown.requested() => return,
            () = admitted.watch.left() => {
                return Limit::Connections.make_way(metrics, client.peer);
            }
        };
        match introduced {
            Some(peer) => client.peer = peer,
            None => return,
        }
    }
    if let Some(tls) = &entrance.tls {
        return Box::pin(secure(tls, stream, client, admitted, make, entrance, terms, shutdown))
            .await;
    }
    let (limits, log) = (&terms.limits, entrance.access_log.as_ref());
    Conversation::new(stream, client, admitted, limits, metrics, log, shutdown).hold(make).await;
}

/// HTTP behind a handshake.
#[allow(clippy::too_many_arguments, reason = "they are those of `greet`")]
async fn secure<M, S, B>(
    tls: &TlsAcceptor,
    stream: TcpStream,
    client: ClientInfo,
    admitted: Admitted,
    make: M,
    entrance: &Entrance,
    terms: &Terms,
    mut shutdown: Shutdown,
) where
    M: Fn() -> S + Clone + Send + 'static,
    S: Service<Request<Arriving>, Response = Response<B>> + Send + 'static,
    S::Error: Into<BoxError> + Send,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (limits, metrics, log) = (&terms.limits, &entrance.metrics, entrance.access_log.as_ref());
    let handshake = Box::pin(timeout(limits.of_clients.header_time, tls.accept(stream)));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        () = shutdown.requested() => return,
        () = admitted.watch.left() => return Limit::Connections.make_way(metrics, client.peer),
    };
    match shaken {
        Ok(Ok(stream)) => {
            let client = ClientInfo { tls: true, ..client };
            let conversation =
                Conversation::new(stream, client, admitted, limits, metrics, log, shutdown);
            conversation.hold(make).await;
        }
        Ok(Err(error)) => tracing::debug!(peer = %client.peer, %error, "no TLS came about"),
        Err(_) => Limit::HeaderTime.strike(metrics, Some(client.peer)),
    }
}

/// The client that a proxy says is behind it; `None`: it did not say so, and the log says why.
async fn introduction(
    stream: &mut TcpStream,
    proxy: SocketAddr,
    within: Duration,
    metrics: &Metrics,
) -> Option<SocketAddr> {
    match timeout(within, proxy_protocol::read(stream)).await {
        Ok(Ok(client)) => return Some(client.unwrap_or(proxy)),
        Ok(Err(Unreadable::Silent)) => {
            tracing::debug!(peer = %proxy, "the proxy closed its connection without a word");
        }
        Ok(Err(error)) => {
            let code = Reason::ProxyHeaderInvalid;
            tracing::warn!(%code, peer = %proxy, %error, "no PROXY protocol header where one is due");
        }
        Err(_) => Limit::HeaderTime.strike(metrics, Some(proxy)),
    }
    None
}

/// The sockets that it accepts inherit these options. One that refuses them still carries HTTP.
fn prepare(listener: &TcpListener) {
    let socket = SockRef::from(listener);
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    let set = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
    if let Err(error) = set {
        tracing::debug!(%error, "socket option refused");
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Finds out about clients that vanished without a word, under a reply that may take forever.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Between looks for connections that may make room.
const PAUSE: Duration = Duration::from_millis(20);
const FIRST_PATIENCE: Duration = Duration::from_millis(20);
const LAST_PATIENCE: Duration = Duration::from_secs(1);
