//! The tower Layer.

use std::sync::Arc;

use tower::Layer;

use crate::engine::Engine;
use crate::service::TransomService;

/// Puts Transom in front of a service. See the [crate documentation](crate).
#[derive(Clone, Debug)]
pub struct TransomLayer {
    engine: Arc<Engine>,
}

impl TransomLayer {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }
}

impl<S> Layer<S> for TransomLayer {
    type Service = TransomService<S>;

    fn layer(&self, inner: S) -> TransomService<S> {
        TransomService::new(self.engine.clone(), inner)
    }
}
