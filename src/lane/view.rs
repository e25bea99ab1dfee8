//! The view lane: a request for a document that may be shown.
//!
//! Whatever goes wrong here costs the caller the session and never the app's reply.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use secrecy::ExposeSecret;
use tracing::{debug, info};

use super::grant::{Asker, Granted, Purpose, grant};
use super::probe::probe;
use super::{Inner, ask_for_identity, is_encoded, tell};
use crate::body::{RequestBody, ResponseBody, Tail};
use crate::client::ClientInfo;
use crate::config::{Action, AppSays, Delivery, Kind, ViewRule};
use crate::correlate::{MAX_REPLY, ReplyFacts, RequestFacts, find, request_value};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::explain::Trail;
use crate::inject::{Edit, Pointer, SpliceError, describe_edited, forbid_storing, set_cookie};
use crate::reason::Reason;
use crate::route::{Captures, Rule};
use crate::session::ViewerSession;
use crate::telemetry::{Step, Visit, request_id};
use crate::viewer::{Page, is_navigation};

/// Lets the app answer, and adds the session to its request or reply where caller and app agree.
///
/// No `async fn`: its future, which is boxed for every view, would hold the request twice.
pub(crate) fn view<S: Inner<B>, B>(
    engine: Arc<Engine>,
    mut inner: S,
    request: Request<B>,
    found: Vec<(usize, Captures)>,
) -> impl Future<Output = Result<Response<ResponseBody<S::Reply>>, S::Error>> + Send
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    async move {
        let view = match View::of(&engine, &parts, found) {
            Ok(Some(view)) => view,
            Ok(None) => return pass(inner, parts, body).await,
            Err(reason) => {
                note(&engine, &parts, None, reason);
                return pass(inner, parts, body).await;
            }
        };
        let asker = match Asker::recognise(&engine, view.rule, &parts).await {
            Ok(asker) => asker,
            Err(reason) => {
                note(&engine, &parts, Some(&view.key), reason);
                return pass(inner, parts, body).await;
            }
        };
        if let Some(names) = view.request_headers() {
            // Boxed, since it is large, and most views need nothing before the app.
            match Box::pin(view.before_the_app(&mut inner, &asker, &parts)).await {
                Ok(granted) => {
                    note(&engine, &parts, Some(&view.key), Reason::SessionGiven);
                    let early =
                        |delivery: &&Delivery| matches!(delivery, Delivery::RequestHeader(_));
                    tell::deliveries(view.rule.session.iter().filter(early), &parts.extensions);
                    put_into_request(&mut parts, &names, &granted, &view.key);
                }
                Err(reason) => {
                    // Asked for once per request: what was refused before the app is refused after it.
                    note(&engine, &parts, Some(&view.key), reason);
                    return pass(inner, parts, body).await;
                }
            }
        }
        let Some(after) = view.after_the_app(&parts) else {
            return pass(inner, parts, body).await;
        };
        if after.json.is_some() {
            ask_for_identity(&mut parts.headers);
        }
        let asked = parts.clone();
        let reply = inner.forward(Request::from_parts(parts, RequestBody::passed(body))).await?;
        Ok(view.after(&mut inner, &asker, &asked, after, reply).await)
    }
}

async fn pass<S: Inner<B>, B>(
    mut inner: S,
    parts: Parts,
    body: B,
) -> Result<Response<ResponseBody<S::Reply>>, S::Error> {
    let reply = inner.forward(Request::from_parts(parts, RequestBody::passed(body))).await?;
    Ok(reply.map(ResponseBody::passed))
}

/// A request of a view route, and the document it names.
struct View<'e> {
    engine: &'e Engine,
    rule: &'e ViewRule,
    kind: &'e Kind,
    key: DocumentKey,
}

/// What is to be done with the app's reply.
struct After<'r> {
    json: Option<&'r Pointer>,
    page: bool,
    /// Headers and cookies.
    other: Vec<&'r Delivery>,
}

