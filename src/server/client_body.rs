//! What a client sends, at a pace that it is held to.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::forward::BoxError;
use crate::forward::headers::strip_forwarding;
use crate::telemetry::Visit;

use super::limits::Limit;
use super::pace::{Pace, Slowness};

pin_project! {
    /// Fails with [`TooSlow`] once its client is.
    pub(crate) struct ClientBody<B> {
        #[pin]
        inner: B,
        // `None` for a body that is at its end before it began, as most are.
        pace: Option<Pace>,
        #[pin]
        timer: Option<Sleep>,
        struck: Struck,
        // Where there is an access log, and a body.
        visit: Option<Visit>,
    }
}

/// Whether a body has failed for being slow, for whoever answers its request.
#[derive(Clone, Debug, Default)]
pub(super) struct Struck(Option<Arc<OnceLock<Limit>>>);

/// The client did not send its body fast enough.
#[derive(Debug, thiserror::Error)]
#[error("the client is too slow ({})", .0.name())]
pub(super) struct TooSlow(pub(super) Limit);

impl<B: Body> ClientBody<B> {
    pub(super) fn new(inner: B, slowness: Slowness, visit: Option<Visit>) -> Self {
        let comes = !inner.is_end_stream();
        let struck = Struck(comes.then(Arc::default));
        let visit = visit.filter(|_| comes);
        Self { inner, pace: comes.then(|| Pace::new(slowness)), timer: None, struck, visit }
    }

    pub(super) fn struck(&self) -> Struck {
        self.struck.clone()
    }
}

impl Struck {
    pub(super) fn limit(&self) -> Option<Limit> {
        self.0.as_ref()?.get().copied()
    }
}

impl<B> Body for ClientBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let polled = this.inner.poll_frame(context);
        let Some(pace) = this.pace else { return polled.map_err(Into::into) };
        if let Poll::Ready(mut frame) = polled {
            if let Some(trailers) =
                frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut())
            {
                strip_forwarding(trailers);
            }
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let bytes = bytes.map_or(0, Bytes::len);
            pace.moved(bytes, Instant::now);
            if let Some(visit) = this.visit {
                visit.received(bytes);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !pace.is_waiting() {
            pace.wait(Instant::now());
        }
        loop {
            // A timer that still runs was set for an earlier wait: it can only be too early.
            match this.timer.as_mut().as_pin_mut() {
                Some(timer) => ready!(timer.poll(context)),
                None => {
                    let check = pace.next_check(Instant::now());
                    this.timer.set(Some(sleep_until(check)));
                    continue;
                }
            }
            let now = Instant::now();
            if let Some(limit) = pace.judge(now, 1) {
                if let Some(struck) = &this.struck.0 {
                    struck.get_or_init(|| limit);
                }
                return Poll::Ready(Some(Err(TooSlow(limit).into())));
            }
            this.timer.set(Some(sleep_until(pace.next_check(now))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
