//! The stacks of all workers, exchanged for those of another configuration while requests are under way.

use std::fmt::Display;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::descriptors;
use super::forward::Forwarder;
use super::gate;
use super::limits::limits;
use super::stack::{Asking, Stack, asking, serving};
use super::tls::Certificate;
use super::way::way_to_app;
use crate::backfill::{App, Backfill};
use crate::config::{Config, TlsConfig};
use crate::engine::Engine;
use crate::explain::Questions;
use crate::http::BoxError;
use crate::http::downstream::Entrance;
use crate::{Reloaded, Transom};

/// They change together. With what they have in common.
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
        let stacks = of_workers(workers, &engine, &gate, &forwarder)?;
        let asking = asking(&engine, &gate, &forwarder)?;
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
            of_workers(self.workers.len(), &next.engine, &gate, &self.forwarder).map_err(told)?;
        let asking = asking(&next.engine, &gate, &self.forwarder).map_err(told)?;
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

fn of_workers(
    count: usize,
    engine: &Arc<Engine>,
    gate: &Arc<gate::Shared>,
    app: &Forwarder,
) -> Result<Vec<Stack>, BoxError> {
    (0..count).map(|_| serving(engine, gate, app)).collect()
}

fn told(error: impl Display) -> String {
    error.to_string()
}