impl<'e> View<'e> {
    /// The first view rule of this request whose `when` holds; `None` if there is none.
    fn of(
        engine: &'e Engine,
        parts: &Parts,
        found: Vec<(usize, Captures)>,
    ) -> Result<Option<Self>, Reason> {
        for (index, captures) in found {
            let Some(Rule { action: Action::View(rule), method, when, kind, .. }) =
                engine.config.routes.rules().get(index)
            else {
                continue;
            };
            if *method != parts.method {
                continue;
            }
            let holds = when.as_ref().is_none_or(|when| {
                let (uri, headers) = (&parts.uri, &parts.headers);
                let request = request_value(&parts.method, uri.path(), uri.query(), headers, None);
                let (variables, extensions) = ([("request", &request)], &parts.extensions);
                let holds = when.holds(&variables);
                tell::condition(engine, "when", when, &variables, holds, extensions);
                holds
            });
            if holds {
                let kind = engine.config.kinds.get(*kind).ok_or(Reason::DocumentUnknown)?;
                let key = document(rule, kind, &captures, parts)?;
                return Ok(Some(Self { engine, rule, kind, key }));
            }
        }
        Ok(None)
    }

    fn request_headers(&self) -> Option<Vec<HeaderName>> {
        let names: Vec<_> = self
            .rule
            .session
            .iter()
            .filter_map(|delivery| match delivery {
                Delivery::RequestHeader(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        (!names.is_empty()).then_some(names)
    }

    /// What remains to be delivered once the app has answered, for this kind of request.
    fn after_the_app(&self, parts: &Parts) -> Option<After<'e>> {
        let mut after = After { json: None, page: false, other: Vec::new() };
        for delivery in &self.rule.session {
            match delivery {
                Delivery::RequestHeader(_) => {}
                Delivery::Json(pointer) => after.json = Some(pointer),
                Delivery::Page => {
                    after.page = is_navigation(&parts.method, &parts.uri, &parts.headers);
                    tell::navigation(after.page, &parts.extensions);
                }
                Delivery::ResponseHeader(_) | Delivery::Cookie(_) => after.other.push(delivery),
            }
        }
        (after.json.is_some() || after.page || !after.other.is_empty()).then_some(after)
    }

    /// The session for the app's own eyes: the app's word has to be had first, by the probe.
    async fn before_the_app<S: Inner<B>, B: Send + 'static>(
        &self,
        inner: &mut S,
        asker: &Asker,
        parts: &Parts,
    ) -> Result<Granted, Reason> {
        if self.rule.authorize.app != AppSays::NotAsked {
            probe(self.engine, inner, self.kind, &self.key, parts).await?;
        }
        grant(self.engine, inner, self.rule, &self.key, asker, parts, Purpose::RequestHeader).await
    }

    async fn after<S: Inner<B>, B: Send + 'static>(
        &self,
        inner: &mut S,
        asker: &Asker,
        asked: &Parts,
        after: After<'_>,
        reply: Response<S::Reply>,
    ) -> Response<ResponseBody<S::Reply>> {
        tell::own_answer(reply.status(), asked);
        if !reply.status().is_success() {
            if let Some(reason) = refusal_of(reply.status()) {
                note(self.engine, asked, Some(&self.key), reason);
            }
            return reply.map(ResponseBody::passed);
        }
        let page = after.page && self.shows(reply.headers());
        if after.page {
            tell::shown(page, reply.headers(), &asked.extensions);
        }
        let mut json = after.json.filter(|_| !page);
        if let (Some(_), Err(reason)) = (json, may_be_json(&reply)) {
            note(self.engine, asked, Some(&self.key), reason);
            json = None;
        }
        let (mut head, body) = reply.into_parts();
        let mut content = Content::Untouched(body);
        let mut edit = None;
        if let Some(pointer) = json {
            content = content.read().await;
            // Looked for before a session is asked for: sessions may cost.
            match content.find(pointer) {
                Ok(found) => edit = Some(found),
                Err(reason) => note(self.engine, asked, Some(&self.key), reason),
            }
        }
        if !page && edit.is_none() && after.other.is_empty() {
            return Response::from_parts(head, content.into_body());
        }
        let granted = async {
            if self.rule.authorize.app == AppSays::Probe {
                // Boxed, since a probe's future is large, and most views need none.
                Box::pin(probe(self.engine, inner, self.kind, &self.key, asked)).await?;
            }
            let purpose = if page { Purpose::Page } else { Purpose::Reply };
            grant(self.engine, inner, self.rule, &self.key, asker, asked, purpose).await
        };
        let granted = match granted.await {
            Ok(granted) => granted,
            Err(reason) => {
                note(self.engine, asked, Some(&self.key), reason);
                return Response::from_parts(head, content.into_body());
            }
        };
        note(self.engine, asked, Some(&self.key), Reason::SessionGiven);
        if page {
            tell::deliveries([&Delivery::Page], &asked.extensions);
            return self.page(asked, &granted);
        }
        let in_json =
            |delivery: &&Delivery| edit.is_some() && matches!(delivery, Delivery::Json(_));
        let sent = self.rule.session.iter().filter(in_json).chain(after.other.iter().copied());
        tell::deliveries(sent, &asked.extensions);
        let jwt = granted.session.jwt.expose_secret();
        if let (Some(edit), Some(pointer), Content::Read { bytes, .. }) =
            (edit, json, &mut content)
        {
            *bytes = edit.put(bytes, pointer, jwt).into();
            describe_edited(&mut head.headers, bytes.len());
        }
        put_into_headers(&mut head.headers, &after.other, &granted, asked);
        forbid_storing(&mut head.headers);
        Response::from_parts(head, content.into_body())
    }

