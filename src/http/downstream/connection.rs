//! HTTP with one client.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use http::{Request, Response, Version};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until};
use tower::Service;

use crate::http::BoxError;
use crate::http::guard::Guarded;
use crate::http::interim::OnInterim;

use super::activity::{ConnectionActivity, ObservedIo, REST_AFTER};
use super::arriving::Arriving;
use super::client_stream::ClientStream;
use super::expect::Expectation;
use super::http2;
use super::interim::{Interim, Interposed};
use super::limits::{ClientLimits, Limit, Limits};
use super::linger::linger;
use super::observer::Observer;
use super::presence::{ServeError, UntilClientLeaves};
use super::replying::{ReplyContext, Replying};
use super::signal::Shutdown;
use crate::http::ClientInfo;

/// A client's connection, which is served to its end or to the first limit.
pub(super) struct ClientConnection<'e, I> {
    stream: ClientStream<I>,
    activity: ConnectionActivity,
    client: ClientInfo,
    of_clients: &'e ClientLimits,
    observer: &'e Arc<dyn Observer>,
    shutdown: Shutdown,
}

/// What a connection has of its listener.
pub(super) struct Admitted {
    pub(super) activity: ConnectionActivity,
    /// Given back when the socket is closed, be it that of a tunnel.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// What a connection that is served may be at next.
enum Event {
    Ended(Result<(), Broken>),
    Check,
    Shutdown,
    /// It should make room for another connection.
    Leave,
}

/// Why a connection did not end well.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Broken {
    Http1(#[from] ServeError),
    Http2(#[from] h2::Error),
}

enum Spoken {
    All,
    ForNow,
}

impl<'e, I: AsyncRead + AsyncWrite + Unpin + Send + 'static> ClientConnection<'e, I> {
    pub(super) fn new(
        io: I,
        client: ClientInfo,
        admitted: Admitted,
        limits: &'e Limits,
        observer: &'e Arc<dyn Observer>,
        shutdown: Shutdown,
    ) -> Self {
        let Admitted { activity, permit } = admitted;
        let of_clients = &limits.of_clients;
        let guarded =
            Guarded::new(io, client.peer, activity.tunnel(), Arc::<dyn Observer>::clone(observer));
        let stream = ClientStream::new(guarded, permit);
        Self { stream, activity, client, of_clients, observer, shutdown }
    }

    pub(super) async fn hold<M, S, B>(mut self, make: M)
    where
        M: Fn() -> S + Clone + Send + 'static,
        S: Service<Request<Arriving>, Response = Response<B>> + Send + 'static,
        S::Error: Into<BoxError> + Send,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut is_new = true;
        // It begins with a rest, since it is not known yet what it will speak.
        while self
            .stream
            .rest(is_new, &self.activity, self.client, &**self.observer, &mut self.shutdown)
            .await
        {
            is_new = false;
            // Boxed, so that nothing of it is left while the connection rests.
            if let Spoken::All = Box::pin(self.connection(make.clone())).await {
                break;
            }
        }
        if self.stream.was_left_unheard() {
            Box::pin(linger(self.stream)).await;
        }
    }

