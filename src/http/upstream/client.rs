use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::Either;
use hyper::body::Body;
use tower::Service;

use super::body::{AppReply, BoxError, ReplyBody, request_body};
use super::connections::{Connections, Prepared, SendError, Stakes};
use super::fault::{Causes, Fault};
use super::noted::{Names, Noted};
use super::origin::Origins;
use super::upgrade::{self, Upgrade};
use crate::config::AppConfig;
use crate::http::headers;
use crate::http::interim::OnInterim;
use crate::http::nominated;

/// Sends requests to the app over kept connections. Clones share them.
///
/// Bodies are never held back and never limited in time. A failure becomes a problem reply.
#[derive(Clone)]
pub(crate) struct Forwarder(Arc<App>);

struct App {
    connections: Connections,
    /// As a client that names no host may mean it.
    authority: HeaderValue,
    /// Put before every path; without a trailing slash, mostly empty.
    prefix: String,
    /// `None`: the app's own addresses stay as they are.
    origins: Option<Arc<Origins>>,
    /// Sent in place of the client's `Host`.
    rewrite_host: bool,
    via: bool,
    /// How the last request to it ended: one of the constants below.
    last: Arc<AtomicU8>,
}

/// What a reply has to be judged by once its request is gone.
struct Exchange {
    method: Method,
    uri: Uri,
    request_id: Option<HeaderValue>,
    public: Option<HeaderValue>,
    upgrade: Option<Upgrade>,
    /// To a person, rather than read by a program.
    shown: bool,
}

impl Forwarder {
    /// # Errors
    /// The app's address is not an absolute one, or TLS can't be set up.
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
        let Some(authority) = app.url.authority() else {
            return Err("the app's address needs a host".into());
        };
        Ok(Self(Arc::new(App {
            connections: Connections::new(app)?,
            authority: HeaderValue::from_str(authority.as_str())?,
            prefix: app.url.path().trim_end_matches('/').to_owned(),
            origins: app.rewrite_origin.then(|| Arc::new(Origins::new(app))),
            rewrite_host: app.rewrite_host,
            via: app.via,
            last,
        })))
    }

    /// Whether the app answered the last request at all; `None` before the first.
    pub(crate) fn answers(&self) -> Option<bool> {
        match self.0.last.load(Ordering::Relaxed) {
            NOT_ASKED => None,
            last => Some(last == ANSWERED),
        }
    }
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
        let (mut prepared, mut exchange) = app.prepare(request);
        Box::pin(async move {
            // In place, as every move of a request would cost as much as a step of its way.
            let sent = match prepared {
                Ok(Prepared::Bare(ref mut asked)) => app.connections.ask(asked).await,
                // Boxed, as nothing of it is needed for most requests.
                Ok(Prepared::Any(request, stakes)) => {
                    Box::pin(app.connections.send(*request, stakes)).await
                }
                Err(fault) => return Ok(fault.reply(exchange.request_id(), exchange.shown)),
            };
            Ok(app.reply(sent, &mut exchange))
        })
    }
}

