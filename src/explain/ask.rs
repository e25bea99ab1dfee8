//! Questions to a running Transom: its keys, its store and the app's own answers, and nothing changed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use http_body_util::{Either, Empty, Full};
use serde::{Deserialize, Serialize};
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt};

use super::pretend::stand_in;
use crate::body::RequestBody;
use crate::engine::Engine;
use crate::events::{Event, Listener, Origin};
use crate::http::ClientInfo;
use crate::lane::Probe;
use crate::reason::Reason;
use crate::session::ViewerSession;
use crate::trail::{Explanation, Finding, Following, Trail};

/// The request that is asked about. It has no body.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
}

impl Asked {
    /// # Errors
    /// A sentence for the operator.
    pub(crate) fn request(&self) -> Result<Request<()>, String> {
        let Self { method, target, headers } = self;
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("{method:?} is not a method"))?;
        if target.contains('#') {
            return Err(format!(
                "`{target}` has a fragment; a request like this is answered with {}",
                Reason::TargetUnclear
            ));
        }
        let uri = target.parse::<Uri>().ok().filter(|uri| uri.authority().is_none());
        let uri = uri.filter(|uri| uri.path().starts_with('/'));
        *request.uri_mut() =
            uri.ok_or_else(|| format!("`{target}` is not a path such as /api/files/7"))?;
        for (name, value) in headers {
            let parsed = (HeaderName::try_from(name).ok(), HeaderValue::from_str(value).ok());
            // The value may be a token.
            let (Some(name), Some(value)) = parsed else {
                return Err(format!("the header `{name}` is none that can be sent"));
            };
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }
}

/// Puts questions to the service that answers clients.
#[derive(Clone)]
pub(crate) struct Questions(Arc<Put>);

type Put = dyn Fn(Request<Empty<Bytes>>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

impl Questions {
    /// To the service that is made for each, with [`Harmless`] between it and the app.
    pub(crate) fn to<S>(make: impl Fn() -> S + Send + Sync + 'static) -> Self
    where
        S: Service<Request<Empty<Bytes>>> + Send + 'static,
        S::Response: Send,
        S::Error: Send,
        S::Future: Send,
    {
        Self(Arc::new(move |request| {
            let answer = make().oneshot(request);
            Box::pin(async move { drop(answer.await) })
        }))
    }

    /// What would become of the request, if this client made it.
    pub(crate) async fn explain(
        &self,
        mut request: Request<()>,
        client: Option<ClientInfo>,
    ) -> Explanation {
        let trail = Trail::begin(&mut request, None);
        client.map(|client| request.extensions_mut().insert(client));
        request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("localhost"));
        let (extensions, headers) = (request.extensions().clone(), HeaderMap::new());
        let put = (self.0)(request.map(|()| Empty::new()));
        if tokio::time::timeout(AT_MOST, put).await.is_err() {
            Trail::step(&extensions, "app", || {
                (Finding::No, format!("no answer within {} s", AT_MOST.as_secs()))
            });
            let event = Event::SessionDecided { document: None, reason: Reason::AppUnavailable };
            Following.hear(&event, &Origin::at(&extensions, &headers));
        }
        trail.told().clone()
    }
}

/// The app, as far as a question may reach it: probes, and requests that change nothing (RFC 9110, section
/// 9.2.1) while it is open whether there is a session.
#[derive(Clone)]
pub(crate) struct Harmless<S> {
    inner: S,
    engine: Arc<Engine>,
}

impl<S> Harmless<S> {
    pub(crate) fn layer(engine: &Arc<Engine>) -> impl Layer<S, Service = Self> + use<S> {
        let engine = Arc::clone(engine);
        layer_fn(move |inner| Self { inner, engine: Arc::clone(&engine) })
    }
}

impl<S, B, R> Service<Request<RequestBody<B>>> for Harmless<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Either<R, Full<Bytes>>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<RequestBody<B>>) -> Self::Future {
        // The session is none, and the app need not hear of it.
        self.engine.owned.strip(request.headers_mut());
        request.extensions_mut().remove::<ViewerSession>();
        let decided = Trail::of(request.extensions()).and_then(|trail| trail.told().decision);
        let probe = request.extensions().get::<Probe>().is_some();
        let open = decided.is_none_or(|reason| reason == Reason::SessionGiven);
        if probe || (open && request.method().is_safe()) {
            let reply = self.inner.call(request);
            return Box::pin(async move { reply.await.map(|reply| reply.map(Either::Left)) });
        }
        if open {
            Trail::step(request.extensions(), "app", || {
                let told = "not asked, since it may change something; taken to answer with 200";
                (Finding::Told, format!("{} {told}", request.method()))
            });
        }
        let app = stand_in(&self.engine.config, &request, http::StatusCode::OK);
        Box::pin(std::future::ready(Ok(app.reply(&request).map(Either::Right))))
    }
}

const AT_MOST: Duration = Duration::from_secs(20);
