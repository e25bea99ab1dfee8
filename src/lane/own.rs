//! Transom's own addresses: the session endpoint and the viewer page.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Body;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use serde_json::json;

use super::Inner;
use super::document::{Sought, Waiting};
use super::grant::{Asker, Via, admit, grant};
use super::probe::probe;
use crate::body::ResponseBody;
use crate::config::{AppSays, Config, Kind, ViewRule};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::events::{Event, Origin};
use crate::mount::Misplaced;
use crate::problem::problem;
use crate::reading::{Parameter, parameter};
use crate::reason::Reason;
use crate::route::effective;
use crate::rules::serves;
use crate::session::Session;
use crate::store::Mapping;
use crate::telemetry::request_id;
use crate::trail::{Finding, Trail};
use crate::viewer::{Page, is_ahead, refusal};

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
        engine.events.tell(&Event::NotAddressed { reason: Reason::NotFound }, &Origin::of(parts));
        return problem(Reason::NotFound, id);
    };
    let outcome = match document(&engine.config, &asked, parts) {
        Ok(document) => {
            let served = serve(engine, inner, parts, &document, asked.what).await;
            let reason = served.as_ref().map_or_else(|reason| *reason, |_| Reason::SessionGiven);
            let event = Event::SessionDecided { document: Some(&document.key), reason };
            engine.events.tell(&event, &Origin::of(parts));
            served
        }
        Err(reason) => {
            engine.events.tell(&Event::NotAddressed { reason }, &Origin::of(parts));
            Err(reason)
        }
    };
    match outcome {
        Ok(reply) => reply,
        Err(reason) if matches!(asked.what, What::View) && wants_page(&parts.headers) => {
            refusal(reason, &engine.config.server.prefix, id).map(Bytes::from)
        }
        Err(reason) => problem(reason, id),
    }
}

#[derive(Clone, Copy)]
enum What {
    Session,
    View,
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

/// What is asked for, and by whose rule.
struct Document<'c> {
    kind: &'c Kind,
    rule: &'c ViewRule,
    key: DocumentKey,
}

/// An id that no document can have is an unknown document.
fn document<'c>(config: &'c Config, asked: &Asked, parts: &Parts) -> Result<Document<'c>, Reason> {
    let kind = config.kinds.iter().find(|kind| *kind.name == asked.kind);
    let kind = kind.filter(|kind| serves(&kind.hosts, &parts.headers, &parts.uri));
    let kind = kind.ok_or(Reason::DocumentUnknown)?;
    let rule = kind.view(view(parts.uri.query())?.as_deref()).ok_or(Reason::NotFound)?;
    let key = kind.key(asked.id.clone(), &parts.headers, &parts.uri);
    Ok(Document { kind, rule, key: key.map_err(|_| Reason::DocumentUnknown)? })
}

/// `?view=`: the name of the view whose rights are asked for.
fn view(query: Option<&str>) -> Result<Option<Cow<'_, str>>, Reason> {
    match parameter(query, "view") {
        Parameter::Missing => Ok(None),
        Parameter::Value(name) => Ok(Some(name)),
        Parameter::Unclear => Err(Reason::ParameterUnclear),
    }
}

async fn serve<S: Inner<B>, B: Send + 'static>(
    engine: &Engine,
    inner: &mut S,
    parts: &Parts,
    document: &Document<'_>,
    what: What,
) -> Result<Response<Bytes>, Reason> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Reason::MethodNotAllowed);
    }
    effective(&parts.method, &parts.headers, parts.uri.query(), &[])
        .map_err(|_| Reason::OverrideUnclear)?;
    Misplaced::check(&parts.extensions)?;
    let Document { kind, rule, key } = document;
    if matches!(what, What::Session) && is_ahead(&parts.headers) {
        return Err(Reason::Prefetch);
    }
    let asker = Asker::recognise(engine, rule, parts).await?.wanting_anew(asks_anew(parts));
    let mut seen = None;
    if rule.authorize.app != AppSays::NotAsked {
        seen = probe(engine, inner, kind, key, parts).await?;
    }
    let (asker, seen, waiting) = (&asker, seen.as_ref(), Waiting::Alone);
    let sought = Sought { engine, rule, key, asker, parts, seen, waiting };
    // Neither a page nor a reply without a body needs the session itself.
    if matches!(what, What::View) || parts.method == Method::HEAD {
        let mapping = admit(sought, inner).await?;
        return Ok(match what {
            What::View => {
                Trail::step(&parts.extensions, "sent", || {
                    (Finding::Told, "a viewer page".to_owned())
                });
                page(engine, document, &mapping)
            }
            What::Session => json_reply(Bytes::new()),
        });
    }
    let session = grant(sought, inner, Via::Endpoint).await?;
    Trail::step(&parts.extensions, "sent", || {
        let permissions = session.token.permissions.names();
        let detail = format!(
            "{{\"session\":\"<session>\",\"document_id\":…,\"expires_at\":…,\"permissions\":{permissions:?}}}"
        );
        (Finding::Told, detail)
    });
    Ok(told(&session))
}

/// `?fresh`: the viewer service refused the session that this caller has.
fn asks_anew(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "fresh")
}

fn told(session: &Session) -> Response<Bytes> {
    let body = json!({
        "session": session.token.jwt.expose_secret(),
        "document_id": session.token.document_id,
        "expires_at": session.token.expires,
        "permissions": session.token.permissions.names(),
    });
    json_reply(Bytes::from(body.to_string()))
}

fn json_reply(body: Bytes) -> Response<Bytes> {
    let mut reply = Response::new(body);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

fn page(engine: &Engine, document: &Document<'_>, mapping: &Mapping) -> Response<Bytes> {
    let page = Page {
        sdk: &engine.config.viewer.sdk,
        prefix: &engine.config.server.prefix,
        key: &document.key,
        view: &document.rule.view,
        title: mapping.title.as_deref(),
        data_planes: &engine.broker.data_planes(),
        backend: &engine.config.backend.url,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_view_is_named_once_and_plainly() {
        for (query, named) in [
            (None, None),
            (Some(""), None),
            (Some("fresh"), None),
            (Some("a=1&viewer=x&preview=y&view_=z"), None),
            (Some("view=detail"), Some("detail")),
            (Some("view=detail&fresh"), Some("detail")),
            (Some("x=1&view=d%65tail"), Some("detail")),
            (Some("view="), Some("")),
            (Some("view"), Some("")),
        ] {
            assert_eq!(view(query), Ok(named.map(Cow::Borrowed)), "{query:?}");
        }
        for query in [
            "view=a&view=b",
            "view=a&view=a",
            "view=a;view=b",
            "x=1;view=b&view=a",
            "View=a",
            "VIEW=a&view=a",
            "v%69ew=a",
            "%20view=a",
            "+view=a",
            "view[]=a",
            "view%5B0%5D=a",
            "view%00x=a",
        ] {
            assert_eq!(view(Some(query)), Err(Reason::ParameterUnclear), "{query}");
        }
    }
}
