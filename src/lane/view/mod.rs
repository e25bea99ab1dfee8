//! The view lane: a request for a document that may be shown.
//!
//! Whatever goes wrong here costs the caller the session and never the app's reply.

mod answering;
mod conditional;
mod content;
mod viewed;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;

use self::answering::Answering;
pub(super) use self::answering::OwnWord;
use self::viewed::Marks;
pub(crate) use self::viewed::Viewed;
use super::document::{Sought, Waiting};
use super::grant::{Asker, Via, grant};
use super::probe::probe;
use super::{Inner, ResponseFuture, tell};
use crate::body::{RequestBody, ResponseBody};
use crate::config::{Action, AppSays, Kind, ViewRule};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::events::{Event, Origin};
use crate::inject::{Asks, IntoBody, is_conditional};
use crate::locate::{Locator, ReplyFacts, RequestFacts, find, request_value};
use crate::mount::Misplaced;
use crate::reason::Reason;
use crate::route::Captures;
use crate::rules::Rule;
use crate::session::{Session, ViewerSession};
use crate::viewer::is_ahead;

/// Lets the app answer, and adds the session to its request or reply where caller and app agree.
///
/// The app is asked at once where nobody has to be waited for before, as for nearly every view. `told`: somebody has
/// the request explained.
pub(crate) fn view<S: Inner<B>, B>(
    engine: &Arc<Engine>,
    inner: S,
    request: Request<B>,
    found: Vec<(usize, Captures)>,
    told: bool,
) -> ResponseFuture<S::Future, S::Reply, S::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    let varies = found.iter().any(|(index, _)| gives_pages(engine, *index));
    let placed = Misplaced::check(&parts.extensions);
    let view = match placed.and_then(|()| View::of(engine, &parts, found, told)) {
        Ok(Some(view)) => view,
        Ok(None) => return pass(inner, parts, body, Marks { varies, ..Marks::default() }),
        Err(reason) => {
            note(engine, &parts, None, reason);
            return pass(inner, parts, body, Marks { varies, ..Marks::default() });
        }
    };
    let marks = view.marks(varies);
    if view.ahead && !view.page {
        if marks.not_stored {
            note(engine, &parts, Some(&view.key), Reason::Prefetch);
        }
        return pass(inner, parts, body, marks);
    }
    let conditional = view.changes_the_reply() && is_conditional(&parts.headers);
    let at_once = !view.is_early() && !view.told && !conditional;
    let asker = if at_once { recognised_at_once(engine, &view.rule, &parts) } else { None };
    match asker {
        Some(Ok(asker)) => view.ask(inner, asker, parts, body, marks),
        Some(Err(reason)) => {
            note(engine, &parts, Some(&view.key), reason);
            pass(inner, parts, body, view.without(marks, reason))
        }
        None => ResponseFuture::Lane { future: Box::pin(view.answer(inner, parts, body, marks)) },
    }
}

/// The caller, who is known at once in nearly every view: then the request needs no future of its own. `None`: keys
/// have to be waited for, and the caller is looked for anew.
fn recognised_at_once(
    engine: &Engine,
    rule: &ViewRule,
    parts: &Parts,
) -> Option<Result<Asker, Reason>> {
    // Polled once, and where it is.
    let recognised = pin!(Asker::recognise(engine, rule, parts));
    match recognised.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(asker) => Some(asker),
        Poll::Pending => None,
    }
}

fn gives_pages(engine: &Engine, index: usize) -> bool {
    match engine.config.routes.rules().get(index).map(|rule| &rule.action) {
        Some(Action::View(rule)) => rule.session.instead.is_some(),
        _ => false,
    }
}

fn pass<S: Inner<B>, B>(
    mut inner: S,
    parts: Parts,
    body: B,
    marks: Marks,
) -> ResponseFuture<S::Future, S::Reply, S::Error> {
    let reply = inner.forward(Request::from_parts(parts, RequestBody::passed(body)));
    ResponseFuture::View { future: Viewed::passed(reply, marks) }
}

/// A request of a view route, and the document it names.
struct View {
    engine: Arc<Engine>,
    rule: Arc<ViewRule>,
    kind: Arc<Kind>,
    key: DocumentKey,
    /// Somebody has the request explained.
    told: bool,
    /// The client can show a page, and is to get one.
    page: bool,
    /// Nobody looks at the reply yet, so that no session is due.
    ahead: bool,
}

