use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Backend;

/// The backend of new deliveries, which a reload exchanges. A call stays with the one that it began with.
#[derive(Debug)]
pub(crate) struct Current(ArcSwap<Arc<dyn Backend>>);

impl Current {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self(ArcSwap::from_pointee(backend))
    }

    pub(crate) fn get(&self) -> Arc<dyn Backend> {
        Arc::clone(&self.0.load())
    }

    pub(crate) fn set(&self, backend: Arc<dyn Backend>) {
        self.0.store(Arc::new(backend));
    }
}
