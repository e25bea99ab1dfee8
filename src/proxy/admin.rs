//! The admin listener: is it alive, is it ready, what does it count; and why a request fares as it does.

use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tower::Service;

use crate::dependencies::{Dependency, Status};
use crate::http::BoxError;
use crate::telemetry::Metrics;

use super::operator::{self, Operator};
use super::page;
use crate::http::downstream::signal::Shutdown;

/// Knows how those are that Transom depends on. Asked by probes every few seconds: no I/O.
pub(crate) trait Health: Send + Sync + 'static {
    fn dependencies(&self) -> Vec<Dependency>;
}

/// Answers `GET /healthz`, `/readyz` and `/metrics`, and what [`Operator`] answers.
#[derive(Clone)]
pub(crate) struct Admin {
    health: Arc<dyn Health>,
    metrics: Arc<Metrics>,
    /// Of the proxy that this one tells about, not of the admin listener itself.
    proxy: Shutdown,
    operator: Option<Operator>,
}

impl Admin {
    pub(crate) fn new(health: Arc<dyn Health>, metrics: Arc<Metrics>, proxy: Shutdown) -> Self {
        Self { health, metrics, proxy, operator: None }
    }

    pub(super) fn explaining(self, operator: Operator) -> Self {
        Self { operator: Some(operator), ..self }
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

    /// Unready only when requests should go elsewhere: without the store nothing can be kept, and a
    /// draining process takes no more. An app or a DWS that is down is no better behind another process.
    fn readiness(&self) -> (StatusCode, &'static str, String) {
        let dependencies = self.health.dependencies();
        let down = |name| dependencies.iter().any(|d| d.name == name && d.status == Status::Down);
        let (status, word) = if self.proxy.is_requested() {
            (StatusCode::SERVICE_UNAVAILABLE, "draining")
        } else if down("store") {
            (StatusCode::SERVICE_UNAVAILABLE, "unready")
        } else if dependencies.iter().any(|d| d.status.is_trouble()) {
            (StatusCode::OK, "degraded")
        } else {
            (StatusCode::OK, "ready")
        };
        let body = serde_json::json!({ "status": word, "dependencies": dependencies });
        (status, "application/json", format!("{body}\n"))
    }

    fn figures(&self) -> (StatusCode, &'static str, String) {
        for dependency in self.health.dependencies() {
            self.metrics.dependency(dependency.name, !dependency.status.is_trouble());
        }
        (StatusCode::OK, OPEN_METRICS, self.metrics.render())
    }
}

impl Status {
    fn is_trouble(self) -> bool {
        matches!(self, Self::Degraded | Self::Down)
    }
}

impl<B> Service<Request<B>> for Admin
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
            return Box::pin(async move { Ok(operator.answer(request).await) });
        }
        Box::pin(ready(Ok(self.answer(request.method(), request.uri().path()))))
    }
}

pub(super) fn reply(
    status: StatusCode,
    content_type: &'static str,
    body: String,
) -> Response<AdminBody> {
    let mut reply = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Of one piece, or a stream of events.
pub(super) type AdminBody = UnsyncBoxBody<Bytes, Infallible>;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::http::downstream::signal;

    struct These(Vec<(&'static str, Status)>);

    impl Health for These {
        fn dependencies(&self) -> Vec<Dependency> {
            let dependency =
                |&(name, status)| Dependency { name, status, detail: format!("{name} says so") };
            self.0.iter().map(dependency).collect()
        }
    }

    async fn ask(admin: &Admin, method: Method, path: &str) -> (StatusCode, String) {
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
            let (trigger, shutdown) = signal::shutdown();
            let admin =
                Admin::new(Arc::new(These(dependencies)), Arc::new(Metrics::new()), shutdown);
            let (status, body) = ask(&admin, Method::GET, "/readyz").await;
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status.as_u16(), body["status"].as_str().unwrap()), (code, word));
            assert_eq!(body["dependencies"][1]["name"], "dws");
            assert_eq!(body["dependencies"][1]["detail"], "dws says so");

            trigger.pull();
            let (status, body) = ask(&admin, Method::GET, "/readyz").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(body.contains("draining"));
            assert_eq!(ask(&admin, Method::GET, "/healthz").await.0, StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn metrics_tell_about_dependencies_too() {
        let (_trigger, shutdown) = signal::shutdown();
        let health = These(vec![("dws", Status::Degraded), ("store", Status::Ok)]);
        let admin = Admin::new(Arc::new(health), Arc::new(Metrics::new()), shutdown);
        let (status, body) = ask(&admin, Method::GET, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("transom_dependency_up{dependency=\"dws\"} 0\n"));
        assert!(body.contains("transom_dependency_up{dependency=\"store\"} 1\n"));
        assert!(body.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn nothing_else_is_answered() {
        let (_trigger, shutdown) = signal::shutdown();
        let admin = Admin::new(Arc::new(These(vec![])), Arc::new(Metrics::new()), shutdown);
        assert_eq!(ask(&admin, Method::GET, "/").await.0, StatusCode::NOT_FOUND);
        let (status, _) = ask(&admin, Method::POST, "/healthz").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }
}
