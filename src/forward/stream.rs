//! The connection to the app, which lets an early reply through and remembers a request without one.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use http_body_util::{Either, Empty};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::RequestBody;
use super::write::poll_write_slices;

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
    memory: Option<Memory>,
}

/// Of a connection on which only requests without a body are sent, so that a write after a reply begins a
/// new request.
#[derive(Default)]
struct Memory {
    /// The app has said something since the connection was made.
    served: bool,
    /// What was written to a connection that had served, since the app last said something.
    asked: Vec<u8>,
}

/// The app closed a connection that had served before, without a byte in reply to the last request.
#[derive(thiserror::Error)]
#[error("the app closed a kept connection instead of answering")]
pub(crate) struct Unanswered {
    /// The request as it was written, which may hold secrets.
    asked: Vec<u8>,
}

impl AppStream {
    pub(crate) fn new(wire: impl Wire + 'static) -> Self {
        Self { wire: Box::new(wire), deaf: false, memory: None }
    }

    /// Fails with [`Unanswered`] where a request may be sent again. Not for requests with bodies, which it
    /// would hold.
    pub(crate) fn remembering(self) -> Self {
        Self { memory: Some(Memory::default()), ..self }
    }

    /// What the caller is told of a write of these.
    fn written(
        &mut self,
        result: io::Result<usize>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        let written = match result {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => {
                self.deaf = true;
                slices.iter().map(|slice| slice.len()).sum()
            }
            other => other?,
        };
        if let Some(memory) = &mut self.memory {
            memory.note_written(written, slices);
        }
        Poll::Ready(Ok(written))
    }
}

impl Memory {
    fn note_written(&mut self, written: usize, slices: &[IoSlice<'_>]) {
        if !self.served {
            return;
        }
        let mut left = written;
        for slice in slices {
            let (taken, _) = slice.split_at(left.min(slice.len()));
            self.asked.extend_from_slice(taken);
            left -= taken.len();
        }
    }

    /// What is told of a read that got this many bytes, or failed.
    fn note_read(&mut self, read: io::Result<usize>) -> io::Result<()> {
        match read {
            Ok(0) | Err(_) if !self.asked.is_empty() => {
                let asked = std::mem::take(&mut self.asked);
                Err(io::Error::new(io::ErrorKind::ConnectionReset, Unanswered { asked }))
            }
            Ok(0) => Ok(()),
            Ok(_) => {
                self.served = true;
                self.asked.clear();
                self.asked.shrink_to(KEPT_ROOM);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl AsyncRead for AppStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.wire).poll_read(context, buffer));
        Poll::Ready(match &mut self.memory {
            Some(memory) => memory.note_read(read.map(|()| buffer.filled().len() - before)),
            None => read,
        })
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

impl Unanswered {
    /// The same request, to be sent again; `None` if it was not written to its end.
    pub(crate) fn request(&self) -> Option<Request<RequestBody>> {
        let lines = self.asked.iter().filter(|byte| **byte == b'\n').count();
        let mut headers = vec![httparse::EMPTY_HEADER; lines];
        let mut head = httparse::Request::new(&mut headers);
        head.parse(&self.asked).ok()?.is_complete().then_some(())?;
        let mut request = Request::builder().method(head.method?).uri(head.path?);
        for header in head.headers {
            request = request.header(header.name, header.value);
        }
        request.body(Either::Left(Empty::new())).ok()
    }
}

impl fmt::Debug for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unanswered").finish_non_exhaustive()
    }
}

/// Bytes that a connection goes on holding for the next request; more than most heads have.
const KEPT_ROOM: usize = 2048;
