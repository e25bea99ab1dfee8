//! The whole proxy in one piece, for `run`, `demo` and tests.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::forward::Forwarder;
use crate::Transom;
use crate::admin::AdminService;
use crate::config::{Config, RuntimeModel, ServerLimits};
use crate::http::BoxError;

use super::access_log::AccessLog;
use super::descriptors;
use super::follow::{self, Follower};
use super::health::ProxyHealth;
use super::observer::ConnectionLog;
use super::stack::{self, Stack, Stacks};
use crate::http::downstream::signal::{self, Hangups, Shutdown, Trigger};
use crate::http::downstream::workers::{self, Workers};
use crate::http::downstream::{Entrance, Limits, serve};
use crate::proxy::tls::{Certificate, TlsError};

/// Starts everything that `config` describes: listeners, engine, admin.
pub(crate) async fn start_proxy(config: Config) -> Result<RunningProxy, StartProxyError> {
    let sockets = match config.server.runtime {
        RuntimeModel::PerCore => config.server.workers,
        RuntimeModel::Shared => 1,
    };
    // Listeners first: a second process on the same address must not get as far as the store.
    let listeners = listen("server.listen", config.server.listen, sockets)?;
    let admin_listener = match config.server.admin {
        Some(address) => listen("server.admin", address, 1)?.pop(),
        None => None,
    };
    start_proxy_on(config, listeners, admin_listener).await
}

/// The same on these listeners, whatever `config` says of addresses.
pub(crate) async fn start_proxy_on(
    mut config: Config,
    listeners: Vec<StdListener>,
    admin_listener: Option<StdListener>,
) -> Result<RunningProxy, StartProxyError> {
    descriptors::fit(&mut config);
    let (limits, runtime) = (stack::limits(&config), config.server.runtime);
    let access_log = config.server.access_log.clone();
    let address = local_address(&listeners)?;
    let admin_address =
        admin_listener.as_ref().map(|at| local_address(std::slice::from_ref(at))).transpose()?;
    let app_error = |error: BoxError| StartProxyError::App(error.to_string());
    let forwarder = Forwarder::new(&config.app).map_err(app_error)?;
    let certificate = config.server.tls.as_ref().map(Certificate::load).transpose()?;
    let transom =
        Transom::start(config).await.map_err(|error| StartProxyError::Engine(error.to_string()))?;

    let (stop_proxy, proxy_stops) = signal::shutdown();
    let (stop_admin, admin_stops) = signal::shutdown();
    let access_log = access_log.map(|to| AccessLog::start(&to, transom.metrics()));
    let access_log = access_log.transpose().map_err(StartProxyError::AccessLog)?;
    let observer = ConnectionLog { metrics: transom.metrics(), access_log: access_log.clone() };
    let mut entrance = Entrance::new(limits, Arc::new(observer))
        .with_proxies(&transom.engine().config.server.proxy_protocol);
    if let Some(certificate) = &certificate {
        entrance = entrance.with_tls(certificate.acceptor()?);
        tokio::spawn(certificate.clone().follow(transom.metrics(), proxy_stops.clone()));
    }
    let count = listeners.len();
    let stacks = Stacks::new(transom.clone(), forwarder, count, entrance, certificate);
    let stacks = Arc::new(stacks.map_err(app_error)?);
    let jobs = listeners.into_iter().zip(stacks.workers()).map(|(listener, stack)| {
        let (stops, entrance) = (proxy_stops.clone(), stacks.entrance.clone());
        let stack = Arc::clone(stack);
        let latest = move || Stack::clone(&stack.load());
        (listener, move |listener| serve(listener, latest, stops, entrance))
    });
    let jobs: Vec<_> = jobs.collect();
    let proxy = match runtime {
        RuntimeModel::PerCore => {
            Serving::Workers(Workers::start(jobs).map_err(StartProxyError::Workers)?)
        }
        RuntimeModel::Shared => {
            let serving = jobs
                .into_iter()
                .map(|(listener, job)| Ok(tokio::spawn(job(TcpListener::from_std(listener)?))));
            Serving::Tasks(serving.collect::<io::Result<_>>().map_err(StartProxyError::Workers)?)
        }
    };
    let config = Arc::new(follow::State::default());
    let health = ProxyHealth {
        stacks: Arc::clone(&stacks),
        config: Arc::clone(&config),
        proxy_stops: proxy_stops.clone(),
    };
    let admin = admin_listener.map(|listener| -> Result<_, StartProxyError> {
        let mut closes = admin_stops.clone();
        let closes = async move { closes.requested().await };
        let admin = AdminService::new(Arc::new(health), transom.metrics()).asking(
            stacks.questions(),
            stacks.backfill(),
            transom.clone(),
            closes,
        );
        let listener = TcpListener::from_std(listener).map_err(StartProxyError::Workers)?;
        let of_clients = ServerLimits { connections: ADMIN_CONNECTIONS, ..ServerLimits::default() };
        let limits = Limits { of_clients: of_clients.into(), drain: ADMIN_DRAIN };
        let observer = ConnectionLog { metrics: transom.metrics(), access_log: None };
        let entrance = Entrance::new(limits, Arc::new(observer));
        Ok(tokio::spawn(serve(listener, move || admin.clone(), admin_stops, entrance)))
    });
    let admin = admin.transpose()?;
    Ok(RunningProxy {
        address,
        admin_address,
        stacks,
        config,
        stop_proxy,
        proxy_stops,
        stop_admin,
        proxy,
        admin,
        access_log,
    })
}

