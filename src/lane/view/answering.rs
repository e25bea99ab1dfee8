//! What is done with the app's answer to a view.

use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, response};
use secrecy::ExposeSecret;

use super::content::Content;
use super::viewed::{Finish, Finished, Marks};
use super::{View, note};
use crate::body::ResponseBody;
use crate::config::AppSays;
use crate::events::{Event, Origin, RequestId};
use crate::http::{ClientInfo, nominated};
use crate::inject::{Edit, IntoBody, describe_edited, forbid_storing};
use crate::lane::document::{Sought, Waiting};
use crate::lane::grant::{Asker, Via, admit, grant};
use crate::lane::policy::looks_at;
use crate::lane::probe::probe;
use crate::lane::{Inner, LaneFuture, tell};
use crate::reason::Reason;
use crate::session::{Answer, Refusal, Session, judge};
use crate::store::{Mapping, Observed};
use crate::telemetry::{Visit, request_id};
use crate::viewer::Page;

/// A view whose request is with the app.
pub(super) struct Answering<S, B> {
    view: View,
    asker: Asker,
    asked: Asked,
    /// What the reply says of the document's bytes, where it serves them.
    seen: Option<Observed>,
    /// The reply alone proves nothing.
    probe_decides: bool,
    inner: S,
    body: PhantomData<fn(B)>,
}

/// What is known of the request now that the app has it.
pub(super) enum Asked {
    /// All of its head.
    Kept(Box<Parts>),
    /// As much as is looked at where nothing is asked, fetched, explained or put on record: to copy a head
    /// costs a view more than all its caches.
    Noted { visit: Option<Visit>, request_id: Option<HeaderValue>, over_tls: bool },
}

impl View {
    pub(super) fn remember(&self, asker: &Asker, parts: &Parts) -> Asked {
        let Self { engine, rule, kind, .. } = self;
        // A page for a caller without a token may be a login, so that the probe is asked.
        let may_probe = rule.authorize.app != AppSays::Reply
            || (asker.caller.is_none() && self.changes_the_reply());
        let needed = self.page
            || may_probe
            || kind.validate.is_some()
            || kind.source.is_some()
            || engine.audit.is_some()
            || looks_at(rule, "request")
            || self.told;
        if needed {
            return Asked::Kept(Box::new(parts.clone()));
        }
        Asked::Noted {
            visit: Visit::of(&parts.extensions).cloned(),
            request_id: parts.headers.get(request_id::HEADER).cloned(),
            over_tls: rule.session.needs_client && came_over_tls(parts),
        }
    }
}

impl<S: Inner<B>, B: Send + 'static> Finish<S::Reply, S::Error> for Answering<S, B> {
    fn finish(mut self: Box<Self>, reply: Response<S::Reply>) -> Finished<S::Reply, S::Error> {
        let status = reply.status();
        let word = own_word(status, reply.headers(), self.asker.caller.is_some());
        if let Asked::Kept(head) = &self.asked {
            tell::own_answer(status, word, head);
        }
        match word {
            OwnWord::Yes => {}
            OwnWord::AskTheProbe => self.probe_decides = true,
            OwnWord::No(reason) => {
                if status != StatusCode::NOT_MODIFIED {
                    self.note(reason);
                }
                return Finished::Now(reply.map(ResponseBody::passed));
            }
        }
        // With a query it may be a thumbnail or an older version.
        let plain = matches!(&self.asked, Asked::Kept(head) if head.uri.query().is_none());
        if self.view.rule.serves_bytes && plain {
            self.seen = Observed::of_bytes(status, reply.headers());
        }
        if self.is_replaced(reply.headers()) {
            let (head, body) = reply.into_parts();
            return Finished::Later(Box::pin(self.finish_page(head, ResponseBody::passed(body))));
        }
        match self.fitting(&reply) {
            Some(Ok(())) => return Finished::Later(Box::pin(self.finish_body(reply))),
            Some(Err(reason)) => self.note(reason),
            None => {}
        }
        if !self.view.delivers_in_head() {
            return Finished::Now(reply.map(ResponseBody::passed));
        }
        let (head, body) = reply.into_parts();
        let body = ResponseBody::passed(body);
        match self.granted_at_once() {
            Some(granted) => Finished::Now(self.deliver(granted, head, body)),
            None => Finished::Later(self.finish_head(head, body)),
        }
    }
}

