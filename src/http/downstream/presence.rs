//! Whether the client is still there while its request is answered.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::ConnectionActivity;
use super::client_stream::ClientStream;

pin_project! {
    /// A connection of HTTP/1 that is served as long as the client is there.
    ///
    /// hyper looks for that itself unless it is told not to, and makes room for 8 KiB in each request to do so.
    pub(super) struct UntilClientLeaves<F, I> {
        #[pin]
        serving: F,
        stream: ClientStream<I>,
        activity: ConnectionActivity,
    }
}

impl<F, I> UntilClientLeaves<F, I> {
    pub(super) fn new(serving: F, stream: ClientStream<I>, activity: ConnectionActivity) -> Self {
        Self { serving, stream, activity }
    }

    pub(super) fn serving(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().serving
    }
}

impl<F, I> Future for UntilClientLeaves<F, I>
where
    F: Future<Output = hyper::Result<()>>,
    I: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Result<(), ServeError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(ended) = this.serving.poll(context) {
            return Poll::Ready(ended.map_err(ServeError::Failed));
        }
        // Between requests hyper reads, and would not hear of what is read here.
        if this.activity.is_answering() && this.stream.poll_left(context).is_ready() {
            return Poll::Ready(Err(ServeError::Left));
        }
        Poll::Pending
    }
}

/// Why a connection was not served to a good end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error("the client left before it had its reply")]
    Left,
    #[error(transparent)]
    Failed(hyper::Error),
}
