//! The view lane: a request for a document that may be shown.
//!
//! Whatever goes wrong here costs the caller the session and never the app's reply.

mod answering;
mod content;
mod viewed;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tracing::{debug, info};

use self::answering::Answering;
pub(super) use self::answering::OwnWord;
pub(crate) use self::viewed::Viewed;
use super::grant::{Asker, Granted, Purpose, grant};
use super::probe::probe;
use super::{Inner, ask_for_identity, tell};
use crate::body::{RequestBody, ResponseBody};
use crate::config::{Action, AppSays, Delivery, Kind, ViewRule};
use crate::correlate::{Locator, ReplyFacts, RequestFacts, find, request_value};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::explain::Trail;
use crate::inject::Pointer;
use crate::mount::Misplaced;
use crate::reason::Reason;
use crate::route::{Captures, Rule};
use crate::service::ResponseFuture;
use crate::session::ViewerSession;
use crate::telemetry::{Step, Visit, request_id};
use crate::viewer::is_navigation;

/// Lets the app answer, and adds the session to its request or reply where caller and app agree.
///
/// The app is asked at once where nobody has to be waited for before, as for nearly every view.
pub(crate) fn view<S: Inner<B>, B>(
    engine: &Arc<Engine>,
    inner: S,
    request: Request<B>,
    found: Vec<(usize, Captures)>,
) -> ResponseFuture<S::Future, S::Reply, S::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let placed = Misplaced::check(&parts.extensions);
    let view = match placed.and_then(|()| View::of(engine, &parts, found)) {
        Ok(Some(view)) => view,
        Ok(None) => return pass(inner, parts, body),
        Err(reason) => {
            note(engine, &parts, None, reason);
            return pass(inner, parts, body);
        }
    };
    let at_once = !view.is_early() && !view.told;
    let asker = at_once.then(|| Asker::at_once(engine, &view.rule, &parts)).flatten();
    match asker {
        Some(asker) => view.ask(inner, asker, parts, body),
        None => ResponseFuture::Lane { future: Box::pin(view.answer(inner, parts, body)) },
    }
}

fn pass<S: Inner<B>, B>(
    mut inner: S,
    parts: Parts,
    body: B,
) -> ResponseFuture<S::Future, S::Reply, S::Error> {
    let request = Request::from_parts(parts, RequestBody::passed(body));
    ResponseFuture::Pass { future: inner.forward(request) }
}

/// A request of a view route, and the document it names.
struct View {
    engine: Arc<Engine>,
    rule: Arc<ViewRule>,
    kind: Arc<Kind>,
    key: DocumentKey,
    /// Somebody has the request explained.
    told: bool,
}