impl<S: Inner<B>, B: Send + 'static> Answering<S, B> {
    pub(super) fn new(view: View, asker: Asker, asked: Asked, inner: S) -> Self {
        let probe_decides = view.rule.authorize.app == AppSays::Probe;
        Self { view, asker, asked, seen: None, probe_decides, inner, body: PhantomData }
    }

    /// No `async fn`, which would hold head and body twice.
    fn finish_head(
        mut self: Box<Self>,
        head: response::Parts,
        body: ResponseBody<S::Reply>,
    ) -> LaneFuture<S::Reply, S::Error> {
        Box::pin(async move {
            let granted = self.granted().await;
            Ok(self.deliver(granted, head, body))
        })
    }

    /// A page instead of the app's document, where its script would get a session.
    async fn finish_page(
        mut self: Box<Self>,
        head: response::Parts,
        body: ResponseBody<S::Reply>,
    ) -> Result<Response<ResponseBody<S::Reply>>, S::Error> {
        let admitted = self.admitted().await;
        let mapping = match admitted {
            Ok(mapping) => mapping,
            Err(reason) => {
                self.note(reason);
                return Ok(without_session(reason, head, body));
            }
        };
        match self.instead_of_reply(&mapping) {
            Some(reply) => {
                self.note(Reason::SessionGiven);
                Ok(reply)
            }
            None => Ok(Response::from_parts(head, body)),
        }
    }

    async fn finish_body(
        mut self: Box<Self>,
        reply: Response<S::Reply>,
    ) -> Result<Response<ResponseBody<S::Reply>>, S::Error> {
        let (mut head, body) = reply.into_parts();
        let mut content = Content::read(body).await;
        let text = content.text(&head.headers).inspect_err(|reason| self.note(*reason)).ok();
        let rule = self.view.rule.clone();
        let fits = |way: &&Arc<dyn IntoBody>| way.fits(head.status, &head.headers).is_ok();
        let mut ways = rule.session.body.iter().filter(fits);
        // Looked for before a session is asked for: sessions may cost.
        let found = text
            .as_ref()
            .and_then(|text| ways.find_map(|way| Some((way, self.find(text, &**way)?))));
        if found.is_none() && !self.view.delivers_in_head() {
            return Ok(Response::from_parts(head, content.into_body()));
        }
        let granted = self.granted().await;
        if let (Some(text), Some((way, place)), Ok(session)) = (&text, found, &granted) {
            let jwt = session.token.jwt.expose_secret();
            let mut edited = way.put(text, &place, jwt);
            self.tell(|| way.done());
            for way in ways {
                if let Some(place) = self.find(&edited, &**way) {
                    edited = way.put(&edited, &place, jwt);
                    self.tell(|| way.done());
                }
            }
            content.bytes = edited.into();
            describe_edited(&mut head.headers, content.bytes.len());
        }
        Ok(self.deliver(granted, head, content.into_body()))
    }

    /// Whether the reply may have a place for what goes into its body; `None` where nothing does.
    fn fitting(&self, reply: &Response<S::Reply>) -> Option<Result<(), Reason>> {
        let fits = |way: &Arc<dyn IntoBody>| way.fits(reply.status(), reply.headers());
        let mut ways = self.view.in_body().iter();
        let first = fits(ways.next()?);
        Some(first.or_else(|reason| ways.any(|way| fits(way).is_ok()).then_some(()).ok_or(reason)))
    }

    fn find(&self, body: &[u8], way: &dyn IntoBody) -> Option<Edit> {
        way.find(body).inspect_err(|reason| self.note(*reason)).ok()
    }

    /// What was done, for `explain`.
    fn tell(&self, done: impl FnOnce() -> String) {
        if let Asked::Kept(asked) = &self.asked {
            tell::sent(done, &asked.extensions);
        }
    }

    /// The outcome of [`granted`](Self::granted) where nothing has to be waited for, as with nearly every view: then it
    /// needs no future of its own. `None`: it is to be asked for anew, which is harmless where nothing but the store and
    /// the cache of sessions is looked at before (a mint that has begun goes on, and is joined).
    fn granted_at_once(&mut self) -> Option<Result<Arc<Session>, Reason>> {
        let Asked::Noted { .. } = self.asked else { return None };
        let granted = pin!(self.granted());
        match granted.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(granted) => Some(granted),
            Poll::Pending => None,
        }
    }

    async fn granted(&mut self) -> Result<Arc<Session>, Reason> {
        self.probed().await?;
        let View { engine, rule, key, .. } = &self.view;
        let blank;
        let head = match &self.asked {
            Asked::Kept(head) => &**head,
            Asked::Noted { .. } => {
                blank = Request::new(()).into_parts().0;
                &blank
            }
        };
        let (asker, seen, waiting) = (&self.asker, self.seen.as_ref(), Waiting::WithTheApp);
        let sought = Sought { engine, rule, key, asker, parts: head, seen, waiting };
        grant(sought, &mut self.inner, Via::Reply).await
    }

    async fn admitted(&mut self) -> Result<Arc<Mapping>, Reason> {
        self.probed().await?;
        let View { engine, rule, key, .. } = &self.view;
        let Asked::Kept(head) = &self.asked else { return Err(Reason::DocumentUnknown) };
        let (asker, seen, waiting) = (&self.asker, self.seen.as_ref(), Waiting::WithTheApp);
        let sought = Sought { engine, rule, key, asker, parts: head, seen, waiting };
        admit(sought, &mut self.inner).await
    }

    /// The app's word by its probe, where the rule wants it.
    async fn probed(&mut self) -> Result<(), Reason> {
        let View { engine, kind, key, .. } = &self.view;
        if !self.probe_decides {
            return Ok(());
        }
        // All of the head is kept for a probe.
        let Asked::Kept(head) = &self.asked else { return Err(Reason::AppUnavailable) };
        // Boxed, since a probe's future is large, and most views need none.
        let probed = Box::pin(probe(engine, &mut self.inner, kind, key, head)).await?;
        self.seen = self.seen.take().or(probed);
        Ok(())
    }

    /// The reply with what goes into its head.
    fn deliver(
        &self,
        granted: Result<Arc<Session>, Reason>,
        mut head: response::Parts,
        body: ResponseBody<S::Reply>,
    ) -> Response<ResponseBody<S::Reply>> {
        let session = match granted {
            Ok(session) => session,
            Err(reason) => {
                self.note(reason);
                return without_session(reason, head, body);
            }
        };
        self.note(Reason::SessionGiven);
        // A hop before us would take what the app named for the app's own, and drop ours.
        nominated::remove(&mut head.headers);
        self.put_into_headers(&mut head.headers, &session);
        forbid_storing(&mut head.headers);
        Response::from_parts(head, body)
    }

    /// All of the head is kept for a view that may be answered so.
    fn instead_of_reply(&self, mapping: &Mapping) -> Option<Response<ResponseBody<S::Reply>>> {
        let View { engine, rule, key, .. } = &self.view;
        let (Asked::Kept(asked), Some(instead)) = (&self.asked, &rule.session.instead) else {
            return None;
        };
        let page = Page {
            sdk: &engine.config.viewer.sdk,
            prefix: &engine.config.server.prefix,
            key,
            view: &rule.view,
            title: mapping.title.as_deref(),
            data_planes: &engine.broker.data_planes(),
            backend: &engine.config.backend.url,
            original: asked.uri.path_and_query().map(http::uri::PathAndQuery::as_str),
        };
        let reply = instead.reply(&page).map(ResponseBody::full);
        self.tell(|| instead.done());
        Some(reply)
    }

    fn put_into_headers(&self, headers: &mut HeaderMap, session: &Session) {
        let over_tls = match &self.asked {
            Asked::Kept(head) => self.view.rule.session.needs_client && came_over_tls(head),
            Asked::Noted { over_tls, .. } => *over_tls,
        };
        for delivery in &self.view.rule.session.head {
            delivery.put(headers, &session.token, over_tls);
            self.tell(|| delivery.done());
        }
    }

    /// Whether something else stands for the app's reply, for this client.
    fn is_replaced(&self, reply: &HeaderMap) -> bool {
        let View { rule, kind, page, .. } = &self.view;
        let Some(instead) = rule.session.instead.as_ref().filter(|_| *page) else { return false };
        let replaced = instead.replaces(reply, &kind.types);
        if let Asked::Kept(asked) = &self.asked {
            tell::page(replaced, || instead.why_replaced(replaced, reply), &asked.extensions);
        }
        replaced
    }

    fn note(&self, reason: Reason) {
        let View { engine, key, .. } = &self.view;
        match &self.asked {
            Asked::Kept(head) => note(engine, head, Some(key), reason),
            Asked::Noted { visit, request_id, .. } => {
                let request_id = request_id.as_ref().map_or(RequestId::None, RequestId::Is);
                let origin = Origin { extensions: None, visit: visit.as_ref(), request_id };
                engine.events.tell(&Event::SessionDecided { document: Some(key), reason }, &origin);
            }
        }
    }
}

