//! One timer per connection, for everything that a client can be slow at between and around requests.
//!
//! A timer that is set anew for each request, read and write would cost more than most requests do. So
//! whatever happens is noted only, and the timer looks at the notes when a limit could strike at the
//! earliest.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant};

use crate::http::guard::Tunnel;

use super::expect;
use super::limits::{Limit, Limits};
use super::observer::ReplyObserver;
use super::pace::Pace;

/// What one connection is at.
#[derive(Clone, Debug)]
pub(super) struct ConnectionActivity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Whether this connection should make room for another.
    leave: AtomicBool,
}

#[derive(Debug)]
struct State {
    header_time: Duration,
    keep_alive: Duration,
    /// Requests whose replies have not ended.
    answering: u32,
    /// While nothing is answered: since when.
    idle_since: Instant,
    /// And since when a next request has begun to come.
    head_since: Option<Instant>,
    /// What comes between requests may be no request then: windows, pings, settings.
    http2: bool,
    sending: Pace,
    tunnel: Tunnel,
    /// Wakes the task that the connection is served by.
    task: Option<Waker>,
    /// Of HTTP/2, elsewhere: there are many connections at rest, which are none of it.
    streams: Option<Box<Streams>>,
}

/// Each of them can be held up by the client while the connection flows.
#[derive(Debug, Default)]
struct Streams {
    open: HashMap<u64, Stream>,
    /// How many there have been.
    spawned: u64,
}

#[derive(Debug)]
struct Stream {
    /// `None` while it begins.
    task: Option<AbortHandle>,
    sending: Pace,
}