/// A proxy at work on the current runtime. Dropping it stops the listeners without waiting.
pub(crate) struct RunningProxy {
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    stacks: Arc<Stacks>,
    config: Arc<follow::State>,
    stop_proxy: Trigger,
    proxy_stops: Shutdown,
    stop_admin: Trigger,
    proxy: Serving,
    admin: Option<JoinHandle<()>>,
    access_log: Option<AccessLog>,
}

/// Where connections are served.
enum Serving {
    Workers(Workers),
    /// On the current runtime.
    Tasks(Vec<JoinHandle<()>>),
}

impl RunningProxy {
    /// Where clients connect; with the real port if the configured one was 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// From now on `file` is taken into use when it changes, and at each hangup.
    pub(crate) fn follow(&self, file: PathBuf, hangups: Hangups) {
        let follower = Follower::new(file, Arc::clone(&self.stacks), Arc::clone(&self.config));
        tokio::spawn(follower.run(hangups, self.proxy_stops.clone()));
    }

    /// Lets requests and deliveries finish for as long as `server.drain` allows them together. The admin
    /// listener answers to the end.
    pub(crate) async fn stop(mut self) {
        let started = Instant::now();
        self.stop_proxy.pull();
        match &mut self.proxy {
            Serving::Workers(workers) => workers.drained().await,
            Serving::Tasks(tasks) => {
                for task in tasks.drain(..) {
                    ended("proxy", task).await;
                }
            }
        }
        let drain = self.stacks.entrance.limits().drain;
        let left = drain.saturating_sub(started.elapsed()).max(LEAST_FOR_DELIVERY);
        self.stacks.transom.stop(left).await;
        self.stop_admin.pull();
        if let Some(admin) = self.admin {
            ended("admin", admin).await;
        }
        if let Serving::Workers(workers) = self.proxy {
            workers.end();
        }
        if let Some(access_log) = self.access_log {
            // Nobody is served here any more who could be held up.
            access_log.finish();
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
    #[error("connections can't be served: {0}")]
    Workers(io::Error),
    #[error("`server.tls`: {0}")]
    Tls(#[from] TlsError),
    #[error("`server.access_log`: {0}")]
    AccessLog(String),
    #[error("{0}")]
    Engine(String),
}

fn listen(
    setting: &'static str,
    address: SocketAddr,
    sockets: usize,
) -> Result<Vec<StdListener>, StartProxyError> {
    workers::listen(address, sockets).map_err(|error| StartProxyError::Listen {
        setting,
        address,
        error,
    })
}

/// Of sockets that share it.
fn local_address(sockets: &[StdListener]) -> Result<SocketAddr, StartProxyError> {
    let first = sockets.first().ok_or_else(|| io::ErrorKind::NotConnected.into());
    first.and_then(StdListener::local_addr).map_err(StartProxyError::Workers)
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
/// Probes and operators are few.
const ADMIN_CONNECTIONS: usize = 64;
/// Cutting a delivery off leaves its outcome unknown, so it gets a moment even after a slow drain.
const LEAST_FOR_DELIVERY: Duration = Duration::from_secs(5);
