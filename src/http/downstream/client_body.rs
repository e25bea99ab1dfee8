//! What a client sends, at a pace that it is held to.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::BoxError;
use crate::http::headers::strip_forwarding;
use crate::telemetry::Visit;

use super::limits::Limit;
use super::pace::{Pace, Slowness};

pin_project! {
    /// Fails with [`TooSlow`] once its client is.
    pub(crate) struct ClientBody<B> {
        #[pin]
        inner: B,
        // `None` for a body that is at its end before it began, as most are.
        care: Option<Box<Care>>,
    }
}

struct Care {
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
    struck: Struck,
    /// Where there is an access log.
    visit: Option<Visit>,
}

/// Whether a body has failed for being slow, for whoever answers its request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Struck(Option<Arc<OnceLock<Limit>>>);

/// The client did not send its body fast enough.
#[derive(Debug, thiserror::Error)]
#[error("the client is too slow ({})", .0.name())]
pub(crate) struct TooSlow(pub(crate) Limit);

impl<B: Body> ClientBody<B> {
    pub(crate) fn new(inner: B, slowness: Slowness, visit: Option<Visit>) -> Self {
        let care = (!inner.is_end_stream()).then(|| {
            let (pace, struck) = (Pace::new(slowness), Struck(Some(Arc::default())));
            Box::new(Care { pace, timer: None, struck, visit })
        });
        Self { inner, care }
    }

    pub(crate) fn struck(&self) -> Struck {
        self.care.as_ref().map(|care| care.struck.clone()).unwrap_or_default()
    }
}

impl Struck {
    pub(crate) fn limit(&self) -> Option<Limit> {
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
        let this = self.project();
        let polled = this.inner.poll_frame(context);
        let Some(care) = this.care else { return polled.map_err(Into::into) };
        let Care { pace, timer, struck, visit } = &mut **care;
        if let Poll::Ready(mut frame) = polled {
            if let Some(trailers) =
                frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut())
            {
                strip_forwarding(trailers);
            }
            let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            let bytes = bytes.map_or(0, Bytes::len);
            pace.moved(bytes, Instant::now);
            if let Some(visit) = visit {
                visit.received(bytes);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !pace.is_waiting() {
            pace.wait(Instant::now());
        }
        loop {
            // A timer that still runs was set for an earlier wait: it can only be too early.
            let Some(timer) = timer else {
                let check = pace.next_check(Instant::now());
                *timer = Some(Box::pin(sleep_until(check)));
                continue;
            };
            ready!(timer.as_mut().poll(context));
            let now = Instant::now();
            if let Some(limit) = pace.judge(now, 1) {
                if let Some(struck) = &struck.0 {
                    struck.get_or_init(|| limit);
                }
                return Poll::Ready(Some(Err(TooSlow(limit).into())));
            }
            timer.as_mut().reset(pace.next_check(now));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
