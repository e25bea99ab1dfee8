//! The bodies that the forwarder sends and returns.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Empty, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;

use super::http1::Lent;
use super::http2::Stream;

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The app's own body, or the few bytes of our word in its stead.
pub(crate) type ReplyBody = Either<AppReply, Full<Bytes>>;

pin_project! {
    /// What the app sends.
    ///
    /// An error waits for a turn, in which hyper sends what came before: a client that got not even the head
    /// of a reply may take its request for unsent, and send it again.
    pub(crate) struct AppReply {
        #[pin]
        incoming: Incoming,
        failed: Option<hyper::Error>,
        // Until the body is gone.
        way: Way,
    }
}

/// What a reply comes over.
pub(super) enum Way {
    Connection(Lent),
    Stream(#[allow(dead_code, reason = "it is taken for as long as this exists")] Stream),
}

impl AppReply {
    pub(super) fn over(way: Way, incoming: Incoming) -> Self {
        Self { incoming, failed: None, way }
    }
}

impl Body for AppReply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.project();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut incoming = this.incoming;
        let polled = match this.way {
            Way::Connection(lent) => {
                lent.poll(context, |context| incoming.as_mut().poll_frame(context))
            }
            Way::Stream(_) => incoming.poll_frame(context),
        };
        match ready!(polled) {
            Some(Err(error)) => {
                *this.failed = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
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
