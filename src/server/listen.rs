use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt};

use crate::forward::{BoxError, Guarded};

use super::ClientInfo;
use super::signal::Shutdown;

/// How long a listener waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For the head of a request, the first one or one on a kept connection.
    pub(crate) head: Duration,
    /// For requests in progress when the end comes.
    pub(crate) drain: Duration,
}

impl Limits {
    pub(crate) fn with_drain(drain: Duration) -> Self {
        Self { head: HEAD_TIMEOUT, drain }
    }
}

/// Serves HTTP/1.1 and HTTP/2 (without TLS, by prior knowledge) until `shutdown`.
///
/// Requests that are being answered then may take up to `limits.drain`; afterwards their connections are
/// closed. Every request carries a [`ClientInfo`]. Connections that became tunnels are not waited for.
pub(crate) async fn serve<M, S, B>(
    listener: TcpListener,
    make: M,
    mut shutdown: Shutdown,
    limits: Limits,
) where
    M: Fn() -> S,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let http = http_builder(limits.head);
    let graceful = GracefulShutdown::new();
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
                let client = ClientInfo { peer, tls: false };
                let watcher = graceful.watcher();
                connections.spawn(connection(
                    http.clone(),
                    stream,
                    client,
                    make(),
                    limits.head,
                    watcher,
                ));
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
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        let connections = connections.len();
        let drain = limits.drain;
        tracing::warn!(connections, ?drain, "closing connections that did not finish in time");
    }
}

async fn connection<S, B>(
    http: auto::Builder<TokioExecutor>,
    stream: TcpStream,
    client: ClientInfo,
    service: S,
    head: Duration,
    watcher: Watcher,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    prepare(&stream);
    let spoke = Arc::new(AtomicBool::new(false));
    let service = {
        let spoke = Arc::clone(&spoke);
        service_fn(move |mut request: Request<Incoming>| {
            spoke.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(client);
            service.clone().oneshot(request)
        })
    };
    let serving = http
        .serve_connection_with_upgrades(TokioIo::new(Guarded::new(stream, client.peer)), service);
    let mut serving = Box::pin(watcher.watch(serving));
    let ended = match timeout(head, &mut serving).await {
        Ok(ended) => ended,
        // While the builder waits for the first bytes, to tell the versions apart, no other limit holds.
        Err(_) if !spoke.load(Ordering::Relaxed) => return,
        Err(_) => serving.await,
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %client.peer, error, "connection ended early");
    }
}

fn http_builder(head: Duration) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(head);
    http.http2().timer(TokioTimer::new());
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

const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Finds out about clients that vanished without a word, under a reply that may take forever.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
const FIRST_PATIENCE: Duration = Duration::from_millis(20);
const LAST_PATIENCE: Duration = Duration::from_secs(1);
