//! What a client sends after a request's head, whichever HTTP it speaks.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::http::BoxError;
use crate::http::http2::Received;

/// A request's body as it comes.
#[derive(Debug)]
pub(crate) enum Arriving {
    Http1(Incoming),
    Http2(Received),
}

impl Arriving {
    pub(super) fn over_http2(request: Request<RecvStream>) -> Request<Self> {
        let (head, stream) = request.into_parts();
        let body = Received::new(stream, &head.headers);
        Request::from_parts(head, Self::Http2(body))
    }
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
            Self::Http2(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
