//! What is done to each request before anything is decided on it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, Version};
use http_body::Body;
use http_body_util::{Either, Full};
use ipnet::IpNet;
use pin_project_lite::pin_project;
use tower::layer::layer_fn;
use tower::{Layer, Service};

use crate::engine::Engine;
use crate::events::{Event, Events, Origin};
use crate::http::guard::head;
use crate::http::nominated;
use crate::http::{BoxError, headers};
use crate::problem::instead_of_the_app;
use crate::reason::Reason;
use crate::telemetry::{InFlight, Metrics, Visit, request_id};
use crate::viewer::Shown;

use crate::http::ClientInfo;
use crate::http::downstream::client_body::{ClientBody, CountBytes, Struck};
use crate::http::downstream::expect::{Expectation, Held};
use crate::http::downstream::{Limit, Limits};

use super::limits::{LimitSetting, limits};

/// Gives a request its id, and lets its headers say only what the app will be told too: nothing that
/// `Connection` names, and about the client what this hop saw. Refuses what the app could read differently.
#[derive(Clone, Debug)]
pub(crate) struct Edge<S> {
    inner: S,
    shared: Arc<Parameters>,
}

#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) events: Events,
    pub(super) access_log: bool,
}

impl<S> Edge<S> {
    /// As `engine` is configured. `access_log`: there is one.
    pub(crate) fn layer(
        engine: &Engine,
        access_log: bool,
    ) -> impl Layer<S, Service = Self> + use<S> {
        let server = &engine.config.server;
        Self::layer_with(Parameters {
            trusted_proxies: server.trusted_proxies.clone(),
            limits: limits(&engine.config),
            metrics: engine.metrics.clone(),
            events: engine.events.clone(),
            access_log,
        })
    }

    pub(super) fn layer_with(parameters: Parameters) -> impl Layer<S, Service = Self> + use<S> {
        let shared = Arc::new(parameters);
        layer_fn(move |inner| Self { inner, shared: Arc::clone(&shared) })
    }
}

impl Parameters {
    /// Notes what the access log tells of any request.
    fn visit(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
        request_id: &HeaderValue,
    ) -> Option<Visit> {
        let visit = self.access_log.then(|| Visit::of(extensions).cloned())??;
        let peer = extensions.get::<ClientInfo>().map(|client| client.peer.ip());
        let client =
            peer.map(|peer| crate::http::first_client(headers, peer, &self.trusted_proxies));
        visit.came(client, request_id);
        Some(visit)
    }
}

impl<S, B, R> Service<Request<B>> for Edge<S>
where
    S: Service<Request<Held<ClientBody<B>>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<EdgeBody<R>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let client = request.extensions().get::<ClientInfo>().copied();
        if let Err(refusal) = head::check(&request) {
            let reason = Reason::from(refusal);
            let id = request_id::assign(request.headers_mut());
            self.shared.visit(request.extensions(), request.headers(), &id);
            let id = id.to_str().unwrap_or("-");
            let refused = Event::Refused { reason, peer: client.map(|client| client.peer) };
            let origin = Origin::at(request.extensions(), request.headers());
            self.shared.events.tell(&refused, &origin);
            let shown = Shown::of(request.headers()).to_a_person();
            let mut reply = instead_of_the_app(reason, id, shown);
            // What follows it can't be trusted to be a request.
            if request.version() != Version::HTTP_2 {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            return Answering::Refused { reply: Some(reply) };
        }
        headers::take_host_from_target(&mut request);
        let map = request.headers_mut();
        nominated::remove(map);
        let request_id = request_id::assign(map);
        if let Some(ClientInfo { peer, tls }) = client {
            headers::tell_client(map, peer, tls, &self.shared.trusted_proxies);
        }
        let slow = self.shared.limits.receiving();
        let too_many = map.len() > self.shared.limits.of_clients.header_count;
        let expectation = request.extensions_mut().remove::<Expectation>();
        let visit = self.shared.visit(request.extensions(), request.headers(), &request_id);
        let mut exchange = Exchange {
            peer: client.map(|client| client.peer),
            request_id,
            struck: Struck::default(),
            shared: Arc::clone(&self.shared),
        };
        if too_many {
            let shown = Shown::of(request.headers()).to_a_person();
            let reply = exchange.refuse(Limit::HeaderCount, Reason::TooManyHeaders, shown);
            return Answering::Refused { reply: Some(reply) };
        }
        let request = request.map(|body| {
            let count =
                visit.map(|visit| -> CountBytes { Box::new(move |bytes| visit.received(bytes)) });
            let body = ClientBody::new(body, slow, count);
            exchange.struck = body.struck();
            Held::new(body, expectation)
        });
        let in_flight = self.shared.metrics.in_flight();
        Answering::Passed { answer: self.inner.call(request), exchange, in_flight: Some(in_flight) }
    }
}

/// What a refusal needs to know of its request.
#[derive(Debug)]
struct Exchange {
    peer: Option<SocketAddr>,
    request_id: HeaderValue,
    struck: Struck,
    shared: Arc<Parameters>,
}

impl Exchange {
    fn refuse(&self, limit: Limit, reason: Reason, shown: bool) -> Response<Bytes> {
        LimitSetting::OfClients(limit).strike(&self.shared.metrics, self.peer);
        instead_of_the_app(reason, self.request_id.to_str().unwrap_or("-"), shown)
    }
}

/// The reply of the service within, or our refusal.
pub(crate) type EdgeBody<R> = Either<R, Full<Bytes>>;

pin_project! {
    /// A request whose reply has not started.
    #[project = AnsweringProj]
    #[derive(Debug)]
    pub(crate) enum Answering<F> {
        Passed { #[pin] answer: F, exchange: Exchange, in_flight: Option<InFlight> },
        Refused { reply: Option<Response<Bytes>> },
    }
}

impl<F, R, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<EdgeBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (answer, exchange, in_flight) = match self.project() {
            AnsweringProj::Passed { answer, exchange, in_flight } => (answer, exchange, in_flight),
            AnsweringProj::Refused { reply } => {
                return reply.take().map_or(Poll::Pending, |reply| Poll::Ready(Ok(refusal(reply))));
            }
        };
        let reply = ready!(answer.poll(context))?.map(Either::Left);
        in_flight.take();
        // The app, or whoever spoke for it, got half a request then; its word on that is nobody's business.
        Poll::Ready(Ok(match exchange.struck.limit() {
            Some(limit) => refusal(exchange.refuse(limit, Reason::RequestTooSlow, false)),
            None => reply,
        }))
    }
}

fn refusal<R>(reply: Response<Bytes>) -> Response<EdgeBody<R>> {
    reply.map(Full::new).map(Either::Right)
}
