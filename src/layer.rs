//! The tower Layer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tower::Layer;

use crate::engine::{Engine, Transom};
use crate::mount::{Mount, Told};
use crate::service::TransomService;

/// Puts Transom in front of a service, which must be the whole app. See the [crate documentation](crate).
#[derive(Clone, Debug)]
pub struct TransomLayer {
    engine: Arc<ArcSwap<Engine>>,
    /// `None` where we mount it ourselves.
    told: Option<Told>,
}

impl Transom {
    /// `app` with Transom in front: the same as `transom.layer().layer(app)`.
    ///
    /// `app` is the whole app, with all of its routes, since Transom asks it for its own word: whether this
    /// caller may see that document. What recognises callers by request extensions belongs inside of `app`,
    /// for Transom's own requests carry none but [`ClientInfo`](crate::ClientInfo).
    ///
    /// ```no_run
    /// # use axum::Router;
    /// # fn mount(transom: &transom::Transom, router: Router) -> Router {
    /// Router::new().fallback_service(transom.around(router))
    /// # }
    /// ```
    #[must_use]
    pub fn around<S>(&self, app: S) -> TransomService<S> {
        self.layer().layer(app)
    }

    /// The middleware, for a `tower::ServiceBuilder`. Any number of services may carry it, each of them a whole
    /// app as for [`around`](Self::around).
    ///
    /// Not for axum's `Router::layer`, which wraps the routes one by one: a mount like that gives no session, and
    /// the first request that meets it has an error logged that says so (`layer_misplaced`).
    #[must_use]
    pub fn layer(&self) -> TransomLayer {
        TransomLayer::new(self.engine.clone(), self.told.clone())
    }
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
