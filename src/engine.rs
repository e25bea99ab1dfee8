//! Everything that requests are served with, its start and its end. `reload` exchanges it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tracing::error;

use crate::audit::Audit;
use crate::auth::Authenticator;
use crate::backend::{self, Backend, Current};
use crate::config::Config;
use crate::events::Events;
use crate::health::BackendHealth;
use crate::in_flight::InFlight;
use crate::inject::Owned;
use crate::mount::Told;
use crate::outbox::{Outbox, OutboxHandle};
use crate::private;
use crate::session::{Broker, Decisions};
use crate::source::Sources;
use crate::spool::Spool;
use crate::store::{self, DocumentStore, StoreError, backend_path, keys_path, spool_path};
use crate::telemetry::Metrics;
use crate::trail::{Following, Watch};

/// A running Transom: put it [`around`](Self::around) the app, and [`stop`](Self::stop) it at the end.
///
/// Cheap to clone; all clones are the same engine.
#[derive(Clone, Debug)]
pub struct Transom {
    /// What new requests are served with; those in progress keep what they began with.
    pub(crate) engine: Arc<ArcSwap<Engine>>,
    /// One reload at a time.
    pub(crate) reloading: Arc<Mutex<()>>,
    pub(crate) told: Told,
}

pub(crate) struct Engine {
    pub(crate) config: Arc<Config>,
    pub(crate) effects: Effects,
    pub(crate) authenticator: Authenticator,
    pub(crate) outbox: Outbox,
    pub(crate) broker: Broker,
    pub(crate) audit: Option<Audit>,
    pub(crate) decisions: Decisions,
    pub(crate) spool: Spool,
    pub(crate) sources: Sources,
    pub(crate) owned: Arc<Owned>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) events: Events,
    pub(crate) store: Arc<dyn DocumentStore>,
    /// That of new deliveries. All engines of one Transom share it, as they do the outbox.
    pub(crate) backend: Arc<Current>,
    pub(crate) backend_health: Arc<BackendHealth>,
    pub(crate) watch: Arc<Watch>,
    /// Where work goes on that outlives its request, apart from the runtimes that serve connections.
    pub(crate) background: Handle,
    pub(crate) in_flight: InFlight,
}

/// What may become of a request beyond its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effects {
    /// Whatever it asks for.
    All,
    /// The request is only asked about: uploads and requests that no rule is about end here, and documents are taken as
    /// they are on record. The services of such an engine do nothing either.
    None,
}

