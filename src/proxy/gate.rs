//! The way to the app: how many requests may be on it, and how long it may be silent.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Duration, Instant, Sleep, sleep_until, timeout};
use tower::layer::layer_fn;
use tower::{Layer, Service};

use crate::config::AppLimits;
use crate::http::BoxError;
use crate::problem::{NotSent, instead_of_the_app};
use crate::reason::Reason;
use crate::telemetry::{Metrics, request_id};
use crate::viewer::Shown;

use super::limits::LimitSetting;
use crate::http::downstream::room::Room;

/// Lets requests through to the app within `[app.limits]`. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    inner: S,
    shared: Arc<Shared>,
}

/// What all gates to one app have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    limits: AppLimits,
    room: Room,
    queued: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
}

/// The app's own body, or ours in its stead.
pub(crate) type Reply<R> = Response<Either<AppBody<R>, Full<Bytes>>>;

impl Shared {
    pub(crate) fn new(limits: AppLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { limits, room: Room::new(limits.requests), queued: Arc::default(), metrics })
    }

    /// One that counts together with this one.
    pub(super) fn renewed(&self, limits: AppLimits) -> Arc<Self> {
        let (room, queued) = (self.room.clone(), Arc::clone(&self.queued));
        Arc::new(Self { limits, room, queued, metrics: Arc::clone(&self.metrics) })
    }

    /// See [`Room::resize`].
    pub(super) fn resize(&self, requests: usize) {
        self.room.resize(requests);
    }

    /// The right to be on the way to the app, or what stands against it.
    async fn enter(&self) -> Result<OwnedSemaphorePermit, LimitSetting> {
        if let Ok(permit) = self.room.places().try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        let _place = Place(&self.queued);
        if before >= self.limits.queue {
            return Err(LimitSetting::Requests);
        }
        let room = timeout(self.limits.queue_time, self.room.places().acquire_owned()).await;
        // Nobody closes it.
        room.map_err(|_| LimitSetting::QueueTime)?.map_err(|_| LimitSetting::Requests)
    }
}

impl<S> Gate<S> {
    /// Gates that count together.
    pub(crate) fn layer(shared: &Arc<Shared>) -> impl Layer<S, Service = Self> + use<S> {
        let shared = Arc::clone(shared);
        layer_fn(move |inner| Self { inner, shared: Arc::clone(&shared) })
    }
}

impl<S, B, R> Service<Request<B>> for Gate<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + 'static,
{
    type Response = Reply<R>;
    type Error = Infallible;
    type Future = Asking<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        // As nearly every request does: at once, and without a time limit.
        if shared.limits.first_byte.is_none()
            && let Ok(permit) = shared.room.places().try_acquire_owned()
        {
            let answer = self.inner.call(request);
            return Asking::Entered { answer, permit: Some(permit), shared };
        }
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        Asking::Waiting { reply: Box::pin(wait(inner, shared, request)) }
    }
}

/// Asks the app once there is room, and for as long as it may take.
async fn wait<S, B, R>(
    mut inner: S,
    shared: Arc<Shared>,
    request: Request<B>,
) -> Result<Reply<R>, Infallible>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    let request_id = request.headers().get(request_id::HEADER).cloned();
    let shown = Shown::of(request.headers()).to_a_person();
    let refuse = |limit: LimitSetting| {
        limit.strike(&shared.metrics, None);
        let request_id = request_id.as_ref().and_then(|id| id.to_str().ok());
        let reason = match limit {
            LimitSetting::FirstByte => Reason::AppTimeout,
            _ => Reason::Overloaded,
        };
        let mut reply = instead_of_the_app(reason, request_id.unwrap_or("-"), shown);
        if reason == Reason::Overloaded {
            reply.extensions_mut().insert(NotSent);
        }
        reply.map(Full::new).map(Either::Right)
    };
    let permit = match shared.enter().await {
        Ok(permit) => permit,
        Err(limit) => return Ok(refuse(limit)),
    };
    let asked = inner.call(request);
    let reply = match shared.limits.first_byte {
        None => asked.await?,
        Some(within) => match timeout(within, asked).await {
            Ok(reply) => reply?,
            Err(_) => return Ok(refuse(LimitSetting::FirstByte)),
        },
    };
    Ok(reply.map(|body| Either::Left(AppBody::new(body, permit, shared))))
}

pin_project! {
    /// A request that is on its way to the app, or waits for that.
    #[project = AskingProj]
    pub(crate) enum Asking<F, R> {
        Entered { #[pin] answer: F, permit: Option<OwnedSemaphorePermit>, shared: Arc<Shared> },
        Waiting { reply: Pin<Box<dyn Future<Output = Result<Reply<R>, Infallible>> + Send>> },
    }
}

impl<F, R> Future for Asking<F, R>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = Result<Reply<R>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AskingProj::Entered { answer, permit, shared } => {
                let reply = ready!(answer.poll(context))?;
                let Some(permit) = permit.take() else { return Poll::Pending };
                let shared = Arc::clone(shared);
                Poll::Ready(Ok(reply.map(|body| Either::Left(AppBody::new(body, permit, shared)))))
            }
            AskingProj::Waiting { reply } => reply.as_mut().poll(context),
        }
    }
}

/// A place in the queue, until this is dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// Counts as on its way until it is dropped, and fails once the app is silent for too long.
    pub(crate) struct AppBody<R> {
        #[pin]
        inner: R,
        permit: OwnedSemaphorePermit,
        idle: Option<Duration>,
        silent_since: Option<Instant>,
        timer: Option<Pin<Box<Sleep>>>,
        shared: Arc<Shared>,
    }
}

/// The app stopped in the middle of its reply.
#[derive(Debug, thiserror::Error)]
#[error("the app fell silent in the middle of its reply ({})", LimitSetting::ReplyIdle.name())]
struct Silent;

impl<R> AppBody<R> {
    fn new(inner: R, permit: OwnedSemaphorePermit, shared: Arc<Shared>) -> Self {
        let idle = shared.limits.reply_idle;
        Self { inner, permit, idle, silent_since: None, timer: None, shared }
    }
}

impl<R> Body for AppBody<R>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.inner.poll_frame(context) {
            *this.silent_since = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let Some(idle) = *this.idle else { return Poll::Pending };
        let until = *this.silent_since.get_or_insert_with(Instant::now) + idle;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        loop {
            ready!(timer.as_mut().poll(context));
            if Instant::now() >= until {
                LimitSetting::ReplyIdle.strike(&this.shared.metrics, None);
                return Poll::Ready(Some(Err(Silent.into())));
            }
            // It was set for an earlier silence.
            timer.as_mut().reset(until);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
