//! The tower Layer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tower::Layer;

use crate::engine::Engine;
use crate::mount::{Mount, Told};
use crate::service::TransomService;

/// Puts Transom in front of a service, which must be the whole app. See the [crate documentation](crate).
#[derive(Clone, Debug)]
pub struct TransomLayer {
    engine: Arc<ArcSwap<Engine>>,
    /// `None` where we mount it ourselves.
    told: Option<Told>,
}

impl TransomLayer {
    pub(crate) fn new(engine: Arc<ArcSwap<Engine>>, told: Told) -> Self {
        Self { engine, told: Some(told) }
    }

    /// One that stays with this engine, for a proxy that exchanges the whole way of a request, and for questions.
    pub(crate) fn of(engine: Arc<Engine>) -> Self {
        Self { engine: Arc::new(ArcSwap::new(engine)), told: None }
    }
}

impl<S> Layer<S> for TransomLayer {
    type Service = TransomService<S>;

    fn layer(&self, inner: S) -> TransomService<S> {
        let mount = self.told.clone().map(Mount::around::<S>);
        TransomService::new(self.engine.clone(), mount, inner)
    }
}
