//! What requests go through on their way to the app, and its exchange while requests are under way.

use std::fmt::Display;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tower::Layer;

use super::forward::Forwarder;
use crate::config::{Config, TlsConfig};
use crate::engine::Engine;
use crate::explain::{Harmless, Questions};
use crate::http::BoxError;
use crate::service::TransomService;
use crate::{Reloaded, Transom, TransomLayer};

use super::descriptors;
use super::edge::Edge;
use super::gate::{self, Gate};
use super::way::way_to_app;
use crate::backfill::{App, Backfill};
use crate::http::downstream::Entrance;
use crate::http::downstream::Limits;
use crate::proxy::tls::Certificate;

/// From the client's side to the app's. It stays with one configuration in all of its parts.
pub(super) type Stack = Edge<TransomService<Gate<Forwarder>>>;

/// The same for what operators ask about.
type Asking = Edge<TransomService<Harmless<Gate<Forwarder>>>>;

/// The stacks of all workers, which change together, and what they have in common.
pub(super) struct Stacks {
    pub(super) transom: Transom,
    pub(super) forwarder: Forwarder,
    pub(super) entrance: Entrance,
    pub(super) certificate: Option<Certificate>,
    gate: ArcSwap<gate::Shared>,
    workers: Vec<Arc<ArcSwap<Stack>>>,
    asking: Arc<ArcSwap<Asking>>,
    /// For requests of our own that no client's belongs to.
    app: Arc<ArcSwap<App>>,
}

impl Stacks {
    /// # Errors
    /// Connections to the app can't be set up.
    pub(super) fn new(
        transom: Transom,
        forwarder: Forwarder,
        workers: usize,
        entrance: Entrance,
        certificate: Option<Certificate>,
    ) -> Result<Self, BoxError> {
        let engine = transom.engine();
        let gate = gate::Shared::new(engine.config.app.limits, transom.metrics());
        let stacks = build(workers, &forwarder, &gate, &engine)?;
        let asking = asking(&transom, &forwarder, &gate, &engine)?;
        let app = way_to_app(&forwarder, &gate, &engine.config.app)?;
        let workers = stacks.into_iter().map(|stack| Arc::new(ArcSwap::from_pointee(stack)));
        let (workers, gate) = (workers.collect(), ArcSwap::new(gate));
        let asking = Arc::new(ArcSwap::from_pointee(asking));
        let app = Arc::new(ArcSwap::from_pointee(app));
        Ok(Self { transom, forwarder, entrance, certificate, gate, workers, asking, app })
    }

    /// Asks the app of its moment.
    pub(super) fn backfill(&self) -> Backfill {
        let app = Arc::clone(&self.app);
        Backfill::new(self.transom.clone(), move || App::clone(&app.load()))
    }

    /// Each is put to the configuration of its moment.
    pub(super) fn questions(&self) -> Questions {
        let asking = Arc::clone(&self.asking);
        Questions::to(move || Asking::clone(&asking.load()))
    }

    pub(super) fn workers(&self) -> &[Arc<ArcSwap<Stack>>] {
        &self.workers
    }

    /// Requests that come from now on, also over connections that exist, are served under `config`; the
    /// limits of a connection itself are those of its beginning. `None` if it says nothing new.
    ///
    /// # Errors
    /// A sentence for the operator; then nothing has changed.
    pub(super) async fn reload(&self, mut config: Config) -> Result<Option<Reloaded>, String> {
        descriptors::fit(&mut config);
        let Some(next) = self.transom.prepare(config).await.map_err(told)? else {
            return Ok(None);
        };
        let config = &next.engine.config;
        let before = self.transom.engine();
        let same = |tls: &&TlsConfig| {
            before.config.server.tls.as_ref().is_some_and(|before| before.is_same(tls))
        };
        let files = config.server.tls.as_ref().filter(|tls| !same(tls));
        let certificate = files.map(Certificate::load).transpose();
        let certificate = certificate.map_err(|error| format!("`server.tls`: {error}"))?;
        let gate = self.gate.load().renewed(config.app.limits);
        let stacks =
            build(self.workers.len(), &self.forwarder, &gate, &next.engine).map_err(told)?;
        let asking = asking(&self.transom, &self.forwarder, &gate, &next.engine).map_err(told)?;
        let app = way_to_app(&self.forwarder, &gate, &config.app).map_err(told)?;

        // Nothing fails from here on.
        let (limits, requests) = (limits(config), config.app.limits.requests);
        let proxies = config.server.proxy_protocol.clone();
        let reloaded = self.transom.commit(next);
        for (worker, stack) in self.workers.iter().zip(stacks) {
            worker.store(Arc::new(stack));
        }
        self.asking.store(Arc::new(asking));
        self.app.store(Arc::new(app));
        gate.resize(requests);
        self.gate.store(gate);
        self.entrance.renew(limits, &proxies);
        if let (Some(certificate), Some(new)) = (&self.certificate, certificate) {
            certificate.become_like(&new);
        }
        Ok(Some(reloaded))
    }
}

/// What `config` holds clients to.
pub(super) fn limits(config: &Config) -> Limits {
    Limits { of_clients: config.server.limits.into(), drain: config.server.drain }
}

fn build(
    count: usize,
    forwarder: &Forwarder,
    gate: &Arc<gate::Shared>,
    engine: &Arc<Engine>,
) -> Result<Vec<Stack>, BoxError> {
    let stack = |_| {
        let forwarder = forwarder.sibling(&engine.config.app)?;
        let layer = TransomLayer::of(Arc::clone(engine));
        let service = layer.layer(Gate::new(forwarder, Arc::clone(gate)));
        Ok(edge(service, engine, engine.config.server.access_log.is_some()))
    };
    (0..count).map(stack).collect()
}

fn asking(
    transom: &Transom,
    forwarder: &Forwarder,
    gate: &Arc<gate::Shared>,
    engine: &Arc<Engine>,
) -> Result<Asking, BoxError> {
    let forwarder = forwarder.sibling(&engine.config.app)?;
    let app = Harmless::new(Gate::new(forwarder, Arc::clone(gate)), transom.clone());
    let engine = Arc::new(engine.dry_run());
    Ok(edge(TransomLayer::of(Arc::clone(&engine)).layer(app), &engine, false))
}

fn edge<S>(service: S, engine: &Arc<Engine>, logs: bool) -> Edge<S> {
    let (limits, metrics) = (limits(&engine.config), Arc::clone(&engine.metrics));
    let events = engine.events.clone();
    Edge::new(service, engine.config.server.trusted_proxies.clone(), limits, metrics, events, logs)
}

fn told(error: impl Display) -> String {
    error.to_string()
}
