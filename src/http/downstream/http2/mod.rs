//! HTTP/2 with one client. It stands on h2 itself, as hyper's server sends no interim replies.

mod hpack;
mod interim;
mod reply;
mod targets;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::BoxError;
use crate::http::guard::head::UNCLEAR_TARGET;
use crate::http::interim::OnInterim;

use super::activity::{Answered, ConnectionActivity};
use super::arriving::Arriving;
use super::limits::ClientLimits;

use interim::InterimSender;
use reply::reply;
use targets::{Fragments, Targets};

/// A connection that is served until it ends; each of its requests in a task of its own.
pub(super) struct Serving<I, A> {
    state: State<Targets<I>>,
    fragments: Fragments,
    answer: A,
    activity: ConnectionActivity,
    leaving: bool,
}

/// Nothing in it is polled in its place.
impl<I, A> Unpin for Serving<I, A> {}

enum State<I> {
    Greeting(Handshake<I, Bytes>),
    Open(Connection<I, Bytes>),
}

impl<I: AsyncRead + AsyncWrite + Unpin, A> Serving<I, A> {
    pub(super) fn new(
        io: I,
        limits: &ClientLimits,
        activity: ConnectionActivity,
        answer: A,
    ) -> Self {
        let mut http = Builder::new();
        http.initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(STREAMS)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(limits.header_size);
        let io = Targets::new(io);
        let fragments = io.fragments();
        Self {
            state: State::Greeting(http.handshake(io)),
            fragments,
            answer,
            activity,
            leaving: false,
        }
    }

    /// Takes no more requests, and ends once those that are here are answered.
    pub(super) fn leave(mut self: Pin<&mut Self>) {
        self.leaving = true;
        if let State::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }
}

impl<I, A, F, B, E> Future for Serving<I, A>
where
    I: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Arriving>, OnInterim) -> F,
    F: Future<Output = Result<Response<Answered<B>>, E>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Into<BoxError> + Send + 'static,
{
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { state, fragments, answer, activity, leaving } = &mut *self;
        loop {
            let connection = match state {
                State::Open(connection) => connection,
                State::Greeting(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(context))?;
                    if *leaving {
                        connection.graceful_shutdown();
                    }
                    *state = State::Open(connection);
                    continue;
                }
            };
            let Some(accepted) = ready!(connection.poll_accept(context)) else {
                return Poll::Ready(Ok(()));
            };
            let (mut request, to_client) = accepted?;
            if fragments.has(to_client.stream_id().as_u32()) {
                request.headers_mut().insert(UNCLEAR_TARGET, HeaderValue::from_static("1"));
            }
            let said = InterimSender::default();
            let replying = answer(Arriving::over_http2(request), said.listener());
            activity.spawn(|paced| reply(replying, said, to_client, paced));
        }
    }
}

/// Bytes of requests' bodies that may be on their way, of a stream and of them all: 1 MiB takes 80 Mbit/s over 100 ms.
const WINDOW: u32 = 1 << 20;
/// Requests of one connection at a time.
const STREAMS: u32 = 200;
/// Bytes of a reply that are kept for a connection which takes nothing.
const SEND_BUFFER: usize = 64 << 10;
