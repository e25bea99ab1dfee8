//! The story: every request takes one of four lanes, decided once.
//!
//! - *pass*: no rule matches; the inner service gets the request untouched. Documents that it may change there are
//!   in doubt.
//! - *capture*: an upload, a replacement or a delete; the body is tapped, the app answers, what
//!   follows is made durable, and only then the end of the reply is released.
//! - *view*: who is asking, may they, the app's own answer, and a session into request or reply.
//! - *own*: Transom's own addresses.

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, Version};
use http_body::Body;
use tower::Service;

use crate::body::{RequestBody, ResponseBody};
use crate::condition::Condition;
use crate::config::Action;
use crate::cookies;
use crate::engine::{Effects, Engine};
use crate::events::{Event, Origin};
use crate::in_flight::UnderWay;
use crate::inject::Owned;
use crate::lane::{self, LaneFuture, ResponseFuture};
use crate::mount::Mount;
use crate::reading::has_odd_charset;
use crate::reason::Reason;
use crate::route::{Captures, Overridden, effective_of_head};
use crate::rules::{Candidate, Rule};
use crate::telemetry::{Lane, Visit};
use crate::trail::{Finding, Trail};

/// An inner service with Transom in front. Made by [`TransomLayer`](crate::TransomLayer).
#[derive(Clone, Debug)]
pub struct TransomService<S> {
    engine: Arc<ArcSwap<Engine>>,
    mount: Option<Mount>,
    inner: S,
}

impl<S> TransomService<S> {
    pub(crate) fn new(engine: Arc<ArcSwap<Engine>>, mount: Option<Mount>, inner: S) -> Self {
        Self { engine, mount, inner }
    }
}

impl<S, B, R> Service<Request<B>> for TransomService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes, Error: Send> + Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // One configuration decides on all of a request.
        let engine = self.engine.load();
        // First of all, so that nothing below can be told apart by a header that only Transom may set.
        engine.owned.strip(request.headers_mut());
        if request.version() == Version::HTTP_2 {
            // Before anybody reads them, so that the app sees the same in a probe as in the request itself.
            cookies::join(request.headers_mut());
        }
        engine.watch.look(&mut request);
        // Looked for once, since next to no request is explained.
        let told = Trail::of(request.extensions()).is_some();
        let (mut lane, found) = choose(&engine, &request, told);
        let mut again = false;
        if let (Lane::Capture, Some(mount)) = (lane, &self.mount)
            && mount.takes_again(request.extensions_mut())
        {
            (lane, again) = (Lane::Pass, true);
        }
        if told {
            Trail::lane(request.extensions(), lane.name());
        }
        if let Some(mount) = &self.mount
            && let Some(misplaced) =
                mount.look(request.extensions(), request.uri().path(), lane != Lane::Pass)
        {
            request.extensions_mut().insert(misplaced);
        }
        engine.metrics.request(lane);
        if engine.effects == Effects::None && matches!(lane, Lane::Capture | Lane::Pass) {
            // Whatever the app did with it would be done for real. A capture is decided on when app and body
            // have had their say; until then it is only a route.
            let nothing = Response::new(ResponseBody::full(Bytes::new()));
            return ResponseFuture::Lane { future: Box::pin(std::future::ready(Ok(nothing))) };
        }
        if lane == Lane::Pass {
            let documents = if again { Vec::new() } else { lane::meant(&engine, &request) };
            if !documents.is_empty() {
                let fresh = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, fresh);
                let inner = Cleaned::new(inner, &engine);
                let engine = Guard::into_inner(engine);
                let future = Box::pin(lane::write(engine, inner, request, documents));
                return ResponseFuture::Lane { future };
            }
            let passed = |body| RequestBody::passed(body).without(&engine.owned);
            let future = self.inner.call(request.map(passed));
            return ResponseFuture::Pass { future };
        }
        Visit::lane(request.extensions(), lane);
        // The instance that was polled ready is the one to call (tower `Service`, "Be careful when cloning").
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let inner = Cleaned::new(inner, &engine);
        let engine = Guard::into_inner(engine);
        let future: LaneFuture<R, S::Error> = match lane {
            Lane::Capture => Box::pin(lane::capture(engine, inner, request)),
            Lane::View => return lane::view(&engine, inner, request, found, told),
            Lane::Own | Lane::Pass => Box::pin(lane::own(engine, inner, request)),
        };
        ResponseFuture::Lane { future }
    }
}

/// The inner service as the lanes get it: whatever they send, no trailer has an owned header.
#[derive(Clone)]
struct Cleaned<S> {
    inner: S,
    owned: Arc<Owned>,
    _under_way: UnderWay,
}

impl<S> Cleaned<S> {
    fn new(inner: S, engine: &Engine) -> Self {
        Self { inner, owned: engine.owned.clone(), _under_way: engine.in_flight.begin() }
    }
}

impl<S: Service<Request<RequestBody<B>>>, B> Service<Request<RequestBody<B>>> for Cleaned<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody<B>>) -> S::Future {
        self.inner.call(request.map(|body| body.without(&self.owned)))
    }
}

