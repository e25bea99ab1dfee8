//! HTTP/2 with one client. It stands on h2 itself, as hyper's server sends no interim replies.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Reason, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::ServerLimits;
use crate::forward::{BoxError, headers};
use crate::interim::OnInterim;

use super::arriving::Arriving;
use super::watch::{Answered, Paced, Watch};

/// A connection that is served until it ends; each of its requests in a task of its own.
pub(super) struct Serving<I, A> {
    state: State<I>,
    answer: A,
    watch: Watch,
    leaving: bool,
}

/// Nothing in it is polled in its place.
impl<I, A> Unpin for Serving<I, A> {}

enum State<I> {
    Greeting(Handshake<I, Bytes>),
    Open(Connection<I, Bytes>),
}

impl<I: AsyncRead + AsyncWrite + Unpin, A> Serving<I, A> {
    pub(super) fn new(io: I, limits: &ServerLimits, watch: Watch, answer: A) -> Self {
        let mut http = Builder::new();
        http.initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(STREAMS)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(limits.header_size);
        Self { state: State::Greeting(http.handshake(io)), answer, watch, leaving: false }
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
        let Self { state, answer, watch, leaving } = &mut *self;
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
            let (request, to_client) = accepted?;
            let said = Said::default();
            let on_interim = OnInterim::new({
                let said = said.clone();
                move |status, headers| said.push(status, headers)
            });
            let replying = answer(Arriving::over_http2(request), on_interim);
            watch.spawn(|paced| reply(replying, said, to_client, paced));
        }
    }
}