impl View {
    /// The first view rule of this request whose `when` holds; `None` if there is none.
    fn of(
        engine: &Arc<Engine>,
        parts: &Parts,
        found: Vec<(usize, Captures)>,
        told: bool,
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
                let Parts { method, uri, headers, .. } = parts;
                let instead = rule.session.instead.as_ref();
                let page = instead.is_some_and(|page| page.is_for(method, uri, headers));
                let ahead = is_ahead(&parts.headers);
                return Ok(Some(Self { engine, rule, kind, key, told, page, ahead }));
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
        mut marks: Marks,
    ) -> Result<Response<ResponseBody<S::Reply>>, S::Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let asker = match Asker::recognise(&self.engine, &self.rule, &parts).await {
            Ok(asker) => asker,
            Err(reason) => {
                note(&self.engine, &parts, Some(&self.key), reason);
                return pass(inner, parts, body, self.without(marks, reason)).await;
            }
        };
        if self.is_early() {
            // Boxed, since it is large, and most views need nothing before the app.
            match Box::pin(self.before_the_app(&mut inner, &asker, &parts)).await {
                Ok(session) => {
                    note(&self.engine, &parts, Some(&self.key), Reason::SessionGiven);
                    self.put_into_request(&mut parts, &session);
                    // Whatever the app makes of it: its reply is this caller's, for as long as the session lasts.
                    marks.not_stored = true;
                }
                Err(reason) => {
                    // Asked for once per request: what was refused before the app is refused after it.
                    note(&self.engine, &parts, Some(&self.key), reason);
                    return pass(inner, parts, body, self.without(marks, reason)).await;
                }
            }
        } else if self.changes_the_reply()
            && is_conditional(&parts.headers)
            && let Err(reason) = self.check_due(&asker, &parts).await
        {
            note(&self.engine, &parts, Some(&self.key), reason);
            return pass(inner, parts, body, marks).await;
        }
        self.ask(inner, asker, parts, body, marks).await
    }

    /// The session for the app's own eyes: the app's word has to be had first, by the probe.
    async fn before_the_app<S: Inner<B>, B: Send + 'static>(
        &self,
        inner: &mut S,
        asker: &Asker,
        parts: &Parts,
    ) -> Result<Arc<Session>, Reason> {
        let Self { engine, rule, kind, key, .. } = self;
        let mut seen = None;
        if rule.authorize.app != AppSays::NotAsked {
            seen = probe(engine, inner, kind, key, parts).await?;
        }
        let (seen, waiting) = (seen.as_ref(), Waiting::WithTheApp);
        let sought = Sought { engine, rule, key, asker, parts, seen, waiting };
        grant(sought, inner, Via::RequestHeader).await
    }

    fn put_into_request(&self, parts: &mut Parts, session: &Arc<Session>) {
        for delivery in &self.rule.session.request {
            delivery.put(&mut parts.headers, &session.token);
            tell::sent(|| delivery.done(), &parts.extensions);
        }
        parts.extensions.insert(ViewerSession::new(session.clone(), self.key.clone()));
        Asks::default().put(&mut parts.headers);
    }

    /// Has the app answer, and delivers what can only be delivered with its answer.
    fn ask<S: Inner<B>, B>(
        self,
        mut inner: S,
        asker: Asker,
        mut parts: Parts,
        body: B,
        marks: Marks,
    ) -> ResponseFuture<S::Future, S::Reply, S::Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let session = &self.rule.session;
        if let Some(page) = session.instead.as_ref().filter(|_| self.told) {
            tell::page(self.page, || page.why_for(self.page).to_owned(), &parts.extensions);
        }
        if !self.changes_the_reply() {
            return pass(inner, parts, body, marks);
        }
        let mut asks = if self.ahead { Asks::default() } else { session.asks };
        if let Some(page) = session.instead.as_ref().filter(|_| self.page) {
            asks = asks.and(page.asks());
        }
        asks.put(&mut parts.headers);
        let asked = self.remember(&asker, &parts);
        let reply = inner.forward(Request::from_parts(parts, RequestBody::passed(body)));
        let answering = Answering::new(self, asker, asked, inner);
        ResponseFuture::View { future: Viewed::new(reply, Box::new(answering), marks) }
    }

    fn marks(&self, varies: bool) -> Marks {
        // Somebody who comes later would find it in the cache, without the session.
        let kept = self.rule.session.is_page_alone();
        Marks { varies, not_stored: self.ahead && !kept, not_reused: false }
    }

    /// Bytes that a page view gives to scripts are what they are to be.
    fn without(&self, marks: Marks, reason: Reason) -> Marks {
        match self.is_early() || self.changes_the_reply() {
            true => marks.without_session(reason),
            false => marks,
        }
    }

    /// Whether the app gets the session in its request.
    fn is_early(&self) -> bool {
        !self.ahead && !self.rule.session.request.is_empty()
    }

    /// Whether the client may get something else than the app's own reply.
    fn changes_the_reply(&self) -> bool {
        self.page || self.delivers_in_head() || !self.in_body().is_empty()
    }

    /// Whether there is something for the head of any reply.
    fn delivers_in_head(&self) -> bool {
        !self.ahead && !self.rule.session.head.is_empty()
    }

    /// What goes into the body of the reply.
    fn in_body(&self) -> &[Arc<dyn IntoBody>] {
        if self.ahead { &[] } else { &self.rule.session.body }
    }
}

fn document(
    rule: &ViewRule,
    kind: &Kind,
    mut captures: Captures,
    parts: &Parts,
) -> Result<DocumentKey, Reason> {
    // As most rules have it.
    if let Some(name) = rule.id.first().and_then(Locator::capture)
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

fn note(engine: &Engine, parts: &Parts, document: Option<&DocumentKey>, reason: Reason) {
    engine.events.tell(&Event::SessionDecided { document, reason }, &Origin::of(parts));
}
