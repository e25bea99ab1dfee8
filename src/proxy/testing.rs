//! A proxy that tests put between raw sockets.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tower::ServiceBuilder;

use super::forward::Forwarder;
use crate::config::{AppConfig, AppLimits, TlsConfig};
use crate::telemetry::Metrics;

use super::edge::{Edge, Parameters};
use super::gate::{self, Gate};
use super::observer::ConnectionLog;
use super::tls::Certificate;
use crate::events::Events;
use crate::http::downstream::signal::{self, Trigger};
use crate::http::downstream::{Entrance, Limits, serve};
use crate::http::testing::NAME;
pub(crate) use crate::http::testing::{App, PATIENCE, PATIENT, Peer};

/// The forwarder behind the listener, with nothing between them.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    stop: Trigger,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(app_url: &str, limits: Limits) -> Self {
        Self::start_with(app_url, limits, AppLimits::default()).await
    }

    pub(crate) async fn start_with(app_url: &str, limits: Limits, of_app: AppLimits) -> Self {
        Self::entered_by(app_url, limits, of_app, |entrance| entrance).await
    }

    pub(crate) async fn entered_by(
        app_url: &str,
        limits: Limits,
        of_app: AppLimits,
        change: impl FnOnce(Entrance) -> Entrance,
    ) -> Self {
        let app = AppConfig { limits: of_app, ..AppConfig::at(app_url.parse().unwrap()) };
        Self::around(&app, limits, change).await
    }

    pub(crate) async fn around(
        app: &AppConfig,
        limits: Limits,
        change: impl FnOnce(Entrance) -> Entrance,
    ) -> Self {
        let (forwarder, of_app) = (Forwarder::new(app).unwrap(), app.limits);
        let metrics = Arc::new(Metrics::new());
        let edge = Edge::layer_with(Parameters {
            trusted_proxies: vec![],
            limits,
            metrics: Arc::clone(&metrics),
            events: Events::new(Arc::clone(&metrics), vec![]),
            access_log: true,
        });
        let gate = Gate::layer(&gate::Shared::new(of_app, Arc::clone(&metrics)));
        let edge = ServiceBuilder::new().layer(edge).layer(gate).service(forwarder);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let observer = ConnectionLog { metrics: Arc::clone(&metrics), access_log: None };
        let entrance = change(Entrance::new(limits, Arc::new(observer)));
        let (stop, shutdown) = signal::shutdown();
        let task = tokio::spawn(serve(listener, move || edge.clone(), shutdown, entrance));
        Self { address, metrics, stop, task }
    }

    pub(crate) async fn before(app: &App) -> Self {
        Self::start(&app.url(), PATIENT).await
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer(TcpStream::connect(self.address).await.unwrap())
    }

    /// Asks for the end, and returns what ends with it.
    pub(crate) fn stop(self) -> JoinHandle<()> {
        self.stop.pull();
        self.task
    }
}

/// TLS with a certificate of its own, and for clients who trust that.
pub(crate) fn tls() -> (TlsAcceptor, TlsConnector) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: String| {
        let path = directory.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let cert = file("cert.pem", made.cert.pem());
    let key = file("key.pem", made.signing_key.serialize_pem());
    let acceptor = Certificate::load(&TlsConfig { cert, key, place: 0..0 }).unwrap().acceptor();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (acceptor.unwrap(), TlsConnector::from(Arc::new(client)))
}
