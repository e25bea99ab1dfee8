//! The whole proxy in one piece, for `run`, `demo` and tests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::Layer;

use crate::Transom;
use crate::config::Config;
use crate::forward::Forwarder;

use super::admin::Admin;
use super::edge::Edge;
use super::health::ProxyHealth;
use super::signal::{self, Trigger};
use super::{Limits, serve};

/// Starts everything that `config` describes: listeners, engine, admin.
pub(crate) async fn start_proxy(config: Config) -> Result<RunningProxy, StartProxyError> {
    // Listeners first: a second process on the same address must not get as far as the store.
    let listener = listen("server.listen", config.server.listen).await?;
    let admin_listener = match config.server.admin {
        Some(address) => Some(listen("server.admin", address).await?),
        None => None,
    };
    start_proxy_on(config, listener, admin_listener).await
}

/// The same on these listeners, whatever `config` says of addresses.
pub(crate) async fn start_proxy_on(
    config: Config,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
) -> Result<RunningProxy, StartProxyError> {
    let drain = config.server.drain;
    let limits = Limits::with_drain(drain);
    let trusted_proxies = config.server.trusted_proxies.clone();
    let address = local_address("server.listen", &listener)?;
    let admin_address =
        admin_listener.as_ref().map(|at| local_address("server.admin", at)).transpose()?;
    let forwarder =
        Forwarder::new(&config.app).map_err(|error| StartProxyError::App(error.to_string()))?;
    let transom =
        Transom::start(config).await.map_err(|error| StartProxyError::Engine(error.to_string()))?;

    let (stop_proxy, proxy_stops) = signal::shutdown();
    let (stop_admin, admin_stops) = signal::shutdown();
    let health = Arc::new(ProxyHealth { transom: transom.clone(), forwarder: forwarder.clone() });
    let service = Edge::new(transom.layer().layer(forwarder), trusted_proxies, transom.metrics());
    let proxy = tokio::spawn(serve(listener, move || service.clone(), proxy_stops.clone(), limits));
    let admin = admin_listener.map(|listener| {
        let admin = Admin::new(health, transom.metrics(), proxy_stops);
        tokio::spawn(serve(
            listener,
            move || admin.clone(),
            admin_stops,
            Limits::with_drain(ADMIN_DRAIN),
        ))
    });
    Ok(RunningProxy {
        address,
        admin_address,
        transom,
        drain,
        stop_proxy,
        stop_admin,
        proxy,
        admin,
    })
}

/// A proxy at work on the current runtime. Dropping it stops the listeners without waiting.
pub(crate) struct RunningProxy {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    transom: Transom,
    drain: Duration,
    stop_proxy: Trigger,
    stop_admin: Trigger,
    proxy: JoinHandle<()>,
    admin: Option<JoinHandle<()>>,
}

impl RunningProxy {
    /// Where clients connect; with the real port if the configured one was 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Lets requests and deliveries finish for as long as `server.drain` allows them together. The admin
    /// listener answers to the end.
    pub(crate) async fn stop(self) {
        let started = Instant::now();
        self.stop_proxy.pull();
        ended("proxy", self.proxy).await;
        let left = self.drain.saturating_sub(started.elapsed()).max(LEAST_FOR_DELIVERY);
        self.transom.stop(left).await;
        self.stop_admin.pull();
        if let Some(admin) = self.admin {
            ended("admin", admin).await;
        }
    }
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartProxyError {
    #[error("{setting} = \"{address}\" can't be listened on: {}", remedy(.error))]
    Listen { setting: &'static str, address: SocketAddr, error: io::Error },
    #[error("connections to the app can't be set up: {0}")]
    App(String),
    #[error("{0}")]
    Engine(String),
}

async fn listen(
    setting: &'static str,
    address: SocketAddr,
) -> Result<TcpListener, StartProxyError> {
    TcpListener::bind(address).await.map_err(|error| StartProxyError::Listen {
        setting,
        address,
        error,
    })
}

fn local_address(
    setting: &'static str,
    listener: &TcpListener,
) -> Result<SocketAddr, StartProxyError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|error| StartProxyError::Listen {
        setting,
        address: unknown,
        error,
    })
}

fn remedy(error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "; another process has it, perhaps another transom",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need the right to bind them",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address",
        _ => "",
    };
    format!("{error}{advice}")
}

async fn ended(name: &str, task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "the {name} listener ended by a fault");
    }
}

const ADMIN_DRAIN: Duration = Duration::from_secs(1);
/// Cutting a delivery off leaves its outcome unknown, so it gets a moment even after a slow drain.
const LEAST_FOR_DELIVERY: Duration = Duration::from_secs(5);
