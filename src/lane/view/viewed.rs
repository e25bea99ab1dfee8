//! The reply of a view: the app's, and then what becomes of it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::ResponseBody;
use crate::lane::LaneFuture;

pin_project! {
    /// No `async fn`: what most views wait for is the app's own future, which needs no box.
    pub struct Viewed<F, R, E>
    where
        R: Body<Data = Bytes>,
        R: Send,
        R: 'static,
    {
        // Gone before anything else is waited for: it may hold what a probe needs, as a permit does.
        #[pin]
        app: Option<F>,
        next: Next<R, E>,
    }
}

enum Next<R, E>
where
    R: Body<Data = Bytes> + Send + 'static,
{
    Finish(Box<dyn Finish<R, E>>),
    Wait(LaneFuture<R, E>),
    Done,
}

/// What becomes of the app's reply.
pub(super) trait Finish<R, E>: Send
where
    R: Body<Data = Bytes> + Send + 'static,
{
    fn finish(self: Box<Self>, reply: Response<R>) -> Finished<R, E>;
}

#[allow(clippy::large_enum_variant, reason = "moved once, and the large one is the frequent one")]
pub(super) enum Finished<R, E>
where
    R: Body<Data = Bytes> + Send + 'static,
{
    Now(Response<ResponseBody<R>>),
    Later(LaneFuture<R, E>),
}

impl<F, R, E> Viewed<F, R, E>
where
    R: Body<Data = Bytes> + Send + 'static,
{
    pub(super) fn new(app: F, finish: Box<dyn Finish<R, E>>) -> Self {
        Self { app: Some(app), next: Next::Finish(finish) }
    }
}

impl<F, R, E> Future for Viewed<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(app) = this.app.as_mut().as_pin_mut() {
            let reply = ready!(app.poll(cx));
            this.app.set(None);
            let Next::Finish(next) = std::mem::replace(this.next, Next::Done) else {
                return Poll::Pending;
            };
            match next.finish(reply?) {
                Finished::Now(reply) => return Poll::Ready(Ok(reply)),
                Finished::Later(reply) => *this.next = Next::Wait(reply),
            }
        }
        match this.next {
            Next::Wait(reply) => reply.as_mut().poll(cx),
            // Polled after its end.
            Next::Finish(_) | Next::Done => Poll::Pending,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http_body_util::{BodyExt, Full};

    use super::*;

    type Reply = Result<Response<Full<Bytes>>, Infallible>;

    /// As of a layer whose future holds a permit until it is dropped.
    struct Permitted {
        _permit: Arc<()>,
    }

    impl Future for Permitted {
        type Output = Reply;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Reply> {
            Poll::Ready(Ok(Response::new(Full::default())))
        }
    }

    struct WantsThePermit(Arc<()>);

    impl Finish<Full<Bytes>, Infallible> for WantsThePermit {
        fn finish(self: Box<Self>, _: Response<Full<Bytes>>) -> Finished<Full<Bytes>, Infallible> {
            Finished::Later(Box::pin(async move {
                let free = if Arc::strong_count(&self.0) == 1 { "free" } else { "taken" };
                Ok(Response::new(ResponseBody::full(free)))
            }))
        }
    }

    #[tokio::test]
    async fn the_apps_future_is_gone_before_anything_else_is_waited_for() {
        let permit = Arc::new(());
        let app = Permitted { _permit: permit.clone() };
        let reply = Viewed::new(app, Box::new(WantsThePermit(permit))).await.unwrap();
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "free");
    }
}
