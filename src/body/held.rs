//! A reply that passes as it comes, but whose end waits.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::longer;
use crate::inject::MAX_REPLY;
use crate::reason::Reason;

/// How a reply's body ended: its bytes, or why they are not all there.
pub(crate) type ReplyEnd = Result<Bytes, Reason>;

type Settle = Box<dyn FnOnce(ReplyEnd) -> Settled + Send>;
type Settled = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Passes the app's reply on frame by frame, keeps a copy of up to 1 MiB, and releases its last
/// frame only when `settle` is through with that copy.
///
/// A client that goes away in the middle of the reply changes nothing: the rest is read and settled
/// without it, since the app has done its part.
pub(crate) struct HeldReply<R: Body<Data = Bytes> + Send + 'static> {
    // Boxed so that it can be moved into a task of its own when the client goes away.
    body: Option<Pin<Box<R>>>,
    copy: Copy,
    /// Bytes still to come, where the app said so.
    remaining: Option<u64>,
    settle: Option<Settle>,
    settled: Option<Settled>,
    last: Option<Frame<Bytes>>,
}

impl<R: Body<Data = Bytes> + Send + 'static> HeldReply<R> {
    pub(crate) fn new<F>(body: R, settle: impl FnOnce(ReplyEnd) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let remaining = body.size_hint().exact();
        Self {
            body: Some(Box::pin(body)),
            copy: Copy::default(),
            remaining,
            settle: Some(Box::new(move |end| Box::pin(settle(end)))),
            settled: None,
            last: None,
        }
    }

    fn begin_settling(&mut self, end: ReplyEnd) {
        self.body = None;
        self.settled = self.settle.take().map(|settle| settle(end));
    }

    /// Whether this frame is the last one.
    fn take_note(&mut self, frame: &Frame<Bytes>) -> bool {
        let Some(data) = frame.data_ref() else { return true };
        self.copy.push(data);
        match &mut self.remaining {
            Some(remaining) => {
                *remaining = remaining.saturating_sub(data.len() as u64);
                *remaining == 0
            }
            None => false,
        }
    }
}

impl<R> Body for HeldReply<R>
where
    R: Body<Data = Bytes> + Send + 'static,
{
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = &mut *self;
        if let Some(body) = &mut this.body {
            match ready!(body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if !this.take_note(&frame) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    this.last = Some(frame);
                    let end = this.copy.take();
                    this.begin_settling(end);
                }
                Some(Err(error)) => {
                    this.begin_settling(Err(Reason::ReplyIncomplete));
                    // Nothing durable can follow from a broken reply: no need to wait for it.
                    this.settled.take().map(tokio::spawn);
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    let end = this.copy.take();
                    this.begin_settling(end);
                }
            }
        }
        if let Some(settled) = &mut this.settled {
            ready!(settled.as_mut().poll(cx));
            this.settled = None;
        }
        Poll::Ready(this.last.take().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none() && self.settled.is_none() && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.last.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        match &self.body {
            Some(body) => body.size_hint(),
            None => longer(SizeHint::with_exact(0), held),
        }
    }
}

impl<R: Body<Data = Bytes> + Send + 'static> Drop for HeldReply<R> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if let Some(settled) = self.settled.take() {
            runtime.spawn(settled);
        }
        if let (Some(body), Some(settle)) = (self.body.take(), self.settle.take()) {
            runtime.spawn(read_on(body, std::mem::take(&mut self.copy), settle));
        }
    }
}

impl<R: Body<Data = Bytes> + Send + 'static> fmt::Debug for HeldReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldReply").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

/// Reads the rest of a reply whose client is gone, for a bounded time.
async fn read_on<R>(mut body: Pin<Box<R>>, mut copy: Copy, settle: Settle)
where
    R: Body<Data = Bytes> + Send + 'static,
{
    let rest = tokio::time::timeout(READ_ON, async {
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => frame.data_ref().into_iter().for_each(|data| copy.push(data)),
                Err(_) => return Err(Reason::ReplyIncomplete),
            }
            if copy.too_large {
                break;
            }
        }
        copy.take()
    });
    let end = rest.await.unwrap_or(Err(Reason::ReplyIncomplete));
    settle(end).await;
}

/// The reply so far, until it is too long to be kept.
#[derive(Default)]
struct Copy {
    bytes: BytesMut,
    too_large: bool,
}

impl Copy {
    fn push(&mut self, data: &Bytes) {
        if self.too_large || self.bytes.len() + data.len() > MAX_REPLY {
            self.too_large = true;
            self.bytes = BytesMut::new();
        } else {
            self.bytes.extend_from_slice(data);
        }
    }

    fn take(&mut self) -> ReplyEnd {
        match self.too_large {
            true => Err(Reason::ReplyTooLarge),
            false => Ok(std::mem::take(&mut self.bytes).freeze()),
        }
    }
}

/// How long the rest of a reply is read after its client went away.
const READ_ON: Duration = Duration::from_secs(30);
