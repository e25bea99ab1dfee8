//! Transom's own addresses: the session endpoint and the viewer page.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use serde_json::json;
use tracing::{debug, info};

use super::Inner;
use super::grant::{Asker, Granted, Purpose, grant};
use super::probe::probe;
use crate::body::ResponseBody;
use crate::config::{AppSays, Config, Kind, serves};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::explain::{Finding, Trail};
use crate::mount::Misplaced;
use crate::problem::problem;
use crate::reason::Reason;
use crate::route::effective;
use crate::telemetry::{Step, Visit, request_id};
use crate::viewer::{Page, refusal};

/// Whether a path belongs to Transom itself.
pub(crate) fn is_own(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers `session/{kind}/{id}` and `view/{kind}/{id}`.
pub(crate) async fn own<S: Inner<B>, B>(
    engine: Arc<Engine>,
    mut inner: S,
    request: Request<B>,
) -> Result<Response<ResponseBody<S::Reply>>, S::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    // An unread body is the listener's business; none is expected here.
    let (parts, _) = request.into_parts();
    let mut reply = answer(&engine, &mut inner, &parts).await;
    if parts.method == Method::HEAD {
        *reply.body_mut() = Bytes::new();
    }
    Ok(reply.map(ResponseBody::full))
}

async fn answer<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    parts: &Parts,
) -> Response<Bytes> {
    let id = request_id::of(&parts.headers);
    let Some(asked) = Asked::read(&engine.config.server.prefix, parts.uri.path()) else {
        Trail::decided(&parts.extensions, Reason::NotFound);
        return problem(Reason::NotFound, id);
    };
    let outcome = match document(&engine.config, &asked, parts) {
        Ok((kind, key)) => {
            let granted = serve(engine, inner, parts, kind, &key, asked.what).await;
            let reason = granted.as_ref().map_or_else(|reason| *reason, |_| Reason::SessionGiven);
            Trail::decided(&parts.extensions, reason);
            Visit::decided(&parts.extensions, reason);
            if Trail::of_asked(&parts.extensions).is_none() {
                note(engine, &key, reason, id);
            }
            granted.map(|granted| (granted, key))
        }
        Err(reason) => {
            Trail::decided(&parts.extensions, reason);
            Err(reason)
        }
    };
    if let Ok((granted, _)) = &outcome {
        Trail::step(&parts.extensions, "sent", || asked.what.sent(granted));
    }
    match (asked.what, outcome) {
        (What::Session, Ok((granted, _))) => session(&granted),
        (What::View, Ok((granted, key))) => page(&engine.config, &granted, &key),
        (What::View, Err(reason)) if wants_page(&parts.headers) => {
            refusal(reason, &engine.config.server.prefix, id).map(Bytes::from)
        }
        (_, Err(reason)) => problem(reason, id),
    }
}

fn note(engine: &Engine, key: &DocumentKey, reason: Reason, request_id: &str) {
    engine.metrics.outcome(Step::Session, reason);
    match reason {
        Reason::SessionGiven => {
            debug!(code = %reason, document = %key, request_id, "session given");
        }
        _ => info!(code = %reason, document = %key, request_id, "no session"),
    }
}

#[derive(Clone, Copy)]
enum What {
    Session,
    View,
}

impl What {
    fn sent(self, granted: &Granted) -> (Finding, String) {
        let told = match self {
            Self::View => "a viewer page".to_owned(),
            Self::Session => format!(
                "{{\"session\":\"<session>\",\"document_id\":…,\"expires_at\":…,\"permissions\":{:?}}}",
                granted.session.permissions.names()
            ),
        };
        (Finding::Told, told)
    }
}

/// `/session/{kind}/{id}` or `/view/{kind}/{id}`, each name one percent-encoded segment.
struct Asked {
    what: What,
    kind: String,
    id: String,
}

impl Asked {
    fn read(prefix: &str, path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix(prefix)?.strip_prefix('/')?.split('/');
        let what = match segments.next()? {
            "session" => What::Session,
            "view" => What::View,
            _ => return None,
        };
        let mut decoded =
            || Some(percent_decode_str(segments.next()?).decode_utf8_lossy().into_owned());
        let (kind, id) = (decoded()?, decoded()?);
        segments.next().is_none().then_some(Self { what, kind, id })
    }
}

/// An id that no document can have is an unknown document.
fn document<'c>(
    config: &'c Config,
    asked: &Asked,
    parts: &Parts,
) -> Result<(&'c Kind, DocumentKey), Reason> {
    let kind = config.kinds.iter().find(|kind| kind.name == asked.kind);
    let kind = kind.filter(|kind| serves(&kind.hosts, &parts.headers, &parts.uri));
    let kind = kind.ok_or(Reason::DocumentUnknown)?;
    let key = kind.key(asked.id.clone(), &parts.headers, &parts.uri);
    Ok((kind, key.map_err(|_| Reason::DocumentUnknown)?))
}

async fn serve<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    parts: &Parts,
    kind: &Kind,
    key: &DocumentKey,
    what: What,
) -> Result<Granted, Reason> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Reason::MethodNotAllowed);
    }
    effective(&parts.method, &parts.headers, parts.uri.query(), &[])
        .map_err(|_| Reason::OverrideUnclear)?;
    Misplaced::check(&parts.extensions)?;
    let rule = &kind.own;
    let asker = Asker::recognise(engine, rule, parts).await?.wanting_anew(asks_anew(parts));
    let mut seen = None;
    if rule.authorize.app != AppSays::NotAsked {
        seen = probe(engine, inner, kind, key, parts).await?;
    }
    let purpose = match what {
        What::Session => Purpose::Endpoint,
        What::View => Purpose::OwnPage,
    };
    grant(engine, inner, rule, key, &asker, parts, seen.as_ref(), purpose).await
}

/// `?fresh`: the viewer service refused the session that this caller has.
fn asks_anew(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "fresh")
}

fn session(granted: &Granted) -> Response<Bytes> {
    let session = &granted.session;
    let body = json!({
        "session": session.jwt.expose_secret(),
        "document_id": session.document_id,
        "expires_at": session.expires,
        "permissions": session.permissions.names(),
    });
    let mut reply = Response::new(Bytes::from(body.to_string()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn page(config: &Config, granted: &Granted, key: &DocumentKey) -> Response<Bytes> {
    let page = Page {
        sdk: &config.viewer.sdk,
        prefix: &config.server.prefix,
        key,
        title: granted.mapping.title.as_deref(),
        data_plane: granted.session.server_url.as_deref(),
        original: None,
    };
    page.reply().map(Bytes::from)
}

/// People get a page; whoever asks for JSON gets a problem.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map(|value| value.as_bytes().to_ascii_lowercase());
    accept.is_none_or(|accept| {
        let names = |what: &[u8]| accept.windows(what.len()).any(|window| window == what);
        names(b"text/html") || !names(b"json")
    })
}
