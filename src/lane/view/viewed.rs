//! The reply of a view: the app's, and then what becomes of it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::ResponseBody;
use crate::inject::{forbid_reuse, forbid_storing, vary_by_asker};
use crate::lane::LaneFuture;
use crate::reason::Reason;

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
        marks: Marks,
    }
}

/// What caches are told of a reply, whatever becomes of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// The address gives a page to some and bytes to others.
    pub(super) varies: bool,
    /// Made with a session, or without one where the next reply has it.
    pub(super) not_stored: bool,
    /// Without a session, for a reason that passes.
    pub(super) not_reused: bool,
}

impl Marks {
    pub(super) fn put<B>(self, reply: &mut Response<B>) {
        if self.varies {
            vary_by_asker(reply.headers_mut());
        }
        if self.not_stored {
            forbid_storing(reply.headers_mut());
        } else if self.not_reused && reply.status().is_success() {
            forbid_reuse(reply.headers_mut());
        }
    }

    /// As they are for a reply that lacks its session.
    pub(super) fn without_session(self, reason: Reason) -> Self {
        Self { not_reused: reason.is_transient(), ..self }
    }
}

enum Next<R, E>
where
    R: Body<Data = Bytes> + Send + 'static,
{
    Pass,
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
    pub(super) fn new(app: F, finish: Box<dyn Finish<R, E>>, marks: Marks) -> Self {
        Self { app: Some(app), next: Next::Finish(finish), marks }
    }

    /// The app's reply as it is.
    pub(super) fn passed(app: F, marks: Marks) -> Self {
        Self { app: Some(app), next: Next::Pass, marks }
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
            let finished = match std::mem::replace(this.next, Next::Done) {
                Next::Pass => Finished::Now(reply?.map(ResponseBody::passed)),
                Next::Finish(next) => next.finish(reply?),
                Next::Wait(_) | Next::Done => return Poll::Pending,
            };
            match finished {
                Finished::Now(mut reply) => {
                    this.marks.put(&mut reply);
                    return Poll::Ready(Ok(reply));
                }
                Finished::Later(reply) => *this.next = Next::Wait(reply),
            }
        }
        match this.next {
            Next::Wait(reply) => {
                let mut reply = ready!(reply.as_mut().poll(cx))?;
                this.marks.put(&mut reply);
                Poll::Ready(Ok(reply))
            }
            // Polled after its end.
            Next::Pass | Next::Finish(_) | Next::Done => Poll::Pending,
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
        let reply =
            Viewed::new(app, Box::new(WantsThePermit(permit)), Marks::default()).await.unwrap();
        assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "free");
    }
}
