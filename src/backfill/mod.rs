//! Documents that the app had before Transom came: looked up, fetched with an operator's credentials, and listed.
//!
//! Each call is about a few documents and keeps nothing: who makes them (`transom backfill`) knows how far it is.

mod ask;
mod list;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};
use url::Url;

#[cfg(feature = "cli")]
pub(crate) use self::ask::PageAt;
pub(crate) use self::ask::{Bring, Brought, Id, ListPage, Look, Standing, Turn};
use self::list::{MAX_PAGE, follow};
use crate::body::RequestBody;
use crate::config::{Kind, ListRequest};
use crate::document::DocumentKey;
use crate::engine::{Engine, Transom};
use crate::http::BoxError;
use crate::lane::{ToFetch, fetch_by, source_of};
use crate::reason::Reason;
use crate::session::Holder;
use crate::store::{DocumentState, Mapping};

/// The app, whichever way leads there.
pub(crate) type App = BoxCloneSyncService<
    Request<RequestBody<Empty<Bytes>>>,
    Response<UnsyncBoxBody<Bytes, BoxError>>,
    BoxError,
>;

/// A service that asks the app, as [`App`].
pub(crate) fn app<S, R>(service: S) -> App
where
    S: Service<Request<RequestBody<Empty<Bytes>>>, Response = Response<R>>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let body = |reply: Response<R>| reply.map(|body| body.map_err(Into::into).boxed_unsync());
    App::new(service.map_response(body).map_err(|_| "the app can't be asked".into()))
}

/// Gets documents from the app into the outbox.
#[derive(Clone)]
pub(crate) struct Backfill {
    transom: Transom,
    app: Arc<dyn Fn() -> App + Send + Sync>,
}

/// Why nothing was done, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackfillError {
    /// It was asked wrongly, or the configuration does not say how.
    #[error("{0}")]
    Asked(String),
    #[error("{0}")]
    App(String),
    #[error("the store can't be read now")]
    Store,
}

impl Backfill {
    /// `app` makes the way to the app for each call.
    pub(crate) fn new(transom: Transom, app: impl Fn() -> App + Send + Sync + 'static) -> Self {
        Self { transom, app: Arc::new(app) }
    }

    /// How these documents stand, in their order. Neither the app nor the backend is asked.
    pub(crate) async fn look(&self, look: &Look) -> Result<Vec<Standing>, BackfillError> {
        let engine = self.transom.engine();
        let kind = kind(&engine, &look.kind)?;
        if kind.source.is_none() {
            return Err(BackfillError::Asked(format!(
                "`[documents.{}]` has no `source`, so that nothing says where the app serves the bytes",
                kind.name
            )));
        }
        let mut standings = Vec::with_capacity(look.ids.len());
        for id in &look.ids {
            let standing = match key(kind, id) {
                Ok(key) => standing(&engine, &key).await.map_err(|_| BackfillError::Store)?,
                Err(reason) => Standing::Invalid(reason.code().to_owned()),
            };
            standings.push(standing);
        }
        Ok(standings)
    }

    /// Fetches one document, if it has to be, and waits a while until it is at DWS.
    pub(crate) async fn bring(&self, bring: &Bring) -> Result<Brought, BackfillError> {
        let engine = self.transom.engine();
        let kind = kind(&engine, &bring.kind)?;
        let given = headers(&bring.headers)?;
        let brought = match key(kind, &bring.id) {
            Ok(key) => self.brought(&engine, &key, &given).await,
            Err(reason) => Err(reason),
        };
        Ok(brought.unwrap_or_else(Brought::failed))
    }

    async fn brought(
        &self,
        engine: &Engine,
        key: &DocumentKey,
        given: &HeaderMap,
    ) -> Result<Brought, Reason> {
        let known = engine.outbox.mapping(key).await?;
        if known.as_deref().is_none_or(is_to_be_brought) {
            let (mut app, deadline) = ((self.app)(), Instant::now() + PATIENCE);
            let (kind, source) = source_of(engine, key)?;
            let target = source.target(key.id()).ok_or(Reason::IdInvalid)?;
            let holder = Holder::Credentials(hash(given));
            let wanted = ToFetch { kind, key, holder: &holder, known };
            // What an operator has asked for is held to no caller's allowance.
            let sources = engine.sources.asked_by(None, None);
            let request = || {
                let target = Uri::from(target.clone());
                Some(request(engine, target, key.host(), &source.headers, given))
            };
            let patience = |_| deadline;
            let fetched = fetch_by(engine, &mut app, wanted, &sources, patience, request).await;
            match fetched {
                // It came by otherwise meanwhile.
                Ok(_) | Err(Reason::Superseded) => {}
                Err(reason) => return Err(reason),
            }
        }
        let found = engine.outbox.settled(key, PATIENCE).await?;
        let mapping = found.ok_or(Reason::DocumentUnknown)?;
        if engine.outbox.parked(&mapping).await?.is_some() {
            return Err(Reason::DocumentParked);
        }
        match &mapping.state {
            DocumentState::Ready { .. } => Ok(Brought::Ready { bytes: mapping.size }),
            DocumentState::Pending { .. } => Err(Reason::DocumentPending),
            DocumentState::Refused { detail } => Ok(Brought::Failed {
                code: Reason::DeliveryRefused.code().to_owned(),
                detail: Some(detail.clone()),
            }),
            DocumentState::Lost { .. } => Err(Reason::DocumentLost),
            DocumentState::Unconfirmed { .. } => Err(Reason::Unconfirmed),
        }
    }

