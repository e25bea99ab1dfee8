//! The tower Layer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tower::Layer;

use crate::engine::Engine;
use crate::service::TransomService;

/// Puts Transom in front of a service. See the [crate documentation](crate).
#[derive(Clone, Debug)]
pub struct TransomLayer {
    engine: Arc<ArcSwap<Engine>>,
}

impl TransomLayer {
    pub(crate) fn new(engine: Arc<ArcSwap<Engine>>) -> Self {
        Self { engine }
    }

    /// One that stays with this engine, for a proxy that exchanges the whole way of a request.
    #[cfg(feature = "server")]
    pub(crate) fn of(engine: Arc<Engine>) -> Self {
        Self::new(Arc::new(ArcSwap::new(engine)))
    }
}

impl<S> Layer<S> for TransomLayer {
    type Service = TransomService<S>;

    fn layer(&self, inner: S) -> TransomService<S> {
        TransomService::new(self.engine.clone(), inner)
    }
}
