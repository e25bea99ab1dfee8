//! `Expect: 100-continue` (RFC 9110 section 10.1.1): whether a body is sent is the app's decision.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Duration, Sleep, sleep};

use crate::http::BoxError;

/// What has become of one client's expectation. Clones are the same; lives in the extensions of its request.
#[derive(Clone, Debug)]
pub(crate) struct Expectation(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    stage: Stage,
    body: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The app has said nothing yet.
    Open,
    /// It wants the body.
    Met,
    /// It is content, and answers before it has the body: whether the client sends it is the client's matter.
    Answered,
    /// It replies without the body.
    Refused,
    /// And the reply is over.
    Over,
}

impl Expectation {
    /// That of a request whose client waits for a word.
    pub(crate) fn of<B: Body>(request: &Request<B>) -> Option<Self> {
        if request.body().is_end_stream() || request.version() != Version::HTTP_11 {
            return None;
        }
        let waits = request.headers().get(EXPECT)?.as_bytes().eq_ignore_ascii_case(b"100-continue");
        let state = State { stage: Stage::Open, body: None };
        waits.then(|| Self(Arc::new(Mutex::new(state))))
    }

    pub(crate) fn is_met(&self) {
        self.advance(Stage::Open, Stage::Met);
    }

    /// The reply is here. `Some` if it came before the body.
    pub(crate) fn replied(self, status: StatusCode) -> Option<Reply> {
        let stage = if status.is_success() { Stage::Answered } else { Stage::Refused };
        self.advance(Stage::Open, stage).then_some(Reply(self))
    }

    fn advance(&self, from: Stage, to: Stage) -> bool {
        let mut state = self.state();
        let due = state.stage == from;
        if due {
            state.stage = to;
            if let Some(body) = state.body.take() {
                body.wake();
            }
        }
        due
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reply that came before the body, until this is dropped.
#[derive(Debug)]
pub(crate) struct Reply(Expectation);

impl Drop for Reply {
    fn drop(&mut self) {
        self.0.advance(Stage::Refused, Stage::Over);
        self.0.advance(Stage::Answered, Stage::Over);
    }
}

pin_project! {
    /// A body that is not asked for before the app wants it.
    pub(crate) struct Held<B> {
        // `None` once nobody will read it, which the client's connection learns from that.
        #[pin]
        inner: Option<B>,
        waiting: Option<Waiting>,
    }
}

struct Waiting {
    expectation: Expectation,
    /// Runs once the app is asked.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Ends the request to the app. Its reply is over, and nothing waits for this error.
#[derive(Debug, thiserror::Error)]
#[error("the app did not want the body")]
struct Unwanted;

impl<B> Held<B> {
    pub(crate) fn new(inner: B, expectation: Option<Expectation>) -> Self {
        let waiting = expectation.map(|expectation| Waiting { expectation, timer: None });
        Self { inner: Some(inner), waiting }
    }
}

impl Waiting {
    fn poll(&mut self, context: &mut Context<'_>) -> Stage {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        let mut state = self.expectation.state();
        // Apps that know nothing of expectations say nothing, and wait for the body.
        if state.stage == Stage::Open && timer.as_mut().poll(context).is_ready() {
            state.stage = Stage::Met;
        }
        if matches!(state.stage, Stage::Open | Stage::Answered | Stage::Refused) {
            state.body = Some(context.waker().clone());
        }
        state.stage
    }
}

impl<B> Body for Held<B>
where
    B: Body<Data = Bytes, Error = BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        if let Some(waiting) = this.waiting {
            match waiting.poll(context) {
                Stage::Open => return Poll::Pending,
                Stage::Answered => {
                    let Some(inner) = this.inner.as_mut().as_pin_mut() else {
                        return Poll::Pending;
                    };
                    let frame = ready!(inner.poll_frame(context));
                    waiting.expectation.advance(Stage::Answered, Stage::Met);
                    *this.waiting = None;
                    return Poll::Ready(frame);
                }
                Stage::Refused => {
                    this.inner.set(None);
                    return Poll::Pending;
                }
                Stage::Over => {
                    this.inner.set(None);
                    return Poll::Ready(Some(Err(Unwanted.into())));
                }
                Stage::Met => *this.waiting = None,
            }
        }
        match this.inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_some_and(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, B::size_hint)
    }
}

/// As long as curl waits before it sends its body all the same.
const PATIENCE: Duration = Duration::from_secs(1);