    /// Whether the app answered with a document that the viewer can show.
    fn shows(&self, headers: &HeaderMap) -> bool {
        let essence = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase());
        essence.is_some_and(|essence| {
            essence == "application/octet-stream" || self.kind.types.contains(&essence)
        })
    }

    fn page<R>(&self, asked: &Parts, granted: &Granted) -> Response<ResponseBody<R>>
    where
        R: Body<Data = Bytes> + Send + 'static,
    {
        let page = Page {
            sdk: &self.engine.config.viewer.sdk,
            prefix: &self.engine.config.server.prefix,
            key: &self.key,
            title: granted.mapping.title.as_deref(),
            data_plane: granted.session.server_url.as_deref(),
            original: asked.uri.path_and_query().map(http::uri::PathAndQuery::as_str),
        };
        page.reply().map(ResponseBody::full)
    }
}

fn document(
    rule: &ViewRule,
    kind: &Kind,
    captures: &Captures,
    parts: &Parts,
) -> Result<DocumentKey, Reason> {
    let request = RequestFacts {
        captures,
        query: parts.uri.query(),
        headers: &parts.headers,
        fields: &[],
        json: None,
    };
    let nothing = HeaderMap::new();
    let reply = ReplyFacts::new(StatusCode::OK, &nothing, Err(Reason::IdMissing));
    let mut ids = find(&rule.id, &request, &reply)?.ids;
    match (ids.pop(), ids.is_empty()) {
        (Some(id), true) => DocumentKey::new(kind.name.as_str(), id).map_err(|_| Reason::IdInvalid),
        _ => Err(Reason::IdCountMismatch),
    }
}

/// What the app's refusal means; `None` for replies that say nothing about the caller (304).
fn refusal_of(status: StatusCode) -> Option<Reason> {
    match status {
        StatusCode::NOT_MODIFIED => None,
        status if status.is_server_error() => Some(Reason::AppUnavailable),
        _ => Some(Reason::DeniedByApp),
    }
}

fn put_into_request(parts: &mut Parts, names: &[HeaderName], granted: &Granted, key: &DocumentKey) {
    // A question has nothing to put there, and its request may be seen by the app.
    if Trail::of_asked(&parts.extensions).is_some() {
        return;
    }
    for name in names {
        parts.headers.insert(name.clone(), granted.session.header.clone());
    }
    parts.extensions.insert(ViewerSession::new(granted.session.clone(), key.clone()));
}

fn put_into_headers(
    headers: &mut HeaderMap,
    deliveries: &[&Delivery],
    granted: &Granted,
    asked: &Parts,
) {
    for delivery in deliveries {
        match delivery {
            Delivery::ResponseHeader(name) => {
                headers.insert(name.clone(), granted.session.header.clone());
            }
            Delivery::Cookie(name) => {
                let life = granted.session.expires.saturating_sub(crate::mapping::now_ms() / 1000);
                let jwt = granted.session.jwt.expose_secret();
                headers.append(SET_COOKIE, set_cookie(name, jwt, life, came_over_tls(asked)));
            }
            _ => {}
        }
    }
}

