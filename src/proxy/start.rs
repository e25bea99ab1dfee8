//! The whole proxy in one piece, for `run`, `demo` and tests.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::forward::Forwarder;
use crate::Transom;
use crate::admin::AdminService;
use crate::config::{Config, RuntimeModel, ServerLimits};
use crate::http::BoxError;

use super::access_log::AccessLog;
use super::descriptors;
use super::follow::{self, Follower};
use super::health::ProxyHealth;
use super::limits::limits;
use super::observer::ConnectionLog;
use super::reload::Stacks;
use super::sockets::Sockets;
use super::stack::Stack;
use crate::http::downstream::signal::{self, Hangups, Shutdown, Trigger};
use crate::http::downstream::workers::{self, Workers};
use crate::http::downstream::{Entrance, FIRST_REQUEST, Limits, serve};
use crate::proxy::tls::{Certificate, TlsError};

/// Starts everything that `config` describes on these sockets, whatever it says of addresses.
pub(crate) async fn start_proxy(
    mut config: Config,
    sockets: Sockets,
) -> Result<RunningProxy, StartProxyError> {
    let Sockets { clients: listeners, admin: admin_listener } = sockets;
    descriptors::fit(&mut config);
    let (limits, runtime) = (limits(&config), config.server.runtime);
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

    /// Lets requests finish for as long as `server.drain` allows, and deliveries for a moment: those that are cut
    /// go on at the next start. The admin listener answers to the end.
    pub(crate) async fn stop(mut self) {
        self.stop_proxy.pull();
        self.proxy.drained().await;
        self.stacks.transom.stop(DELIVERY_AT_MOST).await;
        self.tell_what_is_left().await;
        self.stop_admin.pull();
        self.end().await;
    }

    /// Makes room for another process on the same sockets and the same store. Returns when nothing that needs the
    /// store is under way, after `server.drain` at the latest; other requests go on, for as long as that allows.
    pub(crate) async fn release(mut self) -> Released {
        let drain = self.stacks.entrance.limits().drain;
        self.stop_proxy.pull();
        self.stop_admin.pull();
        let transom = self.stacks.transom.clone();
        let in_flight = transom.engine().in_flight.clone();
        let quiet = async {
            sleep(FIRST_REQUEST).await;
            in_flight.none().await;
        };
        tokio::select! {
            () = self.proxy.drained() => {}
            quiet = timeout(drain, quiet) => if quiet.is_err() {
                let requests = in_flight.count();
                tracing::warn!(requests, "uploads or views did not end in time, and lose the store");
            },
        }
        transom.stop(DELIVERY_AT_MOST).await;
        transom.engine().store.close().await;
        Released(self)
    }

    async fn tell_what_is_left(&self) {
        let outbox = self.stacks.transom.outbox();
        // Nothing but the log waits for it.
        if let Ok(Ok(left)) = timeout(COUNT_AT_MOST, outbox.figures()).await {
            let (deliveries, parked) = (left.due + left.sending, left.parked);
            if deliveries > 0 {
                tracing::info!(deliveries, parked, "what is left goes on at the next start");
            }
        }
    }

    /// What has no part in an answer any more.
    async fn end(self) {
        if let Some(mut admin) = self.admin {
            ended("admin", &mut admin).await;
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

/// A proxy that has given up its store, and still answers what it had begun with.
pub(crate) struct Released(RunningProxy);

impl Released {
    /// Waits until all is answered, or `server.drain` over.
    pub(crate) async fn drained(mut self) {
        self.0.proxy.drained().await;
        self.0.end().await;
    }
}

impl Serving {
    async fn drained(&mut self) {
        match self {
            Self::Workers(workers) => workers.drained().await,
            Self::Tasks(tasks) => {
                while let Some(task) = tasks.last_mut() {
                    ended("proxy", task).await;
                    tasks.pop();
                }
            }
        }
    }
}

/// Why a proxy did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartProxyError {
    #[error("{setting} = \"{address}\" can't be listened on: {}", remedy(.error))]
    Listen { setting: &'static str, address: SocketAddr, error: io::Error },
    #[error("an inherited socket can't be used: {0}")]
    Inherited(io::Error),
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

pub(super) fn listen(
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

async fn ended(name: &str, task: &mut JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "the {name} listener ended by a fault");
    }
}

const ADMIN_DRAIN: Duration = Duration::from_secs(1);
/// Probes and operators are few.
const ADMIN_CONNECTIONS: usize = 64;
/// Cutting a delivery off leaves its outcome unknown, so it gets a moment; not more, since DWS may hang.
const DELIVERY_AT_MOST: Duration = Duration::from_secs(5);
const COUNT_AT_MOST: Duration = Duration::from_secs(1);
