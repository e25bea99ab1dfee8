//! A request's body that can be sent again, as long as little of it was sent.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{Either, Empty};
use hyper::body::{Body, Frame};

use super::super::body::{RequestBody, request_body};
use crate::http::BoxError;

/// What was sent is kept up to [`MOST_KEPT`].
pub(super) struct Replay {
    /// To be sent before what the client sends.
    ahead: VecDeque<Bytes>,
    /// Everything that was sent; `None` once that is too much.
    sent: Option<Vec<Bytes>>,
    /// Of `sent`, with what each piece costs by itself.
    kept: usize,
    body: RequestBody,
    ended: bool,
}

impl Replay {
    pub(super) fn new(body: RequestBody) -> Self {
        Self { ahead: VecDeque::new(), sent: Some(Vec::new()), kept: 0, body, ended: false }
    }

    pub(super) fn empty() -> Self {
        Self::new(Either::Left(Empty::new()))
    }

    /// The same from its beginning.
    pub(super) fn again(self) -> Option<Self> {
        let ahead = self.sent?.into_iter().chain(self.ahead).collect();
        Some(Self { ahead, sent: Some(Vec::new()), kept: 0, ..self })
    }

    /// What is still to be sent.
    pub(super) fn into_body(self) -> RequestBody {
        if self.ahead.is_empty() { self.body } else { request_body(self) }
    }

    fn keep(&mut self, piece: &Bytes) {
        self.kept = self.kept.saturating_add(piece.len() + size_of::<Bytes>());
        match &mut self.sent {
            Some(sent) if self.kept <= MOST_KEPT => sent.push(piece.clone()),
            sent => *sent = None,
        }
    }
}

impl Body for Replay {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(piece) = self.ahead.pop_front() {
            self.keep(&piece);
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(piece) => self.keep(piece),
                // Trailers.
                None => self.sent = None,
            },
            Some(Err(_)) => self.sent = None,
            None => self.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ahead.is_empty() && (self.ended || self.body.is_end_stream())
    }
}

/// Bytes.
const MOST_KEPT: usize = 64 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;

    fn body(pieces: &[Vec<u8>]) -> RequestBody {
        let frames =
            pieces.iter().cloned().map(|piece| Ok::<_, BoxError>(Frame::data(piece.into())));
        request_body(StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())))
    }

    async fn take(replay: &mut Replay, frames: usize) {
        for _ in 0..frames {
            let _ = replay.frame().await;
        }
    }

    proptest! {
        #[test]
        fn however_often_it_is_begun_it_is_the_same(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..10),
            begun in prop::collection::vec(0_usize..12, 0..4),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut replay = Replay::new(body(&pieces));
                for frames in begun {
                    take(&mut replay, frames).await;
                    replay = replay.again().unwrap();
                }
                let whole = replay.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(whole, pieces.concat());
            });
        }
    }

    #[tokio::test]
    async fn too_much_to_keep_is_not_sent_again() {
        let mut replay = Replay::new(body(&[vec![0; MOST_KEPT - 100], vec![0; 100]]));
        take(&mut replay, 1).await;
        replay = replay.again().unwrap();
        take(&mut replay, 2).await;
        assert!(replay.again().is_none());
    }
}
