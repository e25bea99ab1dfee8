//! The app as a service: what the upstream client can't bring becomes a reply of ours, and a line in the log.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{Either, Full};
use serde_json::json;
use tower::Service;

use crate::config::AppConfig;
use crate::http::BoxError;
use crate::http::causes::{Causes, causes};
use crate::http::upstream::{
    CertificateProblem, ConnectTimedOut, Exchange, Failure, TlsFailed, UpstreamBody,
    UpstreamClient, UpstreamError, UpstreamParameters,
};
use crate::problem::NotSent;
use crate::reason::Reason;
use crate::viewer::{Shown, instead_of_the_app};

/// Sends requests to the app over kept connections. Clones share them. A failure becomes a problem reply.
#[derive(Clone)]
pub(crate) struct Forwarder(Arc<App>);

struct App {
    upstream: UpstreamClient,
    /// How the last request to it ended: one of the constants below.
    last: Arc<AtomicU8>,
}

/// The app's own body, or the few bytes of our word in its stead.
pub(crate) type ReplyBody = Either<UpstreamBody, Full<Bytes>>;

/// Whom a reply of ours is for.
struct Recipient {
    request_id: Option<HeaderValue>,
    /// A person, rather than a program.
    shown: bool,
}

impl Forwarder {
    /// # Errors
    /// The app's address is missing or not an absolute one, or TLS can't be set up.
    pub(crate) fn new(app: &AppConfig) -> Result<Self, BoxError> {
        Self::with(app, Arc::new(AtomicU8::new(NOT_ASKED)))
    }

    /// Another one to the same app, with connections of its own.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn sibling(&self, app: &AppConfig) -> Result<Self, BoxError> {
        Self::with(app, Arc::clone(&self.0.last))
    }

    fn with(app: &AppConfig, last: Arc<AtomicU8>) -> Result<Self, BoxError> {
        let upstream = UpstreamClient::new(&parameters(app)?)?;
        Ok(Self(Arc::new(App { upstream, last })))
    }

    /// Whether the app answered the last request at all; `None` before the first.
    pub(crate) fn answers(&self) -> Option<bool> {
        match self.0.last.load(Ordering::Relaxed) {
            NOT_ASKED => None,
            last => Some(last == ANSWERED),
        }
    }
}

fn parameters(app: &AppConfig) -> Result<UpstreamParameters, BoxError> {
    Ok(UpstreamParameters {
        url: app.url.clone().ok_or("`[app] url` does not say where the app is")?,
        socket: app.socket.clone(),
        roots: app.tls.roots.clone(),
        server_name: app.tls.server_name.clone(),
        http2: app.http2,
        connect_timeout: app.limits.connect,
        max_idle: app.limits.idle,
        origins: app.rewrite_origin.then(|| app.origins.clone()),
        rewrite_host: app.rewrite_host,
        via: app.via.then_some("transom"),
    })
}

impl<B> Service<Request<B>> for Forwarder
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let app = Arc::clone(&self.0);
        let (mut request_id, mut shown) = (None, Shown::default());
        let fields = app.upstream.look_at(request.headers(), |name, value| match name {
            "x-request-id" => _ = request_id.get_or_insert(value),
            name => shown.note(name, value),
        });
        let recipient = Recipient { request_id: request_id.cloned(), shown: shown.to_a_person() };
        let mut exchange = app.upstream.prepare(request, fields);
        Box::pin(async move {
            Ok(match app.upstream.send(&mut exchange).await {
                Ok(reply) => {
                    app.note(ANSWERED);
                    reply.map(Either::Left)
                }
                Err(error) => app.answer_for(&error, &exchange, &recipient),
            })
        })
    }
}

impl App {
    /// All workers share this; a write that changes nothing would still take it from the others' caches.
    fn note(&self, last: u8) {
        if self.last.load(Ordering::Relaxed) != last {
            self.last.store(last, Ordering::Relaxed);
        }
    }

