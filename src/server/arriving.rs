//! What a client sends after a request's head, whichever HTTP it speaks.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::forward::BoxError;

/// A request's body as it comes.
#[derive(Debug)]
pub(crate) enum Arriving {
    Http1(Incoming),
    Http2(StreamBody),
}

/// The body of one stream.
#[derive(Debug)]
pub(crate) struct StreamBody {
    stream: RecvStream,
    /// Of the length that was told.
    left: Option<u64>,
    /// Only trailers may follow.
    at_trailers: bool,
}

impl Arriving {
    pub(super) fn over_http2(request: Request<RecvStream>) -> Request<Self> {
        let left = length(request.headers());
        request.map(|stream| Self::Http2(StreamBody { stream, left, at_trailers: false }))
    }
}

/// h2 has seen to it that there is at most one, and that the body is as long.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Http2(body) => body.poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) if body.stream.is_end_stream() => SizeHint::with_exact(0),
            Self::Http2(body) => body.left.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl StreamBody {
    /// A stream that is reset before its end fails, with whatever code: half a document is none.
    fn poll_frame(
        &mut self,
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
}
