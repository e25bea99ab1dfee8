//! What the peer sends on a stream after a head.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};

/// A body as it comes. A stream that is reset before its end fails, with whatever code: half a document is none.
#[derive(Debug)]
pub(crate) struct Received {
    stream: RecvStream,
    /// Of the length that was told.
    left: Option<u64>,
    /// Only trailers may follow.
    at_trailers: bool,
}

impl Received {
    /// These headers came with it.
    pub(crate) fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        Self { stream, left: length(headers), at_trailers: false }
    }
}

/// h2 sees to it that the body is as long.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.at_trailers {
            match ready!(self.stream.poll_data(context)).transpose()? {
                Some(data) => {
                    // What is taken makes room for more; a stream that is over by now needs none.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                None => self.at_trailers = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(context))?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