    /// One page of the app's list.
    pub(crate) async fn page(&self, turn: &Turn) -> Result<ListPage, BackfillError> {
        let engine = self.transom.engine();
        let kind = kind(&engine, &turn.kind)?;
        let list = kind.list.as_ref().ok_or_else(|| {
            BackfillError::Asked(format!(
                "`[documents.{}]` has no `list`: name a file of ids, or write `list = {{ route = \"GET /api/files?page={{page}}\", \
                 ids = \"$.data[*].id\" }}`",
                kind.name
            ))
        })?;
        let place = turn.place.clone().or_else(|| list::first(list));
        let place = place.ok_or_else(|| BackfillError::Asked("no such page".to_owned()))?;
        let given = headers(&turn.headers)?;
        let json = self.read(&engine, list, &place.target, &given).await?;
        follow(list, &place, &json, &|url| is_own(&engine, url)).map_err(BackfillError::App)
    }

    async fn read(
        &self,
        engine: &Engine,
        list: &ListRequest,
        target: &str,
        given: &HeaderMap,
    ) -> Result<Value, BackfillError> {
        let read = match target.parse() {
            Ok(uri) => {
                let request = request(engine, uri, None, &list.request.headers, given);
                timeout(PATIENCE, read_json((self.app)(), request)).await
            }
            Err(_) => Ok(Err("no address that can be asked".to_owned())),
        };
        let read = read.unwrap_or_else(|_| Err("the app took too long".to_owned()));
        read.map_err(|why| BackfillError::App(format!("GET {target}: {why}")))
    }
}

async fn read_json(app: App, request: Request<RequestBody<Empty<Bytes>>>) -> Result<Value, String> {
    let reply = app.oneshot(request).await.map_err(|error| error.to_string())?;
    let status = reply.status();
    if status != StatusCode::OK {
        return Err(format!("the app answers {status}"));
    }
    let (mut body, mut text) = (reply.into_body(), Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if text.len() > MAX_PAGE {
            return Err(format!("the page has more than {MAX_PAGE} bytes"));
        }
    }
    let json = serde_json::from_slice(&text);
    json.map_err(|error| format!("the app's answer is no JSON: {error}"))
}

impl fmt::Debug for Backfill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backfill").finish_non_exhaustive()
    }
}

fn kind<'e>(engine: &'e Engine, name: &str) -> Result<&'e Kind, BackfillError> {
    let kind = engine.config.kinds.iter().find(|kind| *kind.name == *name);
    kind.map(|kind| &**kind).ok_or_else(|| {
        let names: Vec<_> = engine.config.kinds.iter().map(|kind| &*kind.name).collect();
        let names = names.join(", ");
        BackfillError::Asked(format!("there is no kind `{name}` under `[documents]`: {names}"))
    })
}

/// The document's name, as a request for it would give it.
fn key(kind: &Kind, id: &Id) -> Result<DocumentKey, Reason> {
    let mut headers = HeaderMap::new();
    if let Some(host) = &id.host {
        let host = HeaderValue::from_str(host).map_err(|_| Reason::HostUnclear)?;
        headers.insert(HOST, host);
    }
    kind.key(id.id.clone(), &headers, &Uri::from_static("/"))
}

async fn standing(engine: &Engine, key: &DocumentKey) -> Result<Standing, Reason> {
    let mapping = engine.outbox.mapping(key).await?;
    Ok(match mapping {
        Some(mapping) if !is_to_be_brought(&mapping) => Standing::Known,
        _ => Standing::Unknown,
    })
}

/// What never came by for sure, and what DWS has lost.
fn is_to_be_brought(mapping: &Mapping) -> bool {
    !mapping.is_document() || mapping.state.lost_document().is_some()
}

/// Whether this address is the app's.
fn is_own(engine: &Engine, url: &Url) -> bool {
    let app = &engine.config.app;
    let address = app.url.as_ref().map(Uri::to_string);
    let mut own = address.iter().chain(&app.origins).filter_map(|own| Url::parse(own).ok());
    own.any(|own| own.origin() == url.origin())
}

/// A request of the operator's: what is given there counts more than what the configuration says.
fn request(
    engine: &Engine,
    uri: Uri,
    host: Option<&str>,
    configured: &HeaderMap,
    given: &HeaderMap,
) -> Request<RequestBody<Empty<Bytes>>> {
    let mut request = Request::new(RequestBody::empty());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    let app = engine.config.app.url.as_ref().and_then(Uri::authority);
    let host = host.or(app.map(http::uri::Authority::as_str));
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
        headers.insert(HOST, host);
    }
    headers.extend(configured.clone());
    for name in given.keys() {
        headers.remove(name);
    }
    for (name, value) in given {
        headers.append(name, value.clone());
    }
    request
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, BackfillError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        // The value may be a token.
        let wrong =
            || BackfillError::Asked(format!("the header {name:?} is none that can be sent"));
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::from_str(value).ok());
        let (name, mut value) = parsed.ok_or_else(wrong)?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn hash(headers: &HeaderMap) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    for (name, value) in headers {
        for item in [name.as_str().as_bytes(), value.as_bytes()] {
            hash.update(&(item.len() as u64).to_be_bytes());
            hash.update(item);
        }
    }
    let mut sum = [0; 32];
    sum.copy_from_slice(hash.finish().as_ref());
    sum
}

/// For one step; what takes longer goes on, and is asked for again.
const PATIENCE: Duration = Duration::from_secs(15);