impl Transom {
    /// Opens the store under `[store] path` and starts delivering. Without the feature `store-sled` there is no
    /// such store: what is known and still to be delivered is forgotten with the process.
    ///
    /// A DWS that can't be reached, or refuses the key, and a store that can't be opened (a full disk, damage, another
    /// process that holds it) are logged and shown by `/readyz`; they do not stop the start, since the app behind us needs
    /// neither. The store is tried again every few seconds; until it opens, requests pass, and what they bring waits.
    ///
    /// # Errors
    /// A key can't be used.
    ///
    /// What goes on in the background does so on the runtime that this is called on; the layer may be used on
    /// any other too.
    ///
    /// # Panics
    /// Must be called within a tokio runtime.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let folder = config.store.path.clone();
        let open = move || {
            // What is wrong with it is told by the store, which needs it.
            let _ = private::folder(&folder);
            store::start(&folder)
        };
        let folder = config.store.path.clone();
        let store = tokio::task::spawn_blocking(open)
            .await
            .map_err(|_| StartError("opening the store was interrupted".into()))??;
        let transom = Self::start_with(config, store).await?;
        // Others than the store may have something there, such as the audit log.
        drop(tokio::task::spawn_blocking(move || private::content(&folder)));
        Ok(transom)
    }

    /// The same with a store of your own. The spool still lives under `[store] path`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(
        config: Config,
        store: Arc<dyn DocumentStore>,
    ) -> Result<Self, StartError> {
        let (spool, keys) = (spool_path(&config.store.path), keys_path(&config.store.path));
        let authenticator = Authenticator::start(&config.identities, Some(&keys));
        let authenticator = authenticator.map_err(StartError)?;
        Self::assemble(config, store, &spool, authenticator, BackendHealth::watch).await
    }

    /// An engine of which only decisions are asked: nobody is told that it is there. Without `tokens`, every
    /// caller is assumed, and no keys are needed.
    pub(crate) async fn start_apart(
        mut config: Config,
        store: Arc<dyn DocumentStore>,
        spool: &Path,
        tokens: bool,
    ) -> Result<Self, StartError> {
        // What is only asked about is no grant.
        config.audit = None;
        let identities = if tokens { &config.identities[..] } else { &[] };
        let authenticator = Authenticator::start(identities, None).map_err(StartError)?;
        let health = |_| BackendHealth::unwatched();
        Self::assemble(config, store, spool, authenticator, health).await
    }

    async fn assemble(
        config: Config,
        store: Arc<dyn DocumentStore>,
        spool_dir: &Path,
        authenticator: Authenticator,
        health: impl FnOnce(Arc<dyn Backend>) -> BackendHealth,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let spool = Spool::new(spool_dir).within(config.store.spool, metrics.clone());
        spool.set_hold(config.store.hold);
        if let Err(error) = spool.make() {
            let path = spool_dir.display();
            error!(
                "the spool at {path} can't be used: {error}. Uploads pass uncaptured until it can"
            );
        }
        let events = Events::new(metrics.clone(), vec![Box::new(Following)]);
        let audit = config.audit.as_ref().map(|audit| Audit::start(audit, events.clone()));
        let audit = audit.transpose().map_err(StartError)?;
        let backend = connect(&config, metrics.clone())?;
        let deliver_to = Arc::new(Current::new(backend.clone()));
        let outbox =
            Outbox::start(store.clone(), spool.clone(), deliver_to.clone(), events.clone()).await;
        let backend_health = Arc::new(health(backend.clone()));
        let broker = Broker::new(backend, metrics.clone(), config.identities.len() > 1);
        let decisions = Decisions::new(&config.app.remember);
        let owned = Arc::new(Owned::new(&owned_headers(&config)));
        authenticator.ready().await;
        let engine = Engine {
            config: Arc::new(config),
            effects: Effects::All,
            authenticator,
            outbox,
            broker,
            audit,
            decisions,
            spool,
            sources: Sources::new(),
            owned,
            events,
            metrics,
            store,
            backend: deliver_to,
            backend_health,
            watch: Arc::default(),
            background: Handle::current(),
            in_flight: InFlight::default(),
        };
        let engine = Arc::new(ArcSwap::from_pointee(engine));
        Ok(Self { engine, reloading: Arc::default(), told: Told::default() })
    }

    /// Lets running deliveries come to an end, for at most `within`. What is not delivered by then
    /// rests in the journal and goes on at the next start.
    pub async fn stop(&self, within: Duration) {
        self.engine().outbox.stop(within).await;
    }

    /// Writes documents, jobs and the uploads that wait to one file, while everything goes on: what
    /// `transom store backup` writes, and `transom store restore` brings back. For the store under `[store] path`.
    ///
    /// # Errors
    /// The file can't be written, or the store's second copy, from which it is made, is itself just being written.
    #[cfg(feature = "store-sled")]
    pub async fn backup(&self, file: impl AsRef<Path>) -> Result<(), StoreError> {
        let folder = self.engine().config.store.path.clone();
        let file = file.as_ref().to_owned();
        let backup = move || store::rescue::backup(&folder, &file);
        let backup = tokio::task::spawn_blocking(backup).await;
        let interrupted = |_| StoreError::Stopped("the backup was interrupted".to_owned());
        backup.map_err(interrupted)?.map(|_| ())
    }

    /// What is still to be delivered, and what waits for an operator's decision.
    #[must_use]
    pub fn outbox(&self) -> OutboxHandle {
        OutboxHandle::new(self.engine().outbox.clone())
    }

    /// Prometheus text of every figure that Transom counts.
    #[must_use]
    pub fn render_metrics(&self) -> String {
        let engine = self.engine();
        engine.metrics.store_failures(engine.store.failures());
        engine.metrics.render()
    }

    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        self.engine().metrics.clone()
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }
}

impl Engine {
    /// An engine for the same documents under another configuration. What was granted under this one
    /// is not known to it: no session, no decision, no verified token.
    pub(crate) async fn renewed(&self, config: Config) -> Result<Self, StartError> {
        let (backend, backend_health) = if config.backend.is_same(&self.config.backend) {
            (self.backend.get(), self.backend_health.clone())
        } else {
            let backend = connect(&config, self.metrics.clone())?;
            (backend.clone(), Arc::new(BackendHealth::watch(backend)))
        };
        let keys_dir = keys_path(&config.store.path);
        let authenticator = self.authenticator.renewed(&config.identities, &keys_dir);
        let authenticator = authenticator.map_err(StartError)?;
        authenticator.ready().await;
        self.spool.set_limits(config.store.spool);
        self.spool.set_hold(config.store.hold);
        Ok(Self {
            broker: Broker::new(backend, self.metrics.clone(), config.identities.len() > 1),
            decisions: self.decisions.renewed(&config.app.remember),
            owned: Arc::new(Owned::new(&owned_headers(&config))),
            config: Arc::new(config),
            effects: self.effects,
            authenticator,
            outbox: self.outbox.clone(),
            spool: self.spool.clone(),
            sources: self.sources.clone(),
            events: self.events.clone(),
            metrics: self.metrics.clone(),
            store: self.store.clone(),
            backend: self.backend.clone(),
            backend_health,
            audit: self.audit.clone(),
            watch: self.watch.clone(),
            background: self.background.clone(),
            in_flight: self.in_flight.clone(),
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// Why Transom could not be started or reloaded, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub(crate) String);

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

fn connect(config: &Config, metrics: Arc<Metrics>) -> Result<Arc<dyn Backend>, StartError> {
    let folder = backend_path(&config.store.path);
    backend::connect(&config.backend, metrics, Some(&folder)).map_err(StartError)
}

/// The request headers that carry sessions to the app: nobody else may set them.
fn owned_headers(config: &Config) -> Vec<http::HeaderName> {
    let rules = config.routes.rules().iter().filter_map(|rule| match &rule.action {
        crate::config::Action::View(view) => Some(view),
        _ => None,
    });
    let deliveries = rules.flat_map(|view| &view.session.request);
    deliveries.map(|delivery| delivery.owned().clone()).collect()
}
