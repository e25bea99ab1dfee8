//! Kept connections between requests: they hold their socket, and nothing of what HTTP needs.
//!
//! An HTTP connection of hyper has buffers and state of 30 KiB from its first request to its end, also while
//! it waits for the next one. So that is dropped after a while, and made anew when the client says something.
//! A connection begins with a rest, too: what it speaks can be told by its first bytes.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use crate::http::guard::Guarded;
use crate::http::write::poll_write_slices;

use super::activity::ConnectionActivity;
use super::observer::Observer;
use super::signal::Shutdown;
use crate::http::ClientInfo;

/// A client's stream, which outlives the HTTP connection over it. Clones are the same stream.
#[derive(Debug)]
pub(super) struct ClientStream<I>(Arc<Mutex<StreamState<I>>>);

#[derive(Debug)]
struct StreamState<I> {
    io: Guarded<I>,
    /// What came before it was asked for: it ended a rest, or came during a request.
    ahead: Bytes,
    closing: bool,
    /// Of the listener's room, for as long as the stream is open.
    _permit: Option<OwnedSemaphorePermit>,
}

impl<I: AsyncRead + AsyncWrite + Unpin> ClientStream<I> {
    pub(super) fn new(io: Guarded<I>, permit: Option<OwnedSemaphorePermit>) -> Self {
        let end = StreamState { io, ahead: Bytes::new(), closing: false, _permit: permit };
        Self(Arc::new(Mutex::new(end)))
    }

    /// Whether an HTTP connection over it holds nothing that would be missed, if nothing is being answered.
    pub(super) fn may_rest(&self) -> bool {
        let end = self.end();
        !end.closing && end.ahead.is_empty() && end.io.is_between_requests()
    }

    /// Whether our end is closed and a request has not come to its own.
    pub(super) fn was_left_unheard(&self) -> bool {
        let mut end = self.end();
        end.closing && end.io.is_unheard()
    }

    /// Waits for the next request; `false`: it will not come, and the connection is closed. `is_new`: no request has come
    /// yet, so that the first may be on its way when a shutdown begins.
    pub(super) async fn rest(
        &self,
        is_new: bool,
        activity: &ConnectionActivity,
        client: ClientInfo,
        observer: &dyn Observer,
        shutdown: &mut Shutdown,
    ) -> bool {
        let mut first_by = None;
        while first_by.is_none_or(|time| Instant::now() < time) {
            let check = match activity.check(Instant::now()) {
                Ok(check) => check.min(first_by.unwrap_or(check)),
                Err(limit) => {
                    observer.limit_reached(limit, Some(client.peer));
                    break;
                }
            };
            tokio::select! {
                biased;
                more = self.read_ahead() => match more {
                    Some(true) => return true,
                    Some(false) => activity.read(),
                    None => break,
                },
                () = sleep_until(check) => {}
                () = shutdown.requested(), if first_by.is_none() => match is_new {
                    true => first_by = Some(Instant::now() + FIRST_REQUEST),
                    false => break,
                },
                () = activity.left() => {
                    observer.evicted(client.peer);
                    return false;
                }
            }
        }
        // With TLS there is something to say; who does not hear it by now is gone.
        let _ = Box::pin(timeout(FAREWELL, self.clone().shutdown())).await;
        false
    }

    /// Ready once the client has left, while all that it has to say for now was said. What it says all the same is kept.
    pub(super) fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut end = self.end();
        if end.closing || !end.ahead.is_empty() || !end.io.has_all() {
            return Poll::Pending;
        }
        if end.io.awaits_reply() {
            return end.io.poll_left(context);
        }
        match ready!(end.poll_read_ahead(context)) {
            Some(()) => Poll::Pending,
            None => Poll::Ready(()),
        }
    }

    /// HTTP/2 by its preface (RFC 9113 section 3.4), over TLS or by prior knowledge; anything else is HTTP/1.
    pub(super) fn begins_http2(&self) -> bool {
        self.end().ahead.starts_with(PREFACE)
    }

    /// Whether what has come says which HTTP follows; `None` if none does.
    async fn read_ahead(&self) -> Option<bool> {
        poll_fn(|context| {
            let mut end = self.end();
            let more = ready!(end.poll_read_ahead(context));
            let unclear = end.ahead.len() < PREFACE.len() && PREFACE.starts_with(&end.ahead);
            Poll::Ready(more.map(|()| !unclear))
        })
        .await
    }

    fn end(&self) -> MutexGuard<'_, StreamState<I>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: AsyncRead + Unpin> StreamState<I> {
    /// `None` when nothing more will come.
    fn poll_read_ahead(&mut self, context: &mut Context<'_>) -> Poll<Option<()>> {
        let mut space = [const { MaybeUninit::uninit() }; AHEAD];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(None);
        }
        self.ahead = [&self.ahead, buffer.filled()].concat().into();
        Poll::Ready(Some(()))
    }
}