    fn answer_for(
        &self,
        error: &UpstreamError,
        exchange: &Exchange,
        recipient: &Recipient,
    ) -> Response<ReplyBody> {
        let failure = error.failure();
        match error {
            // It has answered, though in a way that is not passed on.
            UpstreamError::UnaskedSwitch | UpstreamError::TwoLengths => self.note(ANSWERED),
            _ if failure.is_the_upstreams() => self.note(FAILED),
            _ => {}
        }
        let (request_id, method, path) = (recipient.id(), exchange.method(), exchange.path());
        let remedy = remedy(error);
        let error = Causes(error);
        match failure {
            Failure::Connect => {}
            Failure::ClientGone => {
                tracing::debug!(request_id, %method, path, %error, "the client broke its request off");
            }
            fault => {
                let error = format_args!("{error}{remedy}");
                tracing::warn!(request_id, %method, path, ?fault, %error, "no reply from the app");
            }
        }
        reply(failure, recipient)
    }
}

impl Recipient {
    fn id(&self) -> &str {
        self.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-")
    }
}

/// The setting that may help.
fn remedy(error: &UpstreamError) -> &'static str {
    let known = causes(error).find_map(|cause| {
        if cause.is::<ConnectTimedOut>() {
            return Some(" (app.limits.connect)");
        }
        Some(match cause.downcast_ref::<TlsFailed>()?.certificate_problem()? {
            CertificateProblem::UnknownIssuer => {
                "; `[app] tls = { ca = \"….pem\" }` names the CA to believe"
            }
            CertificateProblem::OtherName => {
                "; `[app] tls = { server_name = \"…\" }` says which name to expect"
            }
        })
    });
    known.unwrap_or_default()
}

/// The reply in the app's stead: a problem (RFC 9457), or a page where a person sees it. It shows nothing of
/// the app's address or its errors.
fn reply(failure: Failure, recipient: &Recipient) -> Response<ReplyBody> {
    let mut reply = problem_or_page(failure, recipient);
    if failure.is_unsent() {
        reply.extensions_mut().insert(NotSent);
    }
    reply
}

fn problem_or_page(failure: Failure, recipient: &Recipient) -> Response<ReplyBody> {
    let (status, code, title) = words(failure);
    if recipient.shown && failure.is_the_upstreams() {
        let page = instead_of_the_app(code, status, recipient.id());
        return page.map(|page| Either::Right(Full::new(page.into())));
    }
    let problem = json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "code": code,
        "request_id": recipient.id(),
    });
    let mut reply = Response::new(Either::Right(Full::new(Bytes::from(problem.to_string()))));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if failure == Failure::Connect {
        // What follows is meant for a tunnel. HTTP/2 leaves the field out.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

fn words(failure: Failure) -> (StatusCode, Reason, &'static str) {
    match failure {
        Failure::Unreachable => {
            (StatusCode::BAD_GATEWAY, Reason::AppUnavailable, "The application cannot be reached")
        }
        Failure::BrokenReply => (
            StatusCode::BAD_GATEWAY,
            Reason::AppUnavailable,
            "The application did not send a complete answer",
        ),
        Failure::TimedOut => (
            StatusCode::GATEWAY_TIMEOUT,
            Reason::AppUnavailable,
            "The application did not answer in time",
        ),
        Failure::ClientGone => (
            StatusCode::BAD_REQUEST,
            Reason::BodyIncomplete,
            "The request body ended before its time",
        ),
        Failure::Connect => (
            StatusCode::METHOD_NOT_ALLOWED,
            Reason::MethodNotAllowed,
            "CONNECT is not offered here",
        ),
        Failure::Target => {
            (StatusCode::URI_TOO_LONG, Reason::NotFound, "The request's path is too long")
        }
    }
}

const NOT_ASKED: u8 = 0;
const ANSWERED: u8 = 1;
const FAILED: u8 = 2;
