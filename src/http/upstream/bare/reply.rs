//! The body of a reply, read off its connection by whoever wants it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::super::pool::Pool;
use super::BareError;
use super::frames::{Frames, Next};
use super::line::Line;

/// Gives its connection back at its end. Whoever drops it before that closes the connection.
pub(crate) struct BareReply {
    frames: Frames,
    /// What has come and was not taken.
    ahead: Bytes,
    line: Option<Box<Line>>,
    /// `None`: the connection is not for another request.
    pool: Option<Arc<Pool<Box<Line>>>>,
}

impl BareReply {
    pub(super) fn new(
        frames: Frames,
        ahead: Bytes,
        line: Box<Line>,
        pool: Option<Arc<Pool<Box<Line>>>>,
    ) -> Self {
        let mut reply = Self { frames, ahead, line: Some(line), pool };
        if reply.is_end_stream() {
            reply.release();
        }
        reply
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BareError>>> {
        let frame = ready!(self.poll_next(context));
        if frame.is_err() {
            (self.frames, self.line) = (Frames::Ended, None);
        }
        if self.is_end_stream() {
            self.release();
        }
        Poll::Ready(frame.transpose())
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, BareError>> {
        loop {
            match self.frames.next(&mut self.ahead)? {
                Next::Frame(frame) => return Poll::Ready(Ok(Some(frame))),
                Next::End => return Poll::Ready(Ok(None)),
                Next::More => {}
            }
            let Some(line) = &mut self.line else { return Poll::Ready(Err(BareError::CutShort)) };
            let piece = ready!(line.poll_piece(context))?;
            if piece.is_empty() {
                if !self.frames.may_end() {
                    return Poll::Ready(Err(BareError::CutShort));
                }
                self.frames = Frames::Ended;
            }
            // What is left is half a line at most.
            self.ahead = match self.ahead.is_empty() {
                true => piece,
                false => [&*self.ahead, &*piece].concat().into(),
            };
        }
    }

    fn release(&mut self) {
        // Bytes that nobody asked for make it unclear whose the next ones are.
        let (Some(mut line), Some(pool)) = (self.line.take(), self.pool.take()) else { return };
        if self.ahead.is_empty() {
            line.rest();
            pool.keep(line);
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.frames == Frames::Ended
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.frames.length().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
