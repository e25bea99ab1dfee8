//! What operators ask: is it alive, is it ready, what does it count; and why a request fares as it does.
//!
//! A service, for the admin listener of the `transom` command and for whatever a service that mounts the layer answers
//! its operators with.

mod lines;
mod live;
pub(crate) mod mappings;
mod operator;
pub(crate) mod outbox;
mod page;
pub(crate) mod status;

use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use serde::Serialize;
use tower::{Layer, Service};

use self::operator::Operator;
use crate::backfill::{self, Backfill};
use crate::body::RequestBody;
use crate::dependencies::{Dependency, Status};
use crate::engine::Transom;
use crate::explain::{Harmless, Questions};
use crate::http::BoxError;
use crate::layer::TransomLayer;
use crate::telemetry::Metrics;

/// Knows how those are that Transom depends on. Asked by probes every few seconds: no I/O.
pub(crate) trait Health: Send + Sync + 'static {
    fn dependencies(&self) -> Vec<Dependency>;
    /// It takes no more requests.
    fn is_draining(&self) -> bool;
}

impl Health for Transom {
    fn dependencies(&self) -> Vec<Dependency> {
        self.health()
    }

    fn is_draining(&self) -> bool {
        self.engine().outbox.is_stopped()
    }
}

/// What operators and their probes ask of Transom, as a service without a listener: `GET /healthz`, `/readyz`,
/// `/metrics` (OpenMetrics 1.0), `/events` (the live feed), `/status`, `/outbox`, `/mappings` and `/trace/{id}`,
/// `POST /trace`, and with [`explaining`](Self::explaining) `POST /explain`. `POST` below `/outbox` and `/mappings`
/// changes them, as the commands of the same names do: `transom outbox` and `transom mappings` ask here with
/// `--admin`, as `transom status` and `transom explain` do.
///
/// What it tells is for operators alone, so that it belongs on an address that clients don't reach. It answers to
/// IP addresses, to `localhost` and to the names in `[server] admin_hosts` (421 otherwise), since a web page could have
/// a name of its own lead here.
///
/// ```
/// # use axum::Router;
/// # fn operators(transom: &transom::Transom, app: Router) -> Router {
/// Router::new().fallback_service(transom.admin_service().explaining(app))
/// # }
/// ```
#[derive(Clone)]
pub struct AdminService {
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
    operator: Option<Operator>,
}

impl Transom {
    /// Answers probes and operators; see [`AdminService`]. Streams of events end when Transom shuts down.
    #[must_use]
    pub fn admin_service(&self) -> AdminService {
        let closes = self.engine().outbox.stopped().boxed().shared();
        let operator = Operator { questions: None, backfill: None, transom: self.clone(), closes };
        AdminService::new(Arc::new(self.clone()), self.metrics()).with(operator)
    }
}

impl AdminService {
    pub(crate) fn new(health: Arc<dyn Health>, metrics: Arc<Metrics>) -> Self {
        Self { health, metrics, operator: None }
    }

