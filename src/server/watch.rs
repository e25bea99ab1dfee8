//! One timer per connection, for everything that a client can be slow at between and around requests.
//!
//! A timer that is set anew for each request, read and write would cost more than most requests do. So
//! whatever happens is noted only, and the timer looks at the notes when a limit could strike at the
//! earliest.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;
use tokio::task::{self, AbortHandle};
use tokio::time::{Duration, Instant};

use super::access_log::Visitor;
use super::expect;
use super::limits::{Limit, Limits};
use super::pace::{Pace, Slowness};

/// What one connection is at.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    header_time: Duration,
    keep_alive: Duration,
    /// Requests whose replies have not ended.
    answering: usize,
    /// While nothing is answered: since when.
    idle_since: Instant,
    /// And since when a next request has begun to come.
    head_since: Option<Instant>,
    /// What comes between requests may be no request then: windows, pings, settings.
    http2: bool,
    slowness: Slowness,
    sending: Pace,
    /// HTTP/2's, each of which the client can hold up while the connection flows.
    streams: HashMap<task::Id, Stream>,
}

#[derive(Debug)]
struct Stream {
    task: AbortHandle,
    sending: Pace,
    /// What of the reply waits to be taken.
    offered: usize,
}

impl Watch {
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            header_time: limits.of_clients.header_time,
            keep_alive: limits.of_clients.keep_alive,
            answering: 0,
            idle_since: now,
            // A connection is opened in order to ask.
            head_since: Some(now),
            http2: false,
            slowness: limits.sending(),
            sending: Pace::new(limits.sending()),
            streams: HashMap::new(),
        })))
    }

    /// Answers one stream of HTTP/2.
    pub(super) fn spawn(&self, stream: impl Future<Output = ()> + Send + 'static) {
        // Held until it is in the list, since it may run on another thread already.
        let mut state = self.state();
        let task = tokio::spawn(stream).abort_handle();
        let sending = Pace::new(state.slowness);
        if state.streams.len() == state.streams.capacity() {
            state.streams.retain(|_, stream| !stream.task.is_finished());
        }
        state.streams.insert(task.id(), Stream { task, sending, offered: 0 });
    }

    /// Ends one stream whose client does not take its reply, and no other.
    pub(super) fn cut(&self, now: Instant) -> Option<Limit> {
        let mut state = self.state();
        // One connection's rate is all that they have together.
        let share = state.streams.values().filter(|stream| stream.sending.is_waiting()).count();
        let mut judged = state.streams.iter_mut();
        let (id, limit) = judged
            .find_map(|(id, stream)| Some((*id, stream.sending.judge(now, share as u64)?)))?;
        // Its end without an end of its reply makes hyper reset it.
        state.streams.remove(&id)?.task.abort();
        Some(limit)
    }

    /// The client said something, which may be the beginning of a request.
    pub(super) fn read(&self) {
        let mut state = self.state();
        if state.answering == 0 && state.head_since.is_none() && !state.http2 {
            state.head_since = Some(Instant::now());
        }
    }

    /// A request is here in full, except for its body.
    pub(super) fn request(&self, version: Version) -> Answering {
        let mut state = self.state();
        state.http2 = version == Version::HTTP_2;
        state.answering += 1;
        state.head_since = None;
        Answering(self.clone())
    }

    /// The limit that is exceeded, or when to look again.
    pub(super) fn check(&self, now: Instant) -> Result<Instant, Limit> {
        let mut state = self.state();
        if let Some(limit) = state.sending.judge(now, 1) {
            return Err(limit);
        }
        let least = state.header_time.min(state.keep_alive);
        let (since, within, limit) = match (state.answering, state.head_since) {
            (0, Some(since)) => (since, state.header_time, Limit::HeaderTime),
            (0, None) => (state.idle_since, state.keep_alive, Limit::KeepAlive),
            _ => (now, least, Limit::KeepAlive),
        };
        if now.saturating_duration_since(since) >= within {
            return Err(limit);
        }
        // Whatever it is at, the next thing could begin right now.
        let soonest = (since + within).min(now + least);
        let streams = state.streams.values().map(|stream| stream.sending.next_check(now));
        Ok(streams.fold(soonest.min(state.sending.next_check(now)), Instant::min))
    }

    /// Whether it has been for a while that nothing is answered, taken or asked.
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        let state = self.state();
        let idle =
            state.answering == 0 && state.head_since.is_none() && !state.sending.is_waiting();
        idle && now.saturating_duration_since(state.idle_since) >= REST_AFTER
    }

    /// Gives an idle connection that was told to close as much time as a new one has.
    pub(super) fn farewell(&self) {
        self.state().head_since = Some(Instant::now());
    }

    /// The client took what the stream of this task was offered.
    fn taken(&self) {
        if let Some(stream) = self.state().stream() {
            stream.sending.moved(std::mem::take(&mut stream.offered), Instant::now);
        }
    }

    fn offered(&self, bytes: usize) {
        if let Some(stream) = self.state().stream() {
            stream.offered = bytes;
            stream.sending.wait(Instant::now());
        }
    }

    /// The stream of this task has its reply.
    fn left(&self) {
        if let Some(id) = task::try_id() {
            self.state().streams.remove(&id);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// That of the task which asks.
    fn stream(&mut self) -> Option<&mut Stream> {
        self.streams.get_mut(&task::try_id()?)
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Answering(Watch);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.answering -= 1;
        if state.answering == 0 {
            state.idle_since = Instant::now();
        }
    }
}

pin_project! {
    /// The body of a reply, which lasts as long as the reply does.
    pub(super) struct Answered<B> {
        #[pin]
        inner: B,
        answering: Answering,
        // Of HTTP/2: paced by its stream, and what is left of a frame.
        stream: bool,
        rest: Option<Bytes>,
        without_body: Option<expect::Reply>,
        // Where there is an access log.
        visitor: Option<Box<Visitor>>,
    }

    impl<B> PinnedDrop for Answered<B> {
        fn drop(this: Pin<&mut Self>) {
            if this.stream {
                this.answering.0.left();
            }
        }
    }
}

impl<B: Body> Answered<B> {
    pub(super) fn new(
        inner: B,
        answering: Answering,
        version: Version,
        without_body: Option<expect::Reply>,
        mut visitor: Option<Box<Visitor>>,
    ) -> Self {
        if let Some(visitor) = &mut visitor {
            visitor.sent(0, inner.is_end_stream());
        }
        let stream = version == Version::HTTP_2;
        Self { inner, answering, stream, rest: None, without_body, visitor }
    }
}

impl<B: Body<Data = Bytes>> Body for Answered<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if !*this.stream {
            let polled = this.inner.as_mut().poll_frame(context);
            if let (Some(visitor), Poll::Ready(frame)) = (this.visitor, &polled) {
                note(visitor, frame.as_ref(), frame.is_none() || this.inner.is_end_stream());
            }
            return polled;
        }
        // hyper asks for more once the client has opened its window for what it was given.
        let watch = &this.answering.0;
        watch.taken();
        let polled = match this.rest.take() {
            Some(rest) => Poll::Ready(Some(Ok(Frame::data(rest)))),
            None => this.inner.as_mut().poll_frame(context),
        };
        let polled = polled.map_ok(|frame| match frame.into_data() {
            Ok(mut data) => {
                // hyper gives h2 all of a frame once the window lets its first byte through.
                if data.len() > FRAME {
                    *this.rest = Some(data.split_off(FRAME));
                }
                watch.offered(data.len());
                Frame::data(data)
            }
            Err(frame) => frame,
        });
        if let (Some(visitor), Poll::Ready(frame)) = (this.visitor, &polled) {
            let last = this.rest.is_none() && (frame.is_none() || this.inner.is_end_stream());
            note(visitor, frame.as_ref(), last);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.rest {
            None => self.inner.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

/// The next thing that a reply's body has yielded, and whether it is its last.
fn note<E>(visitor: &mut Visitor, frame: Option<&Result<Frame<Bytes>, E>>, last: bool) {
    match frame {
        Some(Err(_)) => visitor.failed(),
        frame => {
            let data = frame.and_then(|frame| frame.as_ref().ok()?.data_ref());
            visitor.sent(data.map_or(0, Bytes::len), last);
        }
    }
}

/// A client's connection that takes notes.
#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    watch: Watch,
    /// What was written since the last note.
    written: usize,
    blocked: bool,
}

impl<S> Watched<S> {
    pub(super) fn new(inner: S, watch: Watch) -> Self {
        Self { inner, watch, written: 0, blocked: false }
    }

    fn note_write(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                self.written = self.written.saturating_add(*bytes);
                if std::mem::take(&mut self.blocked) {
                    let bytes = std::mem::take(&mut self.written);
                    self.watch.state().sending.moved(bytes, Instant::now);
                }
            }
            Poll::Pending if !self.blocked => {
                self.blocked = true;
                let (now, bytes) = (Instant::now(), std::mem::take(&mut self.written));
                let mut state = self.watch.state();
                state.sending.moved(bytes, || now);
                state.sending.wait(now);
            }
            _ => {}
        }
        written
    }
}

impl<S: Read + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.watch.read();
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.note_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.note_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS holds bytes back of its own.
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.note_write(flushed.map(|result| result.map(|()| 0))).map(|result| result.map(drop))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// What HTTP/2 clients take in one frame, unless they ask for more.
const FRAME: usize = 16 * 1024;
/// Clients that ask one thing after another do so faster. In tests, every pause is one.
pub(super) const REST_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2000 });
