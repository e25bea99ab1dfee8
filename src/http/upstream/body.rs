//! The bodies that the forwarder sends and returns.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;

use super::bare::{BareError, BareReply};
use super::http1::Lent;
use super::http2::Held;
use crate::http::BoxError;
use crate::http::http2::Received;

pin_project! {
    /// What the app sends.
    ///
    /// An error waits for a turn, in which hyper sends what came before: a client that got not even the head
    /// of a reply may take its request for unsent, and send it again.
    pub(crate) struct AppReply {
        #[pin]
        source: Source,
        failed: Option<ReplyError>,
    }
}

pin_project! {
    #[project = SourceProj]
    enum Source {
        Bare { reply: BareReply },
        Http1 {
            #[pin]
            incoming: Incoming,
            // Until the body is gone, as below.
            lent: Lent,
        },
        Http2 {
            #[pin]
            received: Received,
            held: Held,
        },
    }
}

/// Why the app's reply has no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplyError {
    #[error(transparent)]
    Bare(#[from] BareError),
    #[error(transparent)]
    Http1(#[from] hyper::Error),
    #[error(transparent)]
    Http2(#[from] h2::Error),
}

impl AppReply {
    pub(super) fn over_http1(incoming: Incoming, lent: Lent) -> Self {
        Self { source: Source::Http1 { incoming, lent }, failed: None }
    }

    pub(super) fn over_http2(received: Received, held: Held) -> Self {
        Self { source: Source::Http2 { received, held }, failed: None }
    }

    pub(super) fn bare(reply: BareReply) -> Self {
        Self { source: Source::Bare { reply }, failed: None }
    }
}

impl Body for AppReply {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let this = self.project();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match this.source.project() {
            SourceProj::Bare { reply } => ready!(reply.poll_frame(context)).map(from),
            SourceProj::Http1 { incoming, .. } => ready!(incoming.poll_frame(context)).map(from),
            SourceProj::Http2 { received, .. } => ready!(received.poll_frame(context)).map(from),
        };
        match frame {
            Some(Err(error)) => {
                *this.failed = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.source {
            Source::Bare { reply } => reply.is_end_stream(),
            Source::Http1 { incoming, .. } => incoming.is_end_stream(),
            Source::Http2 { received, .. } => received.is_end_stream(),
        };
        ended && self.failed.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Bare { reply } => reply.size_hint(),
            Source::Http1 { incoming, .. } => incoming.size_hint(),
            Source::Http2 { received, .. } => received.size_hint(),
        }
    }
}

fn from<T, E: Into<ReplyError>>(result: Result<T, E>) -> Result<T, ReplyError> {
    result.map_err(Into::into)
}

/// What goes to the app. One type for all bodies lets all requests share one connection pool.
/// Most requests have none, so that none is no allocation.
pub(crate) type RequestBody = Either<Empty<Bytes>, UnsyncBoxBody<Bytes, ClientGone>>;

/// The client's side of a request body failed; the app is not to blame.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
pub(crate) struct ClientGone(#[source] BoxError);

pub(crate) fn request_body<B>(body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return Either::Left(Empty::new());
    }
    Either::Right(body.map_err(|error| ClientGone(error.into())).boxed_unsync())
}