impl<I> Clone for ClientStream<I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut end = self.end();
        if end.ahead.is_empty() {
            return Pin::new(&mut end.io).poll_read(context, buffer);
        }
        let fits = end.ahead.len().min(buffer.remaining());
        buffer.put_slice(&end.ahead.split_to(fits));
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<I> {
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
        poll_write_slices(Pin::new(&mut self.end().io), context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.end().io.is_write_vectored()
    }
}

const FAREWELL: Duration = Duration::from_secs(1);
/// For the first request of a new connection, after a shutdown has begun: a client that has just connected is about to
/// send it.
pub(crate) const FIRST_REQUEST: Duration = Duration::from_millis(500);
/// Bytes; most requests are shorter.
const AHEAD: usize = 4096;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    use crate::http::guard::Tunnel;

    use super::super::observer::testing::unheard;
    use super::super::{ClientLimits, Limits, signal};
    use super::*;

    const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 7], 4711);

    fn stream() -> (ClientStream<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (
            ClientStream::new(
                Guarded::new(ours, CLIENT.into(), Tunnel::default(), unheard()),
                None,
            ),
            theirs,
        )
    }

    async fn rest(stream: &ClientStream<DuplexStream>, keep_alive: Duration) -> bool {
        let of_clients = ClientLimits { keep_alive, ..ClientLimits::default() };
        let activity = ConnectionActivity::new(&Limits { of_clients, drain: Duration::ZERO });
        drop(activity.request(http::Version::HTTP_11));
        let client = ClientInfo { peer: CLIENT.into(), tls: false };
        let (_trigger, mut shutdown) = signal::shutdown();
        stream.rest(false, &activity, client, &*unheard(), &mut shutdown).await
    }

    #[tokio::test]
    async fn a_rest_ends_with_the_next_request_and_loses_nothing_of_it() {
        let (mut stream, mut theirs) = stream();
        theirs.write_all(b"GET /").await.unwrap();
        assert!(rest(&stream, Duration::from_secs(75)).await);
        assert!(!stream.may_rest());
        let mut read = [0; 64];
        assert_eq!(stream.read(&mut read).await.unwrap(), 5);
        assert_eq!(&read[..5], b"GET /");
        theirs.write_all(b" HTTP/1.1\r\nHost: d\r\n\r\n").await.unwrap();
        assert_eq!(stream.read(&mut read).await.unwrap(), 22);
        assert!(stream.may_rest());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_on_its_way_on_a_new_connection_outruns_a_shutdown() {
        for (is_new, sends, heard) in
            [(true, true, true), (true, false, false), (false, true, false)]
        {
            let (stream, mut theirs) = stream();
            let limits = Limits { of_clients: ClientLimits::default(), drain: Duration::ZERO };
            let activity = ConnectionActivity::new(&limits);
            let client = ClientInfo { peer: CLIENT.into(), tls: false };
            let (trigger, mut shutdown) = signal::shutdown();
            trigger.pull();
            let says = async {
                tokio::time::sleep(FIRST_REQUEST / 2).await;
                if sends {
                    // Fails where the connection is closed by now.
                    let _ = theirs.write_all(b"GET /").await;
                }
            };
            let observer = unheard();
            let rest = stream.rest(is_new, &activity, client, &*observer, &mut shutdown);
            let (rested, ()) = tokio::join!(rest, says);
            assert_eq!(rested, heard, "new: {is_new}, sends: {sends}");
        }
    }

    #[tokio::test]
    async fn its_first_bytes_tell_which_http_follows() {
        for (pieces, http2) in [
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "rest"][..], true),
            (&["PRI * HT", "TP/2.0\r\n\r\nSM\r\n\r\nrest"], true),
            (&["P", "RI / HTTP/1.1\r\n"], false),
            (&["PRI * HTTP/2.0\r\n\r\nS", "M\r\n\rGET"], false),
            (&["G"], false),
        ] {
            let (mut stream, mut theirs) = stream();
            let said = async {
                for piece in pieces {
                    theirs.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let (rested, ()) = tokio::join!(rest(&stream, Duration::from_secs(75)), said);
            assert!(rested);
            assert_eq!(stream.begins_http2(), http2, "{pieces:?}");
            let mut read = vec![0; pieces.concat().len()];
            stream.read_exact(&mut read).await.unwrap();
            assert_eq!(read, pieces.concat().as_bytes());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_ends_with_its_client_or_its_time() {
        let (stream, theirs) = stream();
        assert!(!rest(&stream, Duration::from_secs(75)).await);
        drop(theirs);
        assert!(!rest(&stream, Duration::from_secs(86400)).await);
    }

    #[tokio::test]
    async fn what_is_half_said_is_no_rest() {
        for half in ["GET / HTTP/1.1\r\n", "G", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na"] {
            let (mut stream, mut theirs) = stream();
            theirs.write_all(half.as_bytes()).await.unwrap();
            let mut read = [0; 64];
            assert_eq!(stream.read(&mut read).await.unwrap(), half.len());
            assert!(!stream.may_rest(), "{half}");
        }
        let (mut stream, _theirs) = stream();
        assert!(stream.may_rest());
        stream.shutdown().await.unwrap();
        assert!(!stream.may_rest());
    }
}