/// The listener lets only trusted proxies speak for the client's own connection.
fn came_over_tls(asked: &Parts) -> bool {
    match asked.headers.get(&X_FORWARDED_PROTO) {
        Some(proto) => proto.as_bytes().eq_ignore_ascii_case(b"https"),
        None => asked.extensions.get::<ClientInfo>().is_some_and(|client| client.tls),
    }
}

/// A complete, uncompressed reply of a bounded length that is not of a kind that streams.
fn may_be_json<R>(reply: &Response<R>) -> Result<(), Reason> {
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT];
    let length = reply.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let too_long = length.and_then(|text| text.parse().ok()).is_some_and(|n: usize| n > MAX_REPLY);
    let kind = reply.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let textual = kind.is_none_or(|kind| {
        let starts_with = |text: &[u8]| {
            kind.get(..text.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(text))
        };
        kind.windows(4).any(|window| window.eq_ignore_ascii_case(b"json"))
            || starts_with(b"text/") && !starts_with(b"text/event-stream")
    });
    match () {
        () if bodiless.contains(&reply.status()) || !textual => Err(Reason::ReplyNotJson),
        () if too_long => Err(Reason::ReplyTooLarge),
        () if is_encoded(reply.headers()) => Err(Reason::ReplyEncoded),
        () => Ok(()),
    }
}

/// A reply's body, perhaps read.
enum Content<R: Body<Data = Bytes>> {
    Untouched(R),
    Read { bytes: Bytes, tail: Tail<R> },
}

impl<R: Body<Data = Bytes> + Send + 'static> Content<R> {
    /// Reads as much as is looked at; what follows stays in the tail.
    async fn read(self) -> Self {
        let Self::Untouched(body) = self else { return self };
        let mut body = Box::pin(body);
        // Most replies are one frame, which need not be copied.
        let (mut first, mut more) = (Bytes::new(), BytesMut::new());
        let tail = loop {
            match body.frame().await {
                None => break Tail { next: None, rest: None },
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) if first.len() + more.len() + data.len() > MAX_REPLY => {
                        break Tail { next: Some(Ok(frame)), rest: Some(body) };
                    }
                    Some(data) if first.is_empty() => first = data.clone(),
                    Some(data) => more.extend_from_slice(data),
                    None => break Tail { next: Some(Ok(frame)), rest: Some(body) },
                },
                Some(Err(error)) => break Tail { next: Some(Err(error)), rest: None },
            }
        };
        let bytes = match more.is_empty() {
            true => first,
            false => Bytes::from([&first[..], &more[..]].concat()),
        };
        Self::Read { bytes, tail }
    }

    fn find(&self, pointer: &Pointer) -> Result<Edit, Reason> {
        let Self::Read { bytes, tail } = self else { return Err(Reason::ReplyNotJson) };
        match &tail.next {
            Some(Ok(frame)) if frame.is_data() => return Err(Reason::ReplyTooLarge),
            Some(Err(_)) => return Err(Reason::ReplyIncomplete),
            _ => {}
        }
        Edit::find(bytes, pointer).map_err(|error| match error {
            SpliceError::NotJson => Reason::ReplyNotJson,
            SpliceError::PointerUnmatched => Reason::PointerUnmatched,
        })
    }

    fn into_body(self) -> ResponseBody<R> {
        match self {
            Self::Untouched(body) => ResponseBody::passed(body),
            Self::Read { bytes, tail: Tail { next: None, .. } } => ResponseBody::full(bytes),
            Self::Read { bytes, tail } => ResponseBody::resumed(bytes, tail),
        }
    }
}

fn note(engine: &Engine, parts: &Parts, key: Option<&DocumentKey>, reason: Reason) {
    Trail::decided(&parts.extensions, reason);
    Visit::decided(&parts.extensions, reason);
    if Trail::of_asked(&parts.extensions).is_some() {
        return;
    }
    engine.metrics.outcome(Step::Session, reason);
    let document = key.map(tracing::field::display);
    let request_id = || request_id::of(&parts.headers);
    match reason {
        Reason::SessionGiven => {
            debug!(code = %reason, document, request_id = request_id(), "session given");
        }
        _ => info!(code = %reason, document, request_id = request_id(), "no session"),
    }
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
