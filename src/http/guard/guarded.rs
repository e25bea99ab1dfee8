//! A client's connection under watch.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::reason::Reason;

use super::framing::{Framing, Part, Unclear};

pin_project! {
    /// A stream on which a request with unclear framing is refused.
    ///
    /// A refused head is made unreadable with a NUL, so that the server above answers 400 as it does to
    /// everything that is not HTTP, and closes. One with an unclear target becomes a head that [`strict`](super::strict)
    /// refuses.
    /// A body breaks off. Nothing behind it is read.
    #[derive(Debug)]
    pub(crate) struct Guarded<S> {
        #[pin]
        inner: S,
        peer: SocketAddr,
        framing: Framing,
        refused: Option<Refused>,
        tunnel: Tunnel,
        // What came behind a request for another protocol while it had no reply.
        held: BytesMut,
    }
}

/// Whether a connection has become a tunnel. Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tunnel(Arc<AtomicBool>);

impl Tunnel {
    /// To be called before the reply that agrees to it is sent.
    pub(crate) fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, peer: SocketAddr, tunnel: Tunnel) -> Self {
        let (framing, held) = (Framing::default(), BytesMut::new());
        Self { inner, peer, framing, refused: None, tunnel, held }
    }

    /// Whether requests are watched here, and all that came belongs to ones that are complete.
    pub(crate) fn is_between_requests(&self) -> bool {
        let awaits_reply = self.framing.awaits_reply() && self.held.is_empty();
        self.refused.is_none() && (awaits_reply || self.framing.is_between_requests())
    }

    /// Whether nothing of a request is missing, so that the next thing to come is another one, or the end.
    pub(crate) fn has_all(&self) -> bool {
        self.refused.is_none() && !self.framing.is_in_body()
    }

    /// Whether the last request asked for another protocol. What comes then is read once there is its reply.
    pub(crate) fn awaits_reply(&self) -> bool {
        self.framing.awaits_reply()
    }

    /// Whether a part of the request is still unread, because of a refusal or in its body. After a refused head the
    /// rest is no longer checked, so that it can be read and thrown away.
    pub(crate) fn is_unheard(&mut self) -> bool {
        let refused = self.refused.take_if(|refused| refused.part != Part::Body);
        if refused.is_some() {
            self.framing.stop();
        }
        refused.is_some() || (self.refused.is_none() && self.framing.is_in_body())
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Ready once the client has left, while a reply is awaited. What it says all the same is kept.
    pub(crate) fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.held.len() < MOST_HELD {
            let mut space = [const { MaybeUninit::uninit() }; MOST_HELD];
            let mut buffer = ReadBuf::uninit(&mut space);
            let read = ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
            self.held.extend_from_slice(buffer.filled());
        }
        Poll::Pending
    }
}

impl<S: AsyncRead> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        if let Some(refused) = this.refused {
            return Poll::Ready(refused.read(buffer));
        }
        if this.framing.awaits_reply() {
            // Whoever reads has replied.
            this.framing.replied(this.tunnel.is_open());
        }
        let before = buffer.filled().len();
        let polled = if this.held.is_empty() {
            this.inner.poll_read(context, buffer)
        } else {
            let fits = this.held.len().min(buffer.remaining());
            buffer.put_slice(&this.held.split_to(fits));
            Poll::Ready(Ok(()))
        };
        let fresh = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        match this.framing.see(fresh) {
            Ok(seen) if seen < fresh.len() => {
                let behind = fresh.get(seen..).unwrap_or_default();
                *this.held = [behind, &**this.held].concat().as_slice().into();
                buffer.set_filled(before + seen);
            }
            Ok(_) => {}
            Err(Unclear { what, at, part }) => {
                let code = match part {
                    Part::Target => Reason::TargetUnclear,
                    Part::Head | Part::Body => Reason::FramingUnclear,
                };
                tracing::info!(%code, peer = %this.peer, what, "request refused");
                buffer.set_filled(before + at);
                let rest = match part {
                    Part::Target => UNCLEAR_TARGET,
                    Part::Head => UNREADABLE,
                    Part::Body => b"",
                };
                let refused = this.refused.insert(Refused { rest, part });
                return Poll::Ready(if at == 0 { refused.read(buffer) } else { Ok(()) });
            }
        }
        polled
    }
}

/// What is read in place of what the client sent.
#[derive(Debug)]
struct Refused {
    rest: &'static [u8],
    part: Part,
}

impl Refused {
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        if self.part == Part::Body {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a body of unclear framing"));
        }
        let (now, later) = self.rest.split_at(self.rest.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.rest = later;
        Ok(())
    }
}

impl<S: AsyncWrite> AsyncWrite for Guarded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// The end of a head after a byte that may be nowhere in it.
const UNREADABLE: &[u8] = b"\0\r\n\r\n";
/// The end of a request's first line, and of its head.
const UNCLEAR_TARGET: &[u8] = b"\ntransom-unclear-target: 1\r\n\r\n";
/// Bytes; who says more has to wait for the reply.
const MOST_HELD: usize = 4096;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::strict;
    use super::*;

    #[test]
    fn an_unclear_target_is_told_to_those_who_judge_requests() {
        let told = std::str::from_utf8(UNCLEAR_TARGET).unwrap();
        assert!(told.starts_with(&format!("\n{}: ", strict::UNCLEAR_TARGET)));
    }
}