/// One stream, from its request to the end of its reply.
async fn reply<F, B, E>(replying: F, said: Said, mut to_client: SendResponse<Bytes>, paced: Paced)
where
    F: Future<Output = Result<Response<Answered<B>>, E>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    let reply = {
        let mut replying = pin!(replying);
        let awaited = poll_fn(|context| {
            let polled = replying.as_mut().poll(context);
            for interim in said.take(context) {
                // What can't be told does not matter: the reply will be.
                let _ = to_client.send_informational(interim);
            }
            if polled.is_pending() && to_client.poll_reset(context).is_ready() {
                return Poll::Ready(None);
            }
            polled.map(Some)
        });
        awaited.await
    };
    let (head, body) = match reply {
        Some(Ok(reply)) => reply.into_parts(),
        Some(Err(error)) => {
            tracing::debug!(error = %error.into(), "no reply");
            return to_client.send_reset(Reason::INTERNAL_ERROR);
        }
        // The client has lost interest.
        None => return,
    };
    let mut head = Response::from_parts(head, ());
    let is_all = body.is_end_stream();
    complete(head.headers_mut(), (!is_all).then(|| body.size_hint().exact()).flatten());
    match to_client.send_response(head, is_all) {
        Ok(_) if is_all => {}
        Ok(stream) => {
            let sent = Outgoing { stream, paced }.pour(body).await;
            if let Err(error) = sent {
                tracing::debug!(%error, "a reply broke off");
            }
        }
        Err(error) => {
            tracing::debug!(%error, "a reply can't be sent");
            to_client.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// What every reply says (RFC 9110 sections 6.6.1 and 8.6), and nothing of what HTTP/2 does not (RFC 9113 section 8.2.2).
fn complete(headers: &mut HeaderMap, length: Option<u64>) {
    headers::strip_hop_by_hop(headers);
    if let Some(length) = length {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    if !headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        headers.insert(DATE, now);
    }
}

/// A reply's body on its way.
struct Outgoing {
    stream: SendStream<Bytes>,
    paced: Paced,
}

impl Outgoing {
    async fn pour<B>(mut self, body: Answered<B>) -> Result<(), BoxError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut body = pin!(body);
        loop {
            let frame = poll_fn(|context| {
                if let Poll::Ready(reset) = self.stream.poll_reset(context) {
                    return Poll::Ready(Err(
                        reset.map_or_else(BoxError::from, |reason| h2::Error::from(reason).into())
                    ));
                }
                body.as_mut().poll_frame(context).map(|frame| frame.transpose().map_err(Into::into))
            });
            let frame = match frame.await {
                Ok(frame) => frame,
                Err(error) => {
                    // Where the client has reset it, this changes nothing.
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Err(error);
                }
            };
            let Some(frame) = frame else {
                self.stream.send_data(Bytes::new(), true)?;
                body.given(0, true);
                return Ok(());
            };
            match frame.into_data() {
                Ok(data) => {
                    let is_last = body.is_end_stream();
                    self.give(data, is_last, body.as_mut()).await?;
                    if is_last {
                        return Ok(());
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.stream.send_trailers(trailers)?;
                        body.given(0, true);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends as much at a time as the client has opened its window for.
    async fn give<B>(
        &mut self,
        mut data: Bytes,
        is_last: bool,
        mut body: Pin<&mut Answered<B>>,
    ) -> Result<(), h2::Error> {
        loop {
            let room = if data.is_empty() { 0 } else { self.room(data.len()).await? };
            let piece = data.split_to(room.min(data.len()));
            let (bytes, is_last) = (piece.len(), is_last && data.is_empty());
            self.stream.send_data(piece, is_last)?;
            self.paced.moved(bytes);
            body.as_mut().given(bytes, is_last);
            if data.is_empty() {
                return Ok(());
            }
        }
    }

    /// How many bytes may be sent now, once any may.
    async fn room(&mut self, wanted: usize) -> Result<usize, h2::Error> {
        // Asked for with data at hand only: what is granted counts against all streams of the connection.
        self.stream.reserve_capacity(wanted);
        poll_fn(|context| {
            loop {
                match self.stream.capacity() {
                    0 => {}
                    room => return Poll::Ready(Ok(room)),
                }
                match self.stream.poll_capacity(context) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Err(Reason::CANCEL.into())),
                    Poll::Pending => {
                        self.paced.wait();
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }
}

/// What the app has said before its reply to one request, and the client was not told yet.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    interim: Vec<Response<()>>,
    /// Bytes, of all that was ever said: h2 keeps what the connection does not take at once.
    said: usize,
    stream: Option<Waker>,
}

impl Said {
    fn push(&self, status: StatusCode, headers: &HeaderMap) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD);
        waiting.said += bytes.sum::<usize>() + FIELD;
        if status == StatusCode::SWITCHING_PROTOCOLS || waiting.said > MOST_SAID {
            return tracing::debug!(%status, "not passed on to the client");
        }
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        *interim.headers_mut() = headers.clone();
        headers::strip_hop_by_hop(interim.headers_mut());
        interim.headers_mut().remove(CONTENT_LENGTH);
        waiting.interim.push(interim);
        if let Some(stream) = waiting.stream.take() {
            stream.wake();
        }
    }

    /// The task that asks hears of more.
    fn take(&self, context: &Context<'_>) -> Vec<Response<()>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.stream.as_ref().is_some_and(|stream| stream.will_wake(context.waker())) {
            waiting.stream = Some(context.waker().clone());
        }
        mem::take(&mut waiting.interim)
    }
}

impl<I, A> fmt::Debug for Serving<I, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

/// Bytes of requests' bodies that may be on their way, of a stream and of them all: 1 MiB takes 80 Mbit/s over 100 ms.
const WINDOW: u32 = 1 << 20;
/// Requests of one connection at a time.
const STREAMS: u32 = 200;
/// Bytes of a reply that are kept for a connection which takes nothing.
const SEND_BUFFER: usize = 64 << 10;
/// Bytes of interim replies to one request.
const MOST_SAID: usize = 64 << 10;
/// What a field costs beyond its name and value (RFC 9113 section 6.5.2).
const FIELD: usize = 32;