impl App {
    fn prepare<B>(&self, mut request: Request<B>) -> (Result<Prepared, Fault>, Exchange)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let noted = Noted::of(request.headers());
        let public = self.origins.as_ref().and_then(|_| noted.public_authority()).cloned();
        let (request_id, names) = (noted.request_id.cloned(), noted.names);
        let shown = noted.shown.to_a_person();
        let upgrade = if names.upgrade { Upgrade::take(&mut request) } else { None };
        let (method, uri) = (request.method().clone(), std::mem::take(request.uri_mut()));
        let exchange = Exchange { method, uri, request_id, public, upgrade, shown };
        if exchange.method == Method::CONNECT {
            return (Err(Fault::Connect), exchange);
        }
        match self.target(&exchange.uri) {
            Ok(target) => *request.uri_mut() = target,
            Err(error) => {
                exchange.log(Fault::Target, &error);
                return (Err(Fault::Target), exchange);
            }
        }
        self.edit_headers(&mut request, names, &exchange);
        if let Some(origins) = &self.origins
            && let Some(on_interim) = request.extensions_mut().get_mut::<OnInterim>()
        {
            on_interim.edited_by(Arc::<Origins>::clone(origins), exchange.public.as_ref());
        }
        *request.version_mut() = Version::HTTP_11;
        let bodiless = request.body().is_end_stream();
        let stakes = Stakes::of(&exchange.method, bodiless, exchange.upgrade.is_some());
        (Ok(self.connections.prepare(request.map(request_body), stakes)), exchange)
    }

    fn edit_headers<B: Body>(&self, request: &mut Request<B>, names: Names, exchange: &Exchange) {
        let length = request.body().size_hint().exact();
        let version = request.version();
        let map = request.headers_mut();
        if names.hop_by_hop {
            headers::strip_hop_by_hop(map);
        }
        // Same framing as the client's: what came with a length has one, what came chunked is chunked
        // even where a body is unusual (GET).
        if length.is_none() && (names.transfer_encoding || !names.content_length) {
            map.remove(CONTENT_LENGTH);
            map.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if let Some(origins) = self.origins.as_ref().filter(|_| names.addresses) {
            origins.edit_request(map, exchange.public.as_ref());
        }
        if self.rewrite_host || !names.host {
            map.insert(HOST, self.authority.clone());
        }
        if self.via {
            headers::append_via(map, version);
        }
        if let Some(upgrade) = &exchange.upgrade {
            upgrade::announce(map, upgrade.protocols().clone());
        }
    }

    /// The bytes of the request's path and query, behind what the app's address has before them.
    fn target(&self, asked: &Uri) -> Result<Uri, http::Error> {
        let path = match asked.path_and_query() {
            None => PathAndQuery::from_static("/"),
            Some(path) if self.prefix.is_empty() || path == "*" => path.clone(),
            Some(path) => PathAndQuery::from_maybe_shared(format!("{}{path}", self.prefix))?,
        };
        Ok(Uri::from(path))
    }

    fn reply(
        &self,
        sent: Result<Response<AppReply>, SendError>,
        exchange: &mut Exchange,
    ) -> Response<ReplyBody> {
        match sent {
            Ok(reply) => {
                self.note(ANSWERED);
                self.accept(reply, exchange)
            }
            Err(error) => {
                let fault = Fault::of(&error);
                if fault.is_the_apps() {
                    self.note(FAILED);
                }
                exchange.log(fault, &error);
                fault.reply(exchange.request_id(), exchange.shown)
            }
        }
    }

    /// All workers share this; a write that changes nothing would still take it from the others' caches.
    fn note(&self, last: u8) {
        if self.last.load(Ordering::Relaxed) != last {
            self.last.store(last, Ordering::Relaxed);
        }
    }

    fn accept(
        &self,
        mut reply: Response<AppReply>,
        exchange: &mut Exchange,
    ) -> Response<ReplyBody> {
        let agreed = match (reply.status(), exchange.upgrade.take()) {
            (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) => Some(upgrade.follow(&mut reply)),
            (StatusCode::SWITCHING_PROTOCOLS, None) => {
                exchange.log(Fault::BrokenReply, &UnaskedSwitch);
                return Fault::BrokenReply.reply(exchange.request_id(), exchange.shown);
            }
            _ => None,
        };
        // With a body over HTTP/1.1, it was seen to.
        let unclear = exchange.method == Method::HEAD || reply.version() == Version::HTTP_2;
        if unclear && !headers::unite_lengths(reply.headers_mut()) {
            exchange.log(Fault::BrokenReply, &TwoLengths);
            return Fault::BrokenReply.reply(exchange.request_id(), exchange.shown);
        }
        let names = Noted::of(reply.headers()).names;
        if names.hop_by_hop {
            nominated::remove(reply.headers_mut());
            headers::strip_hop_by_hop(reply.headers_mut());
        }
        if let Some(protocol) = agreed {
            upgrade::announce(reply.headers_mut(), protocol);
        }
        if let Some(origins) = self.origins.as_ref().filter(|_| names.addresses) {
            origins.edit_reply(reply.headers_mut(), exchange.public.as_ref());
        }
        if self.via {
            let version = reply.version();
            headers::append_via(reply.headers_mut(), version);
        }
        // The app's version is its hop's; ours speaks its own.
        *reply.version_mut() = Version::HTTP_11;
        reply.map(Either::Left)
    }
}

impl Exchange {
    fn request_id(&self) -> &str {
        self.request_id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or("-")
    }

    /// The path without its query, which may hold tokens.
    fn log(&self, fault: Fault, error: &(dyn std::error::Error + 'static)) {
        let (request_id, method, path) = (self.request_id(), &self.method, self.uri.path());
        let error = Causes(error);
        if fault == Fault::ClientGone {
            tracing::debug!(request_id, %method, path, %error, "the client broke its request off");
        } else {
            tracing::warn!(request_id, %method, path, ?fault, %error, "no reply from the app");
        }
    }
}

/// The app switched protocols although nobody had asked for it.
#[derive(Debug, thiserror::Error)]
#[error("the app answered 101 to a request that asked for no upgrade")]
struct UnaskedSwitch;

#[derive(Debug, thiserror::Error)]
#[error("the app gave its reply two lengths")]
struct TwoLengths;

const NOT_ASKED: u8 = 0;
const ANSWERED: u8 = 1;
const FAILED: u8 = 2;
