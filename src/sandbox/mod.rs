//! A local stand-in of DWS Viewer: for tests, for the demo and for operators' staging.
//!
//! It answers as the real service was observed to answer, quirks included, on `/viewer/` (control
//! plane) and `/i/d/` (data plane). Beyond the real one it has `/control/` (state, request journal,
//! faults, quotas), `/nutrient-viewer.js` (a small viewer with the face of the Web SDK) and
//! `/sandbox/content/` (what that viewer shows).

mod access;
mod clock;
mod collection;
mod control;
mod data_plane;
mod documents;
mod faults;
mod grants;
mod journal;
mod page;
mod reply;
mod routes;
mod service;
mod signer;
mod state;
mod upload;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use self::state::{Quirks, Quota};

use self::state::Shared;

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub(crate) struct SandboxOptions {
    pub(crate) listen: SocketAddr,
    /// Where `/control/` lives; `None`: on the same listener.
    pub(crate) control: Option<SocketAddr>,
    /// Under which address browsers reach it, when that isn't the one it listens on.
    pub(crate) public_url: Option<String>,
    pub(crate) key: String,
    /// A key of another product: 403 on every call.
    pub(crate) wrong_product_key: String,
    /// A key without the right to write: reads pass, writes are 403.
    pub(crate) read_only_key: String,
    /// Where documents and counters outlive the process; `None`: in memory.
    pub(crate) data: Option<PathBuf>,
    /// Bytes of one document (DWS: 100 MiB).
    pub(crate) size_limit: u64,
    /// `false`: hash and size of documents are kept, their bytes are not.
    pub(crate) keep_content: bool,
    pub(crate) quota: Quota,
    pub(crate) quirks: Quirks,
}

/// A running sandbox. Dropping it ends it at once.
#[derive(Debug)]
pub(crate) struct Sandbox {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where `/control/` is.
    pub(crate) control: SocketAddr,
    /// Where browsers find it, with a trailing slash.
    origin: String,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

/// Which addresses a listener answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    Service,
    Control,
    Both,
}

impl Sandbox {
    /// Listens, and serves on the current runtime until [`Sandbox::stop`].
    pub(crate) async fn start(options: SandboxOptions) -> io::Result<Self> {
        let listener = listen(options.listen).await?;
        let address = listener.local_addr()?;
        let control_listener = match options.control {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let control = match &control_listener {
            Some(listener) => listener.local_addr()?,
            None => address,
        };
        let shared = Arc::new(Shared::load(options, address).await?);
        let origin = shared.origin.clone();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve(listener, control_listener, shared, stopped));
        Ok(Self { address, control, origin, stop: Some(stop), server })
    }

    /// What goes into `dws.url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/viewer", self.address)
    }

    /// What goes into `viewer.sdk`.
    pub(crate) fn sdk_url(&self) -> String {
        format!("{}nutrient-viewer.js", self.origin)
    }

    /// The page that shows what happens.
    pub(crate) fn control_url(&self) -> String {
        format!("http://{}/control/", self.control)
    }

    /// Lets requests in flight end (at most [`GRACE`]), then closes every connection.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        // An error means that the task panicked or was aborted: stopped as well.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            control: None,
            public_url: None,
            key: "sandbox-key".to_owned(),
            wrong_product_key: "sandbox-wrong-product".to_owned(),
            read_only_key: "sandbox-read-only".to_owned(),
            data: None,
            size_limit: 100 * 1024 * 1024,
            keep_content: true,
            quota: Quota::default(),
            quirks: Quirks::default(),
        }
    }
}

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("listening on {address}: {error}")))
}

async fn serve(
    listener: TcpListener,
    control: Option<TcpListener>,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let face = if control.is_some() { Face::Service } else { Face::Both };
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let (stream, face) = tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => continue,
            stream = accept(&listener), if connections.len() < MAX_CONNECTIONS => (stream, face),
            stream = accept_some(control.as_ref()), if connections.len() < MAX_CONNECTIONS => {
                (stream, Face::Control)
            }
        };
        let shared = Arc::clone(&shared);
        let service =
            service_fn(move |request| service::handle(Arc::clone(&shared), face, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        // Errors are peers that went away, and the hang-ups that faults ask for.
        connections.spawn(async { drop(connection.await) });
    }
    drop((listener, control));
    // What is left after the grace (faults that hang) is aborted with the set.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

async fn accept_some(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => accept(listener).await,
        None => std::future::pending().await,
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Only a delay is lost when this fails.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            // The peer is gone, or the process has no descriptor left: both pass.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

const GRACE: Duration = Duration::from_secs(3);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const MAX_CONNECTIONS: usize = 1_024;
