//! One timer per connection, for everything that a client can be slow at between and around requests.
//!
//! A timer that is set anew for each request, read and write would cost more than most requests do. So
//! whatever happens is noted only, and the timer looks at the notes when a limit could strike at the
//! earliest.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;
use tokio::time::{Duration, Instant};

use super::limits::{Limit, Limits};
use super::pace::Pace;

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
    sending: Pace,
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
            sending: Pace::new(limits.sending()),
        })))
    }

    /// A request is here in full, except for its body.
    pub(super) fn request(&self) -> Answering {
        let mut state = self.state();
        state.answering += 1;
        state.head_since = None;
        Answering(self.clone())
    }

    /// The limit that is exceeded, or when to look again.
    pub(super) fn check(&self, now: Instant) -> Result<Instant, Limit> {
        let mut state = self.state();
        if let Some(limit) = state.sending.judge(now) {
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
        Ok(soonest.min(state.sending.next_check(now)))
    }

    /// Gives an idle connection that was told to close as much time as a new one has.
    pub(super) fn farewell(&self) {
        self.state().head_since = Some(Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    }
}

impl<B> Answered<B> {
    pub(super) fn new(inner: B, answering: Answering) -> Self {
        Self { inner, answering }
    }
}

impl<B: Body> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().inner.poll_frame(context)
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

    fn note_read(&self) {
        let mut state = self.watch.state();
        if state.answering == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
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
        self.note_read();
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
