use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{LaneFuture, Viewed};
use crate::body::ResponseBody;

pin_project! {
    /// The reply to come.
    #[project = ResponseFutureProj]
    #[non_exhaustive]
    pub enum ResponseFuture<F, R, E>
    where
        R: Body<Data = Bytes>,
        R: Send,
        R: 'static,
    {
        #[doc(hidden)]
        Pass { #[pin] future: F },
        #[doc(hidden)]
        View { #[pin] future: Viewed<F, R, E> },
        #[doc(hidden)]
        Lane { future: LaneFuture<R, E> },
    }
}

impl<F, R, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Pass { future } => {
                let reply = ready!(future.poll(cx));
                Poll::Ready(reply.map(|reply| reply.map(ResponseBody::passed)))
            }
            ResponseFutureProj::View { future } => future.poll(cx),
            ResponseFutureProj::Lane { future } => future.as_mut().poll(cx),
        }
    }
}

impl<F, R, E> fmt::Debug for ResponseFuture<F, R, E>
where
    R: Body<Data = Bytes> + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