impl View {
    /// The first view rule of this request whose `when` holds; `None` if there is none.
    fn of(
        engine: &Arc<Engine>,
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
                let key = document(rule, kind, captures, parts)?;
                let (engine, rule, kind) = (engine.clone(), rule.clone(), kind.clone());
                let told = Trail::of(&parts.extensions).is_some();
                return Ok(Some(Self { engine, rule, kind, key, told }));
            }
        }
        Ok(None)
    }

    /// The whole of it, for a caller who has to be recognised first, or an app that wants the session
    /// in its request.
    async fn answer<S: Inner<B>, B>(
        self,
        mut inner: S,
        mut parts: Parts,
        body: B,
    ) -> Result<Response<ResponseBody<S::Reply>>, S::Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let asker = match Asker::recognise(&self.engine, &self.rule, &parts).await {
            Ok(asker) => asker,
            Err(reason) => {
                note(&self.engine, &parts, Some(&self.key), reason);
                return pass(inner, parts, body).await;
            }
        };
        if self.is_early() {
            // Boxed, since it is large, and most views need nothing before the app.
            match Box::pin(self.before_the_app(&mut inner, &asker, &parts)).await {
                Ok(granted) => {
                    note(&self.engine, &parts, Some(&self.key), Reason::SessionGiven);
                    let early = self.rule.session.iter().filter(|delivery| is_early(delivery));
                    tell::deliveries(early, &parts.extensions);
                    self.put_into_request(&mut parts, &granted);
                }
                Err(reason) => {
                    // Asked for once per request: what was refused before the app is refused after it.
                    note(&self.engine, &parts, Some(&self.key), reason);
                    return pass(inner, parts, body).await;
                }
            }
        }
        self.ask(inner, asker, parts, body).await
    }

    /// The session for the app's own eyes: the app's word has to be had first, by the probe.
    async fn before_the_app<S: Inner<B>, B: Send + 'static>(
        &self,
        inner: &mut S,
        asker: &Asker,
        parts: &Parts,
    ) -> Result<Granted, Reason> {
        let Self { engine, rule, kind, key, .. } = self;
        let mut seen = None;
        if rule.authorize.app != AppSays::NotAsked {
            seen = probe(engine, inner, kind, key, parts).await?;
        }
        let purpose = Purpose::RequestHeader;
        grant(engine, inner, rule, key, asker, parts, seen.as_ref(), purpose).await
    }

    fn put_into_request(&self, parts: &mut Parts, granted: &Granted) {
        // A question has nothing to put there, and its request may be seen by the app.
        if Trail::of_asked(&parts.extensions).is_some() {
            return;
        }
        for delivery in &self.rule.session {
            if let Delivery::RequestHeader(name) = delivery {
                parts.headers.insert(name.clone(), granted.session.header.clone());
            }
        }
        parts.extensions.insert(ViewerSession::new(granted.session.clone(), self.key.clone()));
    }

    /// Has the app answer, and delivers what can only be delivered with its answer.
    fn ask<S: Inner<B>, B>(
        self,
        mut inner: S,
        asker: Asker,
        mut parts: Parts,
        body: B,
    ) -> ResponseFuture<S::Future, S::Reply, S::Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let mut page = self.rule.session.contains(&Delivery::Page);
        if page {
            page = is_navigation(&parts.method, &parts.uri, &parts.headers);
            tell::navigation(page, &parts.extensions);
        }
        if self.pointer().is_some() {
            ask_for_identity(&mut parts.headers);
        } else if !page && !self.delivers_in_head() {
            return pass(inner, parts, body);
        }
        let asked = self.remember(&asker, &parts, page);
        let reply = inner.forward(Request::from_parts(parts, RequestBody::passed(body)));
        let answering = Answering::new(self, asker, page, asked, inner);
        ResponseFuture::View { future: Viewed::new(reply, Box::new(answering)) }
    }

    /// Whether the app gets the session in its request.
    fn is_early(&self) -> bool {
        self.rule.session.iter().any(is_early)
    }

    /// Whether there is something for the head of any reply.
    fn delivers_in_head(&self) -> bool {
        self.rule.session.iter().any(is_in_head)
    }

    /// Where in the reply's JSON the session goes.
    fn pointer(&self) -> Option<&Pointer> {
        self.rule.session.iter().rev().find_map(|delivery| match delivery {
            Delivery::Json(pointer) => Some(pointer),
            _ => None,
        })
    }
}

fn is_early(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::RequestHeader(_))
}

fn is_in_head(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::ResponseHeader(_) | Delivery::Cookie(_))
}

fn document(
    rule: &ViewRule,
    kind: &Kind,
    mut captures: Captures,
    parts: &Parts,
) -> Result<DocumentKey, Reason> {
    // As most rules have it.
    if let Some(Locator::Path(name)) = rule.id.first()
        && let Some(id) = captures.take(name).filter(|id| !id.is_empty())
    {
        return kind.key(id, &parts.headers, &parts.uri);
    }
    let request = RequestFacts {
        captures: &captures,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        fields: &[],
        json: None,
    };
    let nothing = HeaderMap::new();
    let reply = ReplyFacts::new(StatusCode::OK, &nothing, Err(Reason::IdMissing));
    let mut ids = find(&rule.id, &request, &reply)?.ids;
    match (ids.pop(), ids.is_empty()) {
        (Some(id), true) => kind.key(id, &parts.headers, &parts.uri),
        _ => Err(Reason::IdCountMismatch),
    }
}

fn note(engine: &Engine, parts: &Parts, key: Option<&DocumentKey>, reason: Reason) {
    Trail::decided(&parts.extensions, reason);
    Visit::decided(&parts.extensions, reason);
    if Trail::of_asked(&parts.extensions).is_none() {
        say(engine, key, reason, || request_id::of(&parts.headers));
    }
}

fn say<'p>(
    engine: &Engine,
    key: Option<&DocumentKey>,
    reason: Reason,
    request_id: impl FnOnce() -> &'p str,
) {
    engine.metrics.outcome(Step::Session, reason);
    let document = key.map(tracing::field::display);
    match reason {
        Reason::SessionGiven => {
            debug!(code = %reason, document, request_id = request_id(), "session given");
        }
        _ => info!(code = %reason, document, request_id = request_id(), "no session"),
    }
}