/// The lane; and for a view, its rules with what they captured, so that all of it is decided on one reading.
/// `told`: somebody has the request explained.
fn choose<B: Body>(
    engine: &Engine,
    request: &Request<B>,
    told: bool,
) -> (Lane, Vec<(usize, Captures)>) {
    let (path, query) = (request.uri().path(), request.uri().query());
    if lane::is_own(&engine.config.server.prefix, path) {
        return (Lane::Own, Vec::new());
    }
    let mut candidates = engine.config.routes.candidates(path, query);
    if told {
        tell_of_other_routes(engine, request, &candidates);
    }
    if engine.config.routes.is_unclear(path, query, &candidates) {
        tell_unclear(engine, request, Reason::PathUnclear, "the path can be read as another one's");
        return (Lane::Pass, Vec::new());
    }
    let has_body = || has_body(request);
    if engine.config.routes.is_query_unclear(request.method(), path, query, has_body) {
        tell_unclear(engine, request, Reason::ParameterUnclear, PARAMETER);
        return (Lane::Pass, Vec::new());
    }
    candidates.retain(|candidate| candidate.rule.serves(request.headers(), request.uri()));
    if candidates.is_empty() {
        return (Lane::Pass, Vec::new());
    }
    match choose_among(engine, request, &candidates, told) {
        Lane::View => {
            let found = candidates.into_iter().map(|found| (found.index, found.captures));
            (Lane::View, found.collect())
        }
        lane => (lane, Vec::new()),
    }
}

fn choose_among<B: Body>(
    engine: &Engine,
    request: &Request<B>,
    candidates: &[Candidate<'_>],
    told: bool,
) -> Lane {
    let (method, headers) = (request.method(), request.headers());
    let effective = match effective_of_head(method, headers, request.uri()) {
        Ok(effective) => effective,
        Err(overridden) => {
            let why = match overridden {
                Overridden::Method => "the method may be overridden",
                Overridden::Path => "the path may be overridden",
            };
            tell_unclear(engine, request, Reason::OverrideUnclear, why);
            return Lane::Pass;
        }
    };
    // A form may name another method in its body, which is read on its way.
    let form = *method == Method::POST
        && headers.get(CONTENT_TYPE).is_some_and(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            value.starts_with(b"multipart/form-data")
                || value.starts_with(b"application/x-www-form-urlencoded")
        });
    let lane_of = |candidate: &Candidate<'_>| match candidate.rule.action {
        Action::View(_) => {
            (candidate.rule.method == effective && effective == *method).then_some(Lane::View)
        }
        Action::Upload(_) | Action::Delete(_) => {
            (candidate.rule.method == effective || form).then_some(Lane::Capture)
        }
    };
    let chosen = candidates.iter().find_map(|candidate| {
        let lane = lane_of(candidate);
        if told {
            tell_route(request, candidate.rule, if lane.is_some() { "" } else { "another method" });
        }
        lane
    });
    if chosen == Some(Lane::View) && candidates.iter().any(reads_query) && has_body(request) {
        tell_unclear(engine, request, Reason::ParameterUnclear, PARAMETER);
        return Lane::Pass;
    }
    chosen.unwrap_or(Lane::Pass)
}

/// Whether a form could come with it, or the query may be in a charset of its own.
fn has_body<B: Body>(request: &Request<B>) -> bool {
    let body = request.body();
    (!body.is_end_stream() && body.size_hint().exact() != Some(0))
        || has_odd_charset(request.headers())
}

/// Whether a view decides by a parameter, other than by its route.
fn reads_query(candidate: &Candidate<'_>) -> bool {
    let Action::View(view) = &candidate.rule.action else { return false };
    let looks = |when: &Condition| {
        let query = |path: &Vec<String>| {
            path.first().is_some_and(|name| name == "request")
                && path.get(1).is_none_or(|part| part == "query")
        };
        when.members().iter().any(query)
    };
    let grants = view.grant.iter().filter_map(|grant| grant.when.as_ref());
    view.id.iter().any(|locator| locator.parameter().is_some())
        || candidate.rule.when.iter().chain(&view.allow).chain(grants).any(looks)
}

const PARAMETER: &str = "a parameter can be read as another one's, or is overlaid by a form";

fn tell_unclear<B>(engine: &Engine, request: &Request<B>, reason: Reason, why: &'static str) {
    Trail::step(request.extensions(), "route", || (Finding::No, why.to_owned()));
    let event = Event::PassedOn { reason, path: request.uri().path() };
    engine.events.tell(&event, &Origin::at(request.extensions(), request.headers()));
}

fn tell_of_other_routes<B>(engine: &Engine, request: &Request<B>, found: &[Candidate<'_>]) {
    for rule in engine.config.routes.rules() {
        if !found.iter().any(|candidate| std::ptr::eq(candidate.rule, rule)) {
            tell_route(request, rule, "the path does not match");
        }
    }
}

/// `why_not` is empty for the route that matches.
fn tell_route<B>(request: &Request<B>, rule: &Rule, why_not: &str) {
    Trail::step(request.extensions(), "route", || {
        let route = format!("{}: {} {}", rule.name, rule.method, rule.pattern.text());
        match why_not {
            "" => (Finding::Yes, route),
            why_not => (Finding::No, format!("{route}: {why_not}")),
        }
    });
}
