//! Whether the client is still there while its request is answered.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};

use super::resting::Line;
use super::watch::Watch;

pin_project! {
    /// A connection of HTTP/1 that is served as long as the client is there.
    ///
    /// hyper looks for that itself unless it is told not to, and makes room for 8 KiB in each request to do so.
    pub(super) struct Attended<F, I> {
        #[pin]
        serving: F,
        line: Line<I>,
        watch: Watch,
    }
}

impl<F, I> Attended<F, I> {
    pub(super) fn new(serving: F, line: Line<I>, watch: Watch) -> Self {
        Self { serving, line, watch }
    }

    pub(super) fn serving(self: Pin<&mut Self>) -> Pin<&mut F> {
        self.project().serving
    }
}

impl<F, I> Future for Attended<F, I>
where
    F: Future<Output = hyper::Result<()>>,
    I: AsyncRead + AsyncWrite + Unpin,
{
    type Output = Result<(), Unattended>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(ended) = this.serving.poll(context) {
            return Poll::Ready(ended.map_err(Unattended::Failed));
        }
        // Between requests hyper reads, and would not hear of what is read here.
        if this.watch.is_answering() && this.line.poll_left(context).is_ready() {
            return Poll::Ready(Err(Unattended::Left));
        }
        Poll::Pending
    }
}

/// Why a connection was not served to a good end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unattended {
    #[error("the client left before it had its reply")]
    Left,
    #[error(transparent)]
    Failed(hyper::Error),
}