    async fn connection<M, S, B>(&mut self, make: M) -> Spoken
    where
        M: Fn() -> S + Send + 'static,
        S: Service<Request<Arriving>, Response = Response<B>> + Send + 'static,
        S::Error: Into<BoxError> + Send,
        S::Future: Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let io = ObservedIo::new(TokioIo::new(self.stream.clone()), self.activity.clone());
        let (activity, client) = (self.activity.clone(), self.client);
        let observer = Arc::clone(self.observer);
        let answer = move |mut request: Request<Arriving>, interim, expectation: Option<_>| {
            let version = request.version();
            let answering = activity.request(version);
            request.extensions_mut().insert(client);
            if let Some(expectation) = &expectation {
                request.extensions_mut().insert(Expectation::clone(expectation));
            }
            let followed_by = observer.request(&mut request, client);
            let stack = make().call(request);
            Replying::new(
                stack,
                interim,
                ReplyContext { version, answering, expectation, followed_by },
            )
        };
        if self.stream.begins_http2() {
            let answer = move |mut request: Request<Arriving>, on_interim: OnInterim| {
                request.extensions_mut().insert(on_interim);
                answer(request, None, None)
            };
            let (io, activity) = (TokioIo::new(io), self.activity.clone());
            let serving = pin!(http2::Serving::new(io, self.of_clients, activity, answer));
            self.follow(serving, http2::Serving::leave).await
        } else {
            let interim = Interim::default();
            let io = Interposed::new(io, interim.clone());
            let usual = interim.listener(None);
            let service = service_fn(move |request: Request<Incoming>| {
                let mut request = request.map(Arriving::Http1);
                if request.version() != Version::HTTP_11 {
                    return answer(request, None, None);
                }
                let expectation = Expectation::of(&request);
                request.extensions_mut().insert(match expectation.clone() {
                    None => usual.clone(),
                    expectation => interim.listener(expectation),
                });
                answer(request, Some(interim.clone()), expectation)
            });
            let http = http1_builder(self.of_clients).serve_connection(io, service);
            let (stream, activity) = (self.stream.clone(), self.activity.clone());
            let serving = pin!(UntilClientLeaves::new(http.with_upgrades(), stream, activity));
            self.follow(serving, |serving| serving.serving().graceful_shutdown()).await
        }
    }

    /// Serves until the end, or until nobody has said anything for a while; `leave` has it end soon.
    async fn follow<F, E>(&mut self, mut serving: Pin<&mut F>, leave: fn(Pin<&mut F>)) -> Spoken
    where
        F: Future<Output = Result<(), E>>,
        E: Into<Broken>,
    {
        let mut leaving = false;
        let ended = loop {
            while let Some(limit) = self.activity.cut(Instant::now()) {
                self.strike(limit);
            }
            let check = match self.activity.check(Instant::now()) {
                Ok(check) => check,
                Err(Limit::KeepAlive) if !leaving => {
                    self.strike(Limit::KeepAlive);
                    leaving = true;
                    leave(serving.as_mut());
                    self.activity.farewell();
                    continue;
                }
                Err(limit) => {
                    self.strike(limit);
                    return Spoken::All;
                }
            };
            let check = check.min(Instant::now() + REST_AFTER);
            match self.until(serving.as_mut(), check, leaving).await {
                Event::Ended(ended) => break ended,
                Event::Check => {
                    let at_rest = !leaving && self.activity.is_at_rest(Instant::now());
                    if at_rest && self.stream.may_rest() {
                        return Spoken::ForNow;
                    }
                }
                Event::Shutdown => {
                    leaving = true;
                    leave(serving.as_mut());
                }
                Event::Leave => {
                    if self.activity.leaves() {
                        self.observer.evicted(self.client.peer);
                        return Spoken::All;
                    }
                }
            }
        };
        if let Err(error) = ended {
            if matches!(&error, Broken::Http1(ServeError::Failed(error)) if error.is_parse_too_large())
            {
                self.strike(Limit::HeaderSize);
            }
            tracing::debug!(peer = %self.client.peer, %error, "connection ended early");
        }
        Spoken::All
    }

    /// Serves until there is something else to do. A connection is polled several times for each request, the timer
    /// and the shutdown only when they may be ready: once polled, they wake this task.
    async fn until<F, E>(
        &mut self,
        mut serving: Pin<&mut F>,
        check: Instant,
        leaving: bool,
    ) -> Event
    where
        F: Future<Output = Result<(), E>>,
        E: Into<Broken>,
    {
        let pulled = self.shutdown.clone();
        let mut shutdown = pin!(self.shutdown.requested());
        let mut timer = pin!(sleep_until(check));
        let mut waker = Waker::noop().clone();
        poll_fn(|context| {
            if let Poll::Ready(ended) = serving.as_mut().poll(context) {
                return Poll::Ready(Event::Ended(ended.map_err(Into::into)));
            }
            if self.activity.is_asked_to_leave() {
                return Poll::Ready(Event::Leave);
            }
            let other_task = !waker.will_wake(context.waker());
            if other_task {
                waker.clone_from(context.waker());
            }
            // Whatever the serving has left of tokio's budget: without it they would not remember whom to wake.
            if (other_task || timer.is_elapsed())
                && pin!(unconstrained(timer.as_mut())).poll(context).is_ready()
            {
                return Poll::Ready(Event::Check);
            }
            if (other_task || pulled.is_requested())
                && !leaving
                && pin!(unconstrained(shutdown.as_mut())).poll(context).is_ready()
            {
                return Poll::Ready(Event::Shutdown);
            }
            Poll::Pending
        })
        .await
    }

    fn strike(&self, limit: Limit) {
        self.observer.limit_reached(limit, Some(self.client.peer));
    }
}

fn http1_builder(limits: &ClientLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // The one timer of the connection does this, for less than a timer per request.
        .header_read_timeout(None)
        // `UntilClientLeaves` looks for clients that leave.
        .half_close(true)
        .max_buf_size((limits.header_size as usize).max(LEAST_BUFFER));
    if limits.header_count != HYPERS_HEADER_COUNT {
        http.max_headers(limits.header_count);
    }
    http
}

/// hyper accepts no smaller one.
const LEAST_BUFFER: usize = 8192;
/// As long as this is the limit hyper keeps the list of headers off the heap.
const HYPERS_HEADER_COUNT: usize = 100;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::duplex;
    use tokio::task::consume_budget;
    use tokio::time::{Duration, sleep, timeout};

    use super::super::observer::testing::unheard;
    use super::super::signal;
    use super::*;
    use crate::http::testing::{PATIENCE, PATIENT};

    /// tokio gives each turn of a task a budget of 128 steps.
    #[tokio::test]
    async fn what_else_may_happen_is_heard_of_when_serving_uses_up_its_turn() {
        for used in [0, 127, 128] {
            for shuts in [true, false] {
                let (trigger, shutdown) = signal::shutdown();
                let (observer, client) = (unheard(), ([192, 0, 2, 7], 4711).into());
                let client = ClientInfo { peer: client, tls: false };
                let io = duplex(1024).0;
                let admitted =
                    Admitted { activity: ConnectionActivity::new(&PATIENT), permit: None };
                let mut conversation =
                    ClientConnection::new(io, client, admitted, &PATIENT, &observer, shutdown);
                let mut left = used;
                let serving = pin!(poll_fn(|context| -> Poll<Result<(), ServeError>> {
                    while left > 0 && pin!(consume_budget()).poll(context).is_ready() {
                        left -= 1;
                    }
                    Poll::Pending
                }));
                let check = if shuts { PATIENCE * 2 } else { Duration::from_millis(10) };
                let until = conversation.until(serving, Instant::now() + check, false);
                let pulling = async {
                    sleep(Duration::from_millis(10)).await;
                    if shuts {
                        trigger.pull();
                    }
                };
                let both = async { tokio::join!(until, pulling).0 };
                let event = timeout(PATIENCE, both).await.unwrap();
                assert!(matches!((event, shuts), (Event::Shutdown, true) | (Event::Check, false)));
            }
        }
    }
}
