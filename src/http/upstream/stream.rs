//! The connection to the app, which lets an early reply through.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::write::poll_write_slices;

/// What carries the bytes: a socket of any kind, with TLS or without.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// A stream whose writes do not fail when the app has closed its end.
///
/// An app may refuse an upload with a reply and close before it read all of it. The next write fails
/// then, and hyper gives the whole exchange up although the reply may already be there. So what can't be
/// written any more is dropped, and the reading side tells: the reply, or the end without one.
pub(crate) struct AppStream {
    wire: Box<dyn Wire>,
    /// The app takes no more.
    deaf: bool,
}

impl AppStream {
    pub(crate) fn new(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), deaf: false }
    }

    /// What the caller is told of a write of these.
    fn written(
        &mut self,
        result: io::Result<usize>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        Poll::Ready(match result {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.deaf = true;
                Ok(slices.iter().map(|slice| slice.len()).sum())
            }
            other => other,
        })
    }
}

impl AsyncRead for AppStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(context, buffer)
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = match self.deaf {
            true => Ok(bytes.len()),
            false => ready!(Pin::new(&mut self.wire).poll_write(context, bytes)),
        };
        self.written(result, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = match self.deaf {
            true => Ok(slices.iter().map(|slice| slice.len()).sum()),
            false => ready!(poll_write_slices(Pin::new(&mut self.wire), context, slices)),
        };
        self.written(result, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(Pin::new(&mut self.wire).poll_flush(context));
        self.written(flushed.map(|()| 0), &[]).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
