//! An engine whose services do nothing, for requests that are only asked about.

use std::future::ready;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::HeaderValue;

use crate::backend::{
    Backend, BackendError, BackendErrorKind, Capabilities, Listed, Properties, SessionRequest,
    SessionToken, Times, Upload,
};
use crate::config::Remember;
use crate::engine::{Effects, Engine};
use crate::events::Events;
use crate::session::{Broker, Decisions};
use crate::telemetry::Metrics;
use crate::trail::Following;

impl Engine {
    /// Decides as this one does, from the same keys and documents, of which it changes none. Nothing is counted, logged,
    /// put on record or remembered, and no session is minted.
    pub(crate) fn dry_run(&self) -> Self {
        let metrics = Arc::new(Metrics::new());
        let backend = Arc::new(Pretended(self.broker.backend()));
        Self {
            config: self.config.clone(),
            effects: Effects::None,
            authenticator: self.authenticator.forgetful(),
            outbox: self.outbox.clone(),
            broker: Broker::new(backend, metrics.clone(), false),
            audit: None,
            decisions: Decisions::new(&Remember::NOTHING),
            spool: self.spool.clone(),
            sources: self.sources.clone(),
            owned: self.owned.clone(),
            metrics,
            events: Events::only(Box::new(Following)),
            store: self.store.clone(),
            backend: self.backend.clone(),
            backend_health: self.backend_health.clone(),
            watch: self.watch.clone(),
            background: self.background.clone(),
            in_flight: self.in_flight.clone(),
        }
    }
}

/// Stands in for the backend: every session is granted, and none of them opens anything.
#[derive(Debug)]
struct Pretended(Arc<dyn Backend>);

impl Backend for Pretended {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn account(&self) -> &str {
        self.0.account()
    }

    fn times(&self) -> Times {
        self.0.times()
    }

    fn upload<'a>(&'a self, _: Upload<'a>) -> BoxFuture<'a, Result<String, BackendError>> {
        ready(Err(nothing_happens())).boxed()
    }

    fn properties<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<Properties>, BackendError>> {
        ready(Err(nothing_happens())).boxed()
    }

    fn list<'a>(&'a self, _: Option<&'a str>) -> BoxFuture<'a, Result<Listed, BackendError>> {
        ready(Err(nothing_happens())).boxed()
    }

    fn remove<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), BackendError>> {
        ready(Err(nothing_happens())).boxed()
    }

    fn session<'a>(
        &'a self,
        request: SessionRequest<'a>,
    ) -> BoxFuture<'a, Result<SessionToken, BackendError>> {
        let token = SessionToken {
            jwt: "the-session".to_owned().into(),
            header: HeaderValue::from_static("the-session"),
            document_id: request.document_id.to_owned(),
            expires: request.expires,
            permissions: request.permissions,
            server_url: None,
        };
        ready(Ok(token)).boxed()
    }

    fn has_lost<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, BackendError>> {
        ready(Ok(false)).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        ready(Ok(())).boxed()
    }

    fn data_planes(&self) -> Arc<Vec<String>> {
        self.0.data_planes()
    }
}

fn nothing_happens() -> BackendError {
    let detail = "the request is only asked about".to_owned();
    BackendError::new(BackendErrorKind::Refused, None, detail)
}