impl ConnectionActivity {
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        let state = State {
            header_time: limits.of_clients.header_time,
            keep_alive: limits.of_clients.keep_alive,
            answering: 0,
            idle_since: now,
            // A connection is opened in order to ask.
            head_since: Some(now),
            http2: false,
            sending: Pace::new(limits.sending()),
            tunnel: Tunnel::default(),
            task: None,
            streams: None,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), leave: AtomicBool::new(false) }))
    }

    /// The task that asks is the one to be woken when the connection should leave.
    pub(super) async fn attend(&self) {
        poll_fn(|context| {
            self.state().task = Some(context.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// Since when nothing has been asked; `None` while something is answered, or its reply is not taken.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let state = self.state();
        let silent = state.answering == 0 && !state.sending.is_waiting();
        silent.then(|| state.head_since.unwrap_or(state.idle_since))
    }

    /// It does, unless a request comes first.
    pub(super) fn ask_to_leave(&self) {
        self.0.leave.store(true, Ordering::Release);
        if let Some(task) = &self.state().task {
            task.wake_by_ref();
        }
    }

    pub(super) fn is_asked_to_leave(&self) -> bool {
        self.0.leave.load(Ordering::Acquire)
    }

    /// Whether it is to leave now. A request that has come meanwhile is served first.
    pub(super) fn leaves(&self) -> bool {
        let asked = self.0.leave.swap(false, Ordering::AcqRel);
        asked && self.silent_since().is_some()
    }

    /// Ready once it is to leave. To be polled within the task that attends.
    pub(super) async fn left(&self) {
        poll_fn(|_| if self.leaves() { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    pub(super) fn tunnel(&self) -> Tunnel {
        self.state().tunnel.clone()
    }

    /// Answers one stream of HTTP/2 in a task of its own.
    pub(super) fn spawn<F>(&self, stream: impl FnOnce(Paced) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.state().open_stream();
        let task = tokio::spawn(stream(Paced { activity: self.clone(), stream: number }));
        // It may have come to its end on another thread already.
        if let Some(stream) = self.state().stream(number) {
            stream.task = Some(task.abort_handle());
        }
    }

    /// Ends one stream whose client does not take its reply, and no other.
    pub(super) fn cut(&self, now: Instant) -> Option<Limit> {
        let mut state = self.state();
        let open = &mut state.streams.as_mut()?.open;
        // One connection's rate is all that they have together.
        let share = open.values().filter(|stream| stream.sending.is_waiting()).count();
        let mut judged = open.iter_mut();
        let (number, limit) = judged.find_map(|(number, stream)| {
            Some((*number, stream.sending.judge(now, share as u64)?))
        })?;
        // Its end without an end of its reply makes h2 reset it.
        if let Some(task) = open.remove(&number)?.task {
            task.abort();
        }
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

    /// Whether a reply is awaited or on its way.
    pub(super) fn is_answering(&self) -> bool {
        self.state().answering > 0
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
        let streams = state.streams.iter().flat_map(|streams| streams.open.values());
        let streams = streams.map(|stream| stream.sending.next_check(now));
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open_stream(&mut self) -> u64 {
        let sending = self.sending.anew();
        let streams = self.streams.get_or_insert_default();
        streams.spawned += 1;
        streams.open.insert(streams.spawned, Stream { task: None, sending });
        streams.spawned
    }

    fn stream(&mut self, number: u64) -> Option<&mut Stream> {
        self.streams.as_mut()?.open.get_mut(&number)
    }
}

/// The pace at which the client takes one stream's reply, until this is dropped.
#[derive(Debug)]
pub(super) struct Paced {
    activity: ConnectionActivity,
    stream: u64,
}

impl Paced {
    /// The client has to open its window first.
    pub(super) fn wait(&self) {
        if let Some(stream) = self.activity.state().stream(self.stream) {
            stream.sending.wait(Instant::now());
        }
    }

    /// It had opened it for these bytes.
    pub(super) fn moved(&self, bytes: usize) {
        if let Some(stream) = self.activity.state().stream(self.stream) {
            stream.sending.moved(bytes, Instant::now);
        }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        if let Some(streams) = &mut self.activity.state().streams {
            streams.open.remove(&self.stream);
        }
    }
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub(super) struct Answering(ConnectionActivity);

impl Answering {
    /// The reply makes a tunnel of the connection.
    pub(super) fn switches(&self) {
        self.0.state().tunnel.open();
    }
}

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
        without_body: Option<expect::Reply>,
        // Of HTTP/1.1: what is asked for is given to the client at once.
        given_when_asked: bool,
            followed_by: Option<Box<dyn ReplyObserver>>,
    }
}

impl<B: Body> Answered<B> {
    pub(super) fn new(
        inner: B,
        answering: Answering,
        version: Version,
        without_body: Option<expect::Reply>,
        mut followed_by: Option<Box<dyn ReplyObserver>>,
    ) -> Self {
        if let Some(followed_by) = &mut followed_by {
            followed_by.sent(0, inner.is_end_stream());
        }
        let given_when_asked = version != Version::HTTP_2;
        Self { inner, answering, without_body, given_when_asked, followed_by }
    }
}

impl<B> Answered<B> {
    /// The connection has taken this much more of it, and its end.
    pub(super) fn given(self: Pin<&mut Self>, bytes: usize, is_last: bool) {
        if let Some(followed_by) = self.project().followed_by {
            followed_by.sent(bytes, is_last);
        }
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
        let polled = this.inner.as_mut().poll_frame(context);
        if let (Some(followed_by), Poll::Ready(frame)) = (this.followed_by, &polled) {
            match frame {
                Some(Err(_)) => followed_by.failed(),
                _ if !*this.given_when_asked => {}
                None => followed_by.sent(0, true),
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    followed_by.sent(bytes, this.inner.is_end_stream());
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A client's connection that takes notes.
#[derive(Debug)]
pub(super) struct ObservedIo<S> {
    inner: S,
    activity: ConnectionActivity,
    /// What was written since the last note.
    written: usize,
    blocked: bool,
}

impl<S> ObservedIo<S> {
    pub(super) fn new(inner: S, activity: ConnectionActivity) -> Self {
        Self { inner, activity, written: 0, blocked: false }
    }

    fn note_write(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                self.written = self.written.saturating_add(*bytes);
                if std::mem::take(&mut self.blocked) {
                    let bytes = std::mem::take(&mut self.written);
                    self.activity.state().sending.moved(bytes, Instant::now);
                }
            }
            Poll::Pending if !self.blocked => {
                self.blocked = true;
                let (now, bytes) = (Instant::now(), std::mem::take(&mut self.written));
                let mut state = self.activity.state();
                state.sending.moved(bytes, || now);
                state.sending.wait(now);
            }
            _ => {}
        }
        written
    }
}

impl<S: Read + Unpin> Read for ObservedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        self.activity.read();
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for ObservedIo<S> {
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

/// Clients that ask one thing after another do so faster. In tests, every pause is one.
pub(crate) const REST_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2000 });