fn without_session<B>(reason: Reason, head: response::Parts, body: B) -> Response<B> {
    let mut reply = Response::from_parts(head, body);
    Marks::default().without_session(reason).put(&mut reply);
    reply
}

/// What the app's own reply to a view says of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lane) enum OwnWord {
    Yes,
    No(Reason),
    /// A web page for a caller without a valid token may be the app's login.
    AskTheProbe,
}

/// `recognised`: the caller has a valid token.
fn own_word(status: StatusCode, reply: &HeaderMap, recognised: bool) -> OwnWord {
    match judge(status, reply, &HeaderMap::new()) {
        Answer::Yes => OwnWord::Yes,
        Answer::No(Refusal::Page) if recognised => OwnWord::Yes,
        Answer::No(Refusal::Page) => OwnWord::AskTheProbe,
        Answer::No(_) => OwnWord::No(Reason::DeniedByApp),
        Answer::Unknown(_) => OwnWord::No(Reason::AppUnavailable),
    }
}

/// The listener lets only trusted proxies speak for the client's own connection.
fn came_over_tls(asked: &Parts) -> bool {
    match asked.headers.get(&X_FORWARDED_PROTO) {
        Some(proto) => proto.as_bytes().eq_ignore_ascii_case(b"https"),
        None => asked.extensions.get::<ClientInfo>().is_some_and(|client| client.tls),
    }
}

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;

    #[test]
    fn the_apps_own_answer_counts_by_status_type_and_caller() {
        let (denied, unknown) =
            (OwnWord::No(Reason::DeniedByApp), OwnWord::No(Reason::AppUnavailable));
        for (status, content_type, of_a_stranger, of_a_caller) in [
            (200, "application/json", OwnWord::Yes, OwnWord::Yes),
            (206, "application/pdf", OwnWord::Yes, OwnWord::Yes),
            (200, "text/html", OwnWord::AskTheProbe, OwnWord::Yes),
            (302, "text/html", denied, denied),
            (304, "application/pdf", denied, denied),
            (404, "application/json", denied, denied),
            (429, "application/json", unknown, unknown),
            (500, "text/html", unknown, unknown),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let reply = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
            assert_eq!(own_word(status, &reply, false), of_a_stranger, "{status} {content_type}");
            assert_eq!(own_word(status, &reply, true), of_a_caller, "{status} {content_type}");
        }
    }
}