    /// Answers `POST /explain` too: what would become of a request, and why. `app` is the one that the layer is around.
    /// It is asked as a client would ask it, and with nothing that could change something. And `POST /backfill/…`, by
    /// which `transom backfill --admin` gets documents that the app had before.
    #[must_use]
    pub fn explaining<S, R>(self, app: S) -> Self
    where
        S: Service<Request<RequestBody<Empty<Bytes>>>, Response = Response<R>>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let Some(operator) = self.operator else { return self };
        let transom = operator.transom.clone();
        let asked = backfill::app(app.clone());
        let backfill = Backfill::new(transom.clone(), move || asked.clone());
        let service = move || {
            let engine = Arc::new(transom.engine().dry_run());
            let asking = (TransomLayer::of(engine.clone()), Harmless::layer(&engine));
            asking.layer(app.clone())
        };
        let (questions, backfill) = (Some(Questions::to(service)), Some(backfill));
        Self { operator: Some(Operator { questions, backfill, ..operator }), ..self }
    }

    fn with(self, operator: Operator) -> Self {
        Self { operator: Some(operator), ..self }
    }

    /// The same with the way of a request that the proxy has. Streams end when `closes` is done.
    #[cfg(feature = "cli")]
    pub(crate) fn asking(
        self,
        questions: Questions,
        backfill: Backfill,
        transom: Transom,
        closes: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let closes = closes.boxed().shared();
        let (questions, backfill) = (Some(questions), Some(backfill));
        self.with(Operator { questions, backfill, transom, closes })
    }

    /// Of this moment.
    fn hosts(&self) -> Vec<String> {
        let operator = self.operator.as_ref();
        let engine = operator.map(|operator| operator.transom.engine());
        engine.map(|engine| engine.config.server.admin_hosts.clone()).unwrap_or_default()
    }

    fn answer(&self, method: &Method, path: &str) -> Response<AdminBody> {
        let page: fn(&Self) -> (StatusCode, &'static str, String) = match path {
            "/healthz" => |_| (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => Self::readiness,
            "/metrics" => Self::figures,
            _ => return reply(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused =
                reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD only\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let (status, content_type, body) = page(self);
        reply(status, content_type, body)
    }

    fn readiness(&self) -> (StatusCode, &'static str, String) {
        let dependencies = self.health.dependencies();
        let readiness = Readiness::of(&dependencies, self.health.is_draining());
        let status = match readiness {
            Readiness::Ready | Readiness::Degraded => StatusCode::OK,
            Readiness::Unready | Readiness::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        let body = serde_json::json!({ "status": readiness, "dependencies": dependencies });
        (status, "application/json", format!("{body}\n"))
    }

    fn figures(&self) -> (StatusCode, &'static str, String) {
        for dependency in self.health.dependencies() {
            self.metrics.dependency(dependency.name, !dependency.status.is_trouble());
        }
        (StatusCode::OK, OPEN_METRICS, self.metrics.render())
    }
}

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Readiness {
    Ready,
    Degraded,
    Unready,
    Draining,
}

impl Readiness {
    /// Unready only when requests should go elsewhere: without the store nothing can be kept, and a
    /// draining process takes no more. An app or a DWS that is down is no better behind another process.
    fn of(dependencies: &[Dependency], draining: bool) -> Self {
        let down = |name| dependencies.iter().any(|d| d.name == name && d.status == Status::Down);
        if draining {
            Self::Draining
        } else if down("store") {
            Self::Unready
        } else if dependencies.iter().any(|d| d.status.is_trouble()) {
            Self::Degraded
        } else {
            Self::Ready
        }
    }
}

impl Status {
    fn is_trouble(self) -> bool {
        matches!(self, Self::Degraded | Self::Down)
    }
}

impl fmt::Debug for AdminService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminService").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for AdminService
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<AdminBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Err(refusal) = page::check(&request, &self.hosts()) {
            return Box::pin(ready(Ok(reply(refusal.status, TEXT, refusal.told))));
        }
        if operator::is_ours(request.uri().path())
            && let Some(operator) = self.operator.clone()
        {
            let health = Arc::clone(&self.health);
            return Box::pin(async move { Ok(operator.answer(request, &*health).await) });
        }
        Box::pin(ready(Ok(self.answer(request.method(), request.uri().path()))))
    }
}

fn reply(status: StatusCode, content_type: &'static str, body: String) -> Response<AdminBody> {
    let mut reply = Response::new(AdminBody(Full::new(Bytes::from(body)).boxed_unsync()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Of one piece, or a stream of events.
pub struct AdminBody(UnsyncBoxBody<Bytes, Infallible>);

impl Body for AdminBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for AdminBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminBody").finish_non_exhaustive()
    }
}

/// Done when streams have to end.
type Closes = Shared<BoxFuture<'static, ()>>;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct These(Vec<(&'static str, Status)>, bool);

    impl Health for These {
        fn dependencies(&self) -> Vec<Dependency> {
            let dependency =
                |&(name, status)| Dependency { name, status, detail: format!("{name} says so") };
            self.0.iter().map(dependency).collect()
        }

        fn is_draining(&self) -> bool {
            self.1
        }
    }

    fn admin(dependencies: &[(&'static str, Status)], draining: bool) -> AdminService {
        let health = These(dependencies.to_vec(), draining);
        AdminService::new(Arc::new(health), Arc::new(Metrics::new()))
    }

    async fn ask(admin: &AdminService, method: Method, path: &str) -> (StatusCode, String) {
        let reply = admin.answer(&method, path);
        let status = reply.status();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn only_the_store_and_a_drain_make_it_unready() {
        let all_well = vec![("store", Status::Ok), ("dws", Status::Unknown)];
        let backend_down = vec![("store", Status::Ok), ("dws", Status::Down)];
        let store_down = vec![("store", Status::Down), ("dws", Status::Ok)];
        for (dependencies, code, word) in [
            (all_well, 200, "ready"),
            (backend_down, 200, "degraded"),
            (store_down, 503, "unready"),
        ] {
            let serving = admin(&dependencies, false);
            let (status, body) = ask(&serving, Method::GET, "/readyz").await;
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status.as_u16(), body["status"].as_str().unwrap()), (code, word));
            assert_eq!(body["dependencies"][1]["name"], "dws");
            assert_eq!(body["dependencies"][1]["detail"], "dws says so");

            let draining = admin(&dependencies, true);
            let (status, body) = ask(&draining, Method::GET, "/readyz").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(body.contains("draining"));
            assert_eq!(ask(&draining, Method::GET, "/healthz").await.0, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn metrics_tell_about_dependencies_too() {
        let admin = admin(&[("dws", Status::Degraded), ("store", Status::Ok)], false);
        let (status, body) = ask(&admin, Method::GET, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("transom_dependency_up{dependency=\"dws\"} 0\n"));
        assert!(body.contains("transom_dependency_up{dependency=\"store\"} 1\n"));
        assert!(body.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn nothing_else_is_answered() {
        let admin = admin(&[], false);
        assert_eq!(ask(&admin, Method::GET, "/").await.0, StatusCode::NOT_FOUND);
        let (status, _) = ask(&admin, Method::POST, "/healthz").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }
}
