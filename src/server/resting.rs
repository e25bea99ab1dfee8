//! Kept connections between requests: they hold their socket, and nothing of what HTTP needs.
//!
//! An HTTP connection of hyper has buffers and state of 30 KiB from its first request to its end, also while
//! it waits for the next one. So that is dropped after a while, and made anew when the client says something.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::forward::Guarded;
use crate::telemetry::Metrics;

use super::ClientInfo;
use super::signal::Shutdown;
use super::watch::Watch;

/// A client's stream, which outlives the HTTP connection over it. Clones are the same stream.
#[derive(Debug)]
pub(super) struct Line<I>(Arc<Mutex<End<I>>>);

#[derive(Debug)]
struct End<I> {
    io: Guarded<I>,
    /// The byte that ended a rest.
    first: Option<u8>,
    closing: bool,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Line<I> {
    pub(super) fn new(io: Guarded<I>) -> Self {
        Self(Arc::new(Mutex::new(End { io, first: None, closing: false })))
    }

    /// Whether an HTTP connection over it holds nothing that would be missed, if nothing is being answered.
    pub(super) fn may_rest(&self) -> bool {
        let end = self.end();
        !end.closing && end.io.is_between_requests()
    }

    /// Waits for the next request; `false`: it will not come, and the connection is closed.
    pub(super) async fn rest(
        &self,
        watch: &Watch,
        client: ClientInfo,
        metrics: &Metrics,
        shutdown: &mut Shutdown,
    ) -> bool {
        loop {
            let check = match watch.check(Instant::now()) {
                Ok(check) => check,
                Err(limit) => {
                    limit.strike(metrics, Some(client.peer));
                    break;
                }
            };
            tokio::select! {
                more = self.has_more() => match more {
                    true => return true,
                    false => break,
                },
                () = sleep_until(check) => {}
                () = shutdown.requested() => break,
            }
        }
        // With TLS there is something to say; who does not hear it by now is gone.
        let _ = timeout(FAREWELL, self.clone().shutdown()).await;
        false
    }

    async fn has_more(&self) -> bool {
        poll_fn(|context| {
            let mut end = self.end();
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            // What fails here has no next request.
            let read = ready!(Pin::new(&mut end.io).poll_read(context, &mut buffer));
            end.first = read.ok().and_then(|()| buffer.filled().first().copied());
            Poll::Ready(end.first.is_some())
        })
        .await
    }

    fn end(&self) -> MutexGuard<'_, End<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I> Clone for Line<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Line<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut end = self.end();
        let Some(first) = end.first.filter(|_| buffer.remaining() > 0) else {
            return Pin::new(&mut end.io).poll_read(context, buffer);
        };
        end.first = None;
        buffer.put_slice(&[first]);
        // What came along with it.
        match Pin::new(&mut end.io).poll_read(context, buffer) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Line<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.end().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut end = self.end();
        end.closing = true;
        Pin::new(&mut end.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.end().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.end().io.is_write_vectored()
    }
}

const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use crate::config::ServerLimits;

    use super::super::{Limits, signal};
    use super::*;

    const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 7], 4711);

    fn line() -> (Line<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (Line::new(Guarded::new(ours, CLIENT.into())), theirs)
    }

    async fn rest(line: &Line<DuplexStream>, keep_alive: Duration) -> bool {
        let of_clients = ServerLimits { keep_alive, ..ServerLimits::default() };
        let watch = Watch::new(&Limits { of_clients, drain: Duration::ZERO });
        drop(watch.request(http::Version::HTTP_11));
        let client = ClientInfo { peer: CLIENT.into(), tls: false };
        let (_trigger, mut shutdown) = signal::shutdown();
        line.rest(&watch, client, &Metrics::new(), &mut shutdown).await
    }

    #[tokio::test]
    async fn a_rest_ends_with_the_next_request_and_loses_nothing_of_it() {
        let (mut line, mut theirs) = line();
        theirs.write_all(b"GET /").await.unwrap();
        assert!(rest(&line, Duration::from_secs(75)).await);
        assert!(!line.may_rest());
        let mut read = [0; 64];
        assert_eq!(line.read(&mut read).await.unwrap(), 5);
        assert_eq!(&read[..5], b"GET /");
        theirs.write_all(b" HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
        assert_eq!(line.read(&mut read).await.unwrap(), 22);
        assert!(line.may_rest());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_ends_with_its_client_or_its_time() {
        let (line, theirs) = line();
        assert!(!rest(&line, Duration::from_secs(75)).await);
        drop(theirs);
        assert!(!rest(&line, Duration::from_secs(86400)).await);
    }

    #[tokio::test]
    async fn what_is_half_said_is_no_rest() {
        for half in ["GET / HTTP/1.1\r\n", "G", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na"] {
            let (mut line, mut theirs) = line();
            theirs.write_all(half.as_bytes()).await.unwrap();
            let mut read = [0; 64];
            assert_eq!(line.read(&mut read).await.unwrap(), half.len());
            assert!(!line.may_rest(), "{half}");
        }
        let (mut line, _theirs) = line();
        assert!(line.may_rest());
        line.shutdown().await.unwrap();
        assert!(!line.may_rest());
    }
}
