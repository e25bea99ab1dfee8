//! The app's interim replies (1xx, RFC 9110 section 15.2) on their way to an HTTP/1.1 client.
//!
//! hyper's server writes none but its own 100. It flushes whenever it has nothing left to write, though, and
//! while a reply is awaited that is between two messages: there they are written. The reply itself waits
//! until they are.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::task::AtomicWaker;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::http::headers;
use crate::http::interim::OnInterim;
use crate::http::nominated;

use super::expect::Expectation;

/// Those of one connection. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Interim(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// A request of HTTP/1.1 has no reply yet.
    wanted: AtomicBool,
    /// `heads` has something.
    waiting: AtomicBool,
    heads: Mutex<BytesMut>,
    connection: AtomicWaker,
}

impl Interim {
    /// What of a request for the app leads here what the app says before its reply. It serves every request of the
    /// connection, one after the other: a word on a request that was given up is none on the next, since the
    /// connection to the app is closed then before another is read.
    pub(super) fn listener(&self, expectation: Option<Expectation>) -> OnInterim {
        let interim = self.clone();
        OnInterim::new(move |status, headers| match (status, &expectation) {
            // The client gets its 100 from hyper, as soon as its body is read.
            (StatusCode::CONTINUE, Some(expectation)) => expectation.is_met(),
            (StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS, _) => {}
            (status, _) => interim.push(status, headers.clone()),
        })
    }

    fn push(&self, status: StatusCode, mut headers: HeaderMap) {
        if !self.0.wanted.load(Ordering::Acquire) {
            return;
        }
        nominated::remove(&mut headers);
        headers::strip_hop_by_hop(&mut headers);
        headers.remove(CONTENT_LENGTH);
        let mut heads = self.heads();
        if heads.len() > MOST_WAITING {
            return tracing::debug!(%status, "too many interim replies wait for the client");
        }
        let reason = status.canonical_reason().unwrap_or_default();
        heads.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
        for (name, value) in &headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                heads.extend_from_slice(part);
            }
        }
        heads.extend_from_slice(b"\r\n");
        self.0.waiting.store(true, Ordering::Release);
        self.0.connection.wake();
    }

    /// A reply is awaited.
    pub(super) fn begin(&self) {
        self.0.wanted.store(true, Ordering::Release);
    }

    /// It is here.
    pub(super) fn end(&self) {
        self.0.wanted.store(false, Ordering::Release);
    }

    /// This task, which the connection is served by, hears of what is to be written.
    pub(super) fn register(&self, context: &Context<'_>) {
        self.0.connection.register(context.waker());
    }

    /// Whether something still has to be written. This task hears of its end.
    pub(super) fn waits(&self, context: &Context<'_>) -> bool {
        if !self.0.waiting.load(Ordering::Acquire) {
            return false;
        }
        // Whoever takes it wakes it.
        self.register(context);
        true
    }

    fn take(&self) -> Bytes {
        let heads = self.heads().split().freeze();
        self.0.waiting.store(false, Ordering::Release);
        self.0.connection.wake();
        heads
    }

    fn heads(&self) -> MutexGuard<'_, BytesMut> {
        self.0.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's connection on which interim replies are written.
#[derive(Debug)]
pub(super) struct Interposed<S> {
    inner: S,
    interim: Interim,
    /// Begun, and to be written before anything else.
    rest: Bytes,
}

impl<S: Write + Unpin> Interposed<S> {
    pub(super) fn new(inner: S, interim: Interim) -> Self {
        Self { inner, interim, rest: Bytes::new() }
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.rest.has_remaining() {
            match ready!(Pin::new(&mut self.inner).poll_write(context, &self.rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.rest.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Read + Unpin> Read for Interposed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Interposed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(context))?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_rest(context))?;
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// Everything of hyper's is written when it flushes.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(context))?;
        if self.interim.0.waiting.load(Ordering::Acquire) {
            self.rest = self.interim.take();
            ready!(self.poll_rest(context))?;
        }
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Bytes.
const MOST_WAITING: usize = 64 * 1024;
