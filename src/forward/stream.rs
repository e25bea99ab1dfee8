//! The connection to the app, which lets an early reply through.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// A stream whose writes do not fail when the app has closed its end.
///
/// An app may refuse an upload with a reply and close before it read all of it. The next write fails
/// then, and hyper gives the whole exchange up although the reply may already be there. So what can't be
/// written any more is dropped, and the reading side tells: the reply, or the end without one.
#[derive(Debug)]
pub(crate) struct AppStream<S> {
    inner: S,
    /// The app takes no more.
    deaf: bool,
}

impl<S> AppStream<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, deaf: false }
    }

    fn or_drop<T>(&mut self, written: io::Result<T>, dropped: T) -> Poll<io::Result<T>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        Poll::Ready(match written {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.deaf = true;
                Ok(dropped)
            }
            other => other,
        })
    }
}

impl<S: Read + Unpin> Read for AppStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for AppStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        match Pin::new(&mut self.inner).poll_write(context, bytes) {
            Poll::Ready(written) => self.or_drop(written, bytes.len()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = || slices.iter().map(|slice| slice.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(length()));
        }
        match Pin::new(&mut self.inner).poll_write_vectored(context, slices) {
            Poll::Ready(written) => self.or_drop(written, length()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.inner).poll_flush(context) {
            Poll::Ready(flushed) => self.or_drop(flushed, ()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<S: Connection> Connection for AppStream<S> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}
