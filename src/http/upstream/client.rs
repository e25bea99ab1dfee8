//! One exchange with the upstream: the request as the next hop needs it, and the reply as the client does.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Body;

use super::body::{AppReply, request_body};
use super::connections::{Connections, Prepared, Stakes};
use super::failure::UpstreamError;
use super::noted::{Names, Noted};
use super::origin::Origins;
use super::parameters::UpstreamParameters;
use super::upgrade::{self, Upgrade};
use crate::http::interim::OnInterim;
use crate::http::{BoxError, headers, nominated};

/// Sends requests to the upstream over kept connections.
///
/// Bodies are never held back and never limited in time.
pub(crate) struct UpstreamClient {
    connections: Connections,
    /// As a client that names no host may mean it.
    authority: HeaderValue,
    /// Put before every path; without a trailing slash, mostly empty.
    prefix: String,
    /// `None`: the upstream's own addresses stay as they are.
    origins: Option<Arc<Origins>>,
    /// Sent in place of the client's `Host`.
    rewrite_host: bool,
    /// This hop's name.
    via: Option<&'static str>,
}

/// What has to be known of a request's fields.
pub(crate) struct RequestFields {
    names: Names,
    /// The authority under which the client knows us, where it matters.
    public: Option<HeaderValue>,
}

/// A request that is ready to go out, and what its reply has to be judged by.
pub(crate) struct Exchange {
    prepared: Prepared,
    method: Method,
    uri: Uri,
    public: Option<HeaderValue>,
    upgrade: Option<Upgrade>,
}

impl UpstreamClient {
    /// # Errors
    /// The upstream's address is not an absolute one, or TLS can't be set up.
    pub(crate) fn new(upstream: &UpstreamParameters) -> Result<Self, BoxError> {
        let url = &upstream.url;
        let Some(authority) = url.authority() else {
            return Err("the upstream's address needs a host".into());
        };
        let origins = upstream.origins.as_ref();
        Ok(Self {
            connections: Connections::new(upstream)?,
            authority: HeaderValue::from_str(authority.as_str())?,
            prefix: url.path().trim_end_matches('/').to_owned(),
            origins: origins.map(|further| Arc::new(Origins::new(url, further))),
            rewrite_host: upstream.rewrite_host,
            via: upstream.via,
        })
    }

    /// Looks at each field once, since to look up every name that matters would cost several times that. The others
    /// are handed to `besides`.
    pub(crate) fn look_at<'h>(
        &self,
        headers: &'h HeaderMap,
        besides: impl FnMut(&'h str, &'h HeaderValue),
    ) -> RequestFields {
        let noted = Noted::of(headers, besides);
        let public = self.origins.as_ref().and_then(|_| noted.public_authority()).cloned();
        RequestFields { names: noted.names, public }
    }

    /// `fields` are those of this request.
    pub(crate) fn prepare<B>(&self, mut request: Request<B>, fields: RequestFields) -> Exchange
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let RequestFields { names, public } = fields;
        let upgrade = if names.upgrade { Upgrade::take(&mut request) } else { None };
        let (method, uri) = (request.method().clone(), std::mem::take(request.uri_mut()));
        let failed = |error, uri| {
            let (method, prepared) = (method.clone(), Prepared::Failed(error));
            Exchange { prepared, method, uri, public: None, upgrade: None }
        };
        if method == Method::CONNECT {
            return failed(UpstreamError::Connect, uri);
        }
        match self.target(&uri) {
            Ok(target) => *request.uri_mut() = target,
            Err(error) => return failed(UpstreamError::Target(error), uri),
        }
        self.edit_headers(&mut request, names, public.as_ref(), upgrade.as_ref());
        if let Some(origins) = &self.origins
            && let Some(on_interim) = request.extensions_mut().get_mut::<OnInterim>()
        {
            on_interim.edited_by(Arc::<Origins>::clone(origins), public.as_ref());
        }
        *request.version_mut() = Version::HTTP_11;
        let bodiless = request.body().is_end_stream();
        let stakes = Stakes::of(&method, bodiless, upgrade.is_some());
        let prepared = self.connections.prepare(request.map(request_body), stakes);
        Exchange { prepared, method, uri, public, upgrade }
    }

    /// Sends the request and awaits the head of its reply. An exchange is for one time.
    ///
    /// # Errors
    /// There is no reply that may be passed on.
    pub(crate) async fn send(
        &self,
        exchange: &mut Exchange,
    ) -> Result<Response<AppReply>, UpstreamError> {
        // In place, as every move of a request would cost as much as a step of its way.
        let reply = match &mut exchange.prepared {
            Prepared::Bare(asked) => self.connections.ask(asked).await?,
            other => match std::mem::replace(other, Prepared::Over) {
                // Boxed, as nothing of it is needed for most requests.
                Prepared::Any(request, stakes) => {
                    Box::pin(self.connections.send(*request, stakes)).await?
                }
                Prepared::Failed(error) => return Err(error),
                Prepared::Bare(_) | Prepared::Over => return Err(UpstreamError::Over),
            },
        };
        self.accept(reply, exchange)
    }

    fn edit_headers<B: Body>(
        &self,
        request: &mut Request<B>,
        names: Names,
        public: Option<&HeaderValue>,
        upgrade: Option<&Upgrade>,
    ) {
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
            origins.edit_request(map, public);
        }
        if self.rewrite_host || !names.host {
            map.insert(HOST, self.authority.clone());
        }
        if let Some(hop) = self.via {
            headers::append_via(map, version, hop);
        }
        if let Some(upgrade) = upgrade {
            upgrade::announce(map, upgrade.protocols().clone());
        }
    }

    /// The bytes of the request's path and query, behind what the upstream's address has before them.
    fn target(&self, asked: &Uri) -> Result<Uri, http::Error> {
        let path = match asked.path_and_query() {
            None => PathAndQuery::from_static("/"),
            Some(path) if self.prefix.is_empty() || path == "*" => path.clone(),
            Some(path) => PathAndQuery::from_maybe_shared(format!("{}{path}", self.prefix))?,
        };
        Ok(Uri::from(path))
    }

    fn accept(
        &self,
        mut reply: Response<AppReply>,
        exchange: &mut Exchange,
    ) -> Result<Response<AppReply>, UpstreamError> {
        let agreed = match (reply.status(), exchange.upgrade.take()) {
            (StatusCode::SWITCHING_PROTOCOLS, Some(upgrade)) => Some(upgrade.follow(&mut reply)),
            (StatusCode::SWITCHING_PROTOCOLS, None) => {
                return Err(UpstreamError::UnaskedSwitch);
            }
            _ => None,
        };
        // With a body over HTTP/1.1, it was seen to.
        let unclear = exchange.method == Method::HEAD || reply.version() == Version::HTTP_2;
        if unclear && !headers::unite_lengths(reply.headers_mut()) {
            return Err(UpstreamError::TwoLengths);
        }
        let names = Noted::of(reply.headers(), |_, _| {}).names;
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
        if let Some(hop) = self.via {
            let version = reply.version();
            headers::append_via(reply.headers_mut(), version, hop);
        }
        // The upstream's version is its hop's; ours speaks its own.
        *reply.version_mut() = Version::HTTP_11;
        Ok(reply)
    }
}

impl Exchange {
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The path as the client asked for it, without its query, which may hold tokens.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }
}
