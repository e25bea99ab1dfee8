//! The bodies that pass through the layer.

mod held;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pub(crate) use self::held::{HeldReply, ReplyEnd};
use crate::extract::Tapped;
use crate::inject::Owned;

pin_project! {
    /// What the inner service gets to read: the client's own body, or nothing.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        kind: RequestKind<B>,
        owned: Option<Arc<Owned>>,
    }
}

pin_project! {
    #[project = RequestKindProj]
    #[derive(Debug)]
    enum RequestKind<B> {
        Passed { #[pin] body: B },
        Tapped { #[pin] body: Tapped<B> },
        Empty,
    }
}

impl<B> RequestBody<B> {
    pub(crate) fn passed(body: B) -> Self {
        Self { kind: RequestKind::Passed { body }, owned: None }
    }

    pub(crate) fn tapped(body: Tapped<B>) -> Self {
        Self { kind: RequestKind::Tapped { body }, owned: None }
    }

    pub(crate) fn empty() -> Self {
        Self { kind: RequestKind::Empty, owned: None }
    }

    /// Takes owned headers out of its trailers, which an app may read like any others.
    pub(crate) fn without(mut self, owned: &Arc<Owned>) -> Self {
        self.owned = (!owned.is_empty()).then(|| owned.clone());
        self
    }
}

impl<B: Body<Data = Bytes>> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let mut frame = ready!(match this.kind.project() {
            RequestKindProj::Passed { body } => body.poll_frame(cx),
            RequestKindProj::Tapped { body } => body.poll_frame(cx),
            RequestKindProj::Empty => Poll::Ready(None),
        });
        if let (Some(owned), Some(Ok(frame))) = (this.owned, &mut frame)
            && let Some(trailers) = frame.trailers_mut()
        {
            owned.strip(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            RequestKind::Passed { body } => body.is_end_stream(),
            RequestKind::Tapped { body } => body.is_end_stream(),
            RequestKind::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            RequestKind::Passed { body } => body.size_hint(),
            RequestKind::Tapped { body } => body.size_hint(),
            RequestKind::Empty => SizeHint::with_exact(0),
        }
    }
}

pin_project! {
    /// What the client gets to read: the app's own body, its body after some edit, or Transom's words.
    #[derive(Debug)]
    pub struct ResponseBody<R>
    where
        R: Body<Data = Bytes>,
        R: Send,
        R: 'static,
    {
        #[pin]
        kind: ResponseKind<R>,
    }
}

pin_project! {
    #[project = ResponseKindProj]
    #[derive(Debug)]
    enum ResponseKind<R>
    where
        R: Body<Data = Bytes>,
        R: Send,
        R: 'static,
    {
        Passed { #[pin] body: R },
        // Boxed, since it would make every reply's body twice as large.
        Held { body: Pin<Box<HeldReply<R>>> },
        Full { bytes: Bytes },
        // What was read to look at it, and then the rest.
        Resumed { read: Bytes, tail: Tail<R> },
    }
}

impl<R: Body<Data = Bytes> + Send + 'static> ResponseBody<R> {
    pub(crate) fn passed(body: R) -> Self {
        Self { kind: ResponseKind::Passed { body } }
    }

    pub(crate) fn held(body: HeldReply<R>) -> Self {
        Self { kind: ResponseKind::Held { body: Box::pin(body) } }
    }

    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self { kind: ResponseKind::Full { bytes: bytes.into() } }
    }

    pub(crate) fn resumed(read: Bytes, tail: Tail<R>) -> Self {
        Self { kind: ResponseKind::Resumed { read, tail } }
    }
}

impl<R: Body<Data = Bytes> + Send + 'static> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().kind.project() {
            ResponseKindProj::Passed { body } => body.poll_frame(cx),
            ResponseKindProj::Held { body } => body.as_mut().poll_frame(cx),
            ResponseKindProj::Full { bytes } => Poll::Ready(take(bytes).map(Ok)),
            ResponseKindProj::Resumed { read, tail } => {
                if let Some(frame) = take(read) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                if let Some(next) = tail.next.take() {
                    return Poll::Ready(Some(next));
                }
                match &mut tail.rest {
                    Some(rest) => rest.as_mut().poll_frame(cx),
                    None => Poll::Ready(None),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            ResponseKind::Passed { body } => body.is_end_stream(),
            ResponseKind::Held { body } => body.is_end_stream(),
            ResponseKind::Full { bytes } => bytes.is_empty(),
            ResponseKind::Resumed { read, tail } => read.is_empty() && tail.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            ResponseKind::Passed { body } => body.size_hint(),
            ResponseKind::Held { body } => body.size_hint(),
            ResponseKind::Full { bytes } => SizeHint::with_exact(bytes.remaining() as u64),
            ResponseKind::Resumed { read, tail } => longer(tail.size_hint(), read.len()),
        }
    }
}

/// What comes after the part of a body that was read: at most one item at hand, and the rest.
pub(crate) struct Tail<R: Body<Data = Bytes>> {
    pub(crate) next: Option<Result<Frame<Bytes>, R::Error>>,
    pub(crate) rest: Option<Pin<Box<R>>>,
}

impl<R: Body<Data = Bytes>> Tail<R> {
    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let next = self.next.as_ref().and_then(|next| next.as_ref().ok()).and_then(Frame::data_ref);
        longer(rest, next.map_or(0, Bytes::len))
    }
}

impl<R: Body<Data = Bytes>> fmt::Debug for Tail<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").finish_non_exhaustive()
    }
}

/// The hint of a body that yields `more` bytes before those of `hint`.
pub(crate) fn longer(hint: SizeHint, more: usize) -> SizeHint {
    let mut sum = SizeHint::new();
    sum.set_lower(hint.lower().saturating_add(more as u64));
    if let Some(upper) = hint.upper() {
        sum.set_upper(upper.saturating_add(more as u64));
    }
    sum
}

fn take(bytes: &mut Bytes) -> Option<Frame<Bytes>> {
    (!bytes.is_empty()).then(|| Frame::data(std::mem::take(bytes)))
}
