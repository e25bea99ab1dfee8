//! What is done to each request before anything is decided on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;
use ipnet::IpNet;
use pin_project_lite::pin_project;
use tower::Service;

use crate::forward::headers;
use crate::telemetry::{InFlight, Metrics, request_id};

use super::ClientInfo;

/// Gives a request its id, and lets its headers say only what the app will be told too: nothing that
/// `Connection` names, and about the client what this hop saw.
#[derive(Clone, Debug)]
pub(crate) struct Edge<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trusted_proxies: Vec<IpNet>,
    metrics: Arc<Metrics>,
}

impl<S> Edge<S> {
    pub(crate) fn new(inner: S, trusted_proxies: Vec<IpNet>, metrics: Arc<Metrics>) -> Self {
        Self { inner, shared: Arc::new(Shared { trusted_proxies, metrics }) }
    }
}

impl<S, B> Service<Request<B>> for Edge<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let client = request.extensions().get::<ClientInfo>().copied();
        headers::take_host_from_target(&mut request);
        let map = request.headers_mut();
        headers::strip_named_by_connection(map);
        request_id::assign(map);
        if let Some(ClientInfo { peer, tls }) = client {
            headers::tell_client(map, peer, tls, &self.shared.trusted_proxies);
        }
        let in_flight = self.shared.metrics.in_flight();
        Answering { answer: self.inner.call(request), in_flight: Some(in_flight) }
    }
}

pin_project! {
    /// A request whose reply has not started.
    #[derive(Debug)]
    pub(crate) struct Answering<F> {
        #[pin]
        answer: F,
        in_flight: Option<InFlight>,
    }
}

impl<F: Future> Future for Answering<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(context));
        this.in_flight.take();
        Poll::Ready(answer)
    }
}
