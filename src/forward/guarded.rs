//! A client's connection under watch.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::reason::Reason;

use super::framing::{Framing, Unclear};

pin_project! {
    /// A stream on which a request with unclear framing is refused.
    ///
    /// A refused head is made unreadable with a NUL, so that the server above answers 400 as it does to
    /// everything that is not HTTP, and closes. A body breaks off. Nothing behind it is read.
    #[derive(Debug)]
    pub(crate) struct Guarded<S> {
        #[pin]
        inner: S,
        peer: SocketAddr,
        framing: Framing,
        refused: Option<Refused>,
    }
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, peer: SocketAddr) -> Self {
        Self { inner, peer, framing: Framing::default(), refused: None }
    }

    /// Whether requests are watched here, and all that came belongs to ones that are complete.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.refused.is_none() && self.framing.is_between_requests()
    }

    /// Whether nothing of a request is missing, so that the next thing to come is another one, or the end.
    pub(crate) fn has_all(&self) -> bool {
        self.refused.is_none() && !self.framing.is_in_body()
    }

    /// Whether more of a body is to come that nothing is wrong with.
    pub(crate) fn is_in_body(&self) -> bool {
        self.refused.is_none() && self.framing.is_in_body()
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
        let before = buffer.filled().len();
        let polled = this.inner.poll_read(context, buffer);
        let fresh = buffer.filled_mut().get_mut(before..).unwrap_or_default();
        if let Err(Unclear { what, at, in_head }) = this.framing.see(fresh) {
            tracing::info!(code = %Reason::FramingUnclear, peer = %this.peer, what, "request refused");
            buffer.set_filled(before + at);
            let rest: &[u8] = if in_head { UNREADABLE } else { b"" };
            let refused = this.refused.insert(Refused { rest, in_head });
            return Poll::Ready(if at == 0 { refused.read(buffer) } else { Ok(()) });
        }
        polled
    }
}

/// What is read in place of what the client sent.
#[derive(Debug)]
struct Refused {
    rest: &'static [u8],
    in_head: bool,
}

impl Refused {
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        if !self.in_head {
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
