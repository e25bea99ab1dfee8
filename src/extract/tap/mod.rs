//! The body that the app gets, and the handle that tells what went by.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use super::form::Epilogue;
use super::reader::Reader;
use super::{Named, Plan, Seen};
use crate::reason::Reason;
use crate::spool::Spool;

/// Wraps `body`; the handle tells afterwards what went by.
pub(crate) fn tap<B: Body<Data = Bytes>>(
    body: B,
    plan: Plan,
    spool: &Spool,
) -> (Tapped<B>, Handle) {
    let (report, complete) = oneshot::channel();
    let reader = Reader::new(plan, spool);
    let mut capture = Some(Box::new(Capture { reader, report, before_end: None }));
    // An empty body is never polled.
    if body.is_end_stream() {
        Capture::step(&mut capture, Capture::end);
    }
    (Tapped { body, capture, after: None, held: None }, Handle { complete })
}

pin_project! {
    /// The app's copy: the same frames, sizes and hints as the body it wraps.
    #[derive(Debug)]
    pub(crate) struct Tapped<B> {
        #[pin]
        body: B,
        // `None` once there is nothing more to see.
        capture: Option<Box<Capture>>,
        // What follows a form, once it is complete.
        after: Option<After>,
        held: Option<Held>,
    }
}

/// Is shown what a body named, once all of that went by; the app gets the body's end after what it returns.
pub(crate) type BeforeEnd = Box<dyn FnOnce(Named) -> Option<BoxFuture<'static, ()>> + Send + Sync>;

impl<B> Tapped<B> {
    /// Holds the end of the body for what `before_end` returns. Of no effect on an empty body, which names nothing.
    pub(crate) fn holding(mut self, before_end: Option<BeforeEnd>) -> Self {
        if let Some(capture) = &mut self.capture {
            capture.before_end = before_end;
        }
        self
    }

    /// Why the file at hand is not going to be kept, once that is clear: `type_not_captured`,
    /// `file_too_large`, or `spool_failed`.
    pub(crate) fn refusal(&self) -> Option<Reason> {
        self.capture.as_ref().and_then(|capture| capture.reader.files.refusal())
    }
}

impl<B: Body<Data = Bytes>> Body for Tapped<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        if let Some(held) = this.held {
            ready!(held.gate.as_mut().poll(cx));
            return Poll::Ready(this.held.take().and_then(|held| held.frame).map(Ok));
        }
        // The app's copy does not run ahead of the spool's by more than the writer holds.
        if let Some(capture) = this.capture {
            ready!(capture.reader.files.writer.poll_room(cx));
        }
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        // The app's client may stop at the last frame, and never ask for the end.
        let is_last = this.body.is_end_stream();
        let gate = match this.after {
            Some(after) => {
                after.frame(frame.as_ref());
                None
            }
            None => {
                let look = |capture: &mut Capture| capture.frame(frame.as_ref(), is_last, cx);
                let ended = Capture::step(this.capture, look).unwrap_or_default();
                *this.after = ended.after;
                ended.gate
            }
        };
        match (gate, frame.transpose()) {
            (Some(mut gate), Ok(frame)) => {
                if gate.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(frame.map(Ok));
                }
                *this.held = Some(Held { gate, frame });
                Poll::Pending
            }
            (_, frame) => Poll::Ready(frame.transpose()),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().and_then(|held| held.frame.as_ref()?.data_ref());
        let (length, left) = (held.map_or(0, Bytes::len) as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(left.lower() + length);
        if let Some(upper) = left.upper() {
            hint.set_upper(upper + length);
        }
        hint
    }
}

/// What the app gets next, and after what.
struct Held {
    gate: BoxFuture<'static, ()>,
    /// `None`: the end.
    frame: Option<Frame<Bytes>>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

/// The other end of a tapped body.
#[derive(Debug)]
pub(crate) struct Handle {
    complete: oneshot::Receiver<Result<Complete, Reason>>,
}

impl Handle {
    /// What went by. Waits for the spool's last write, never for the body: one that is not over yet
    /// is `body_incomplete`. `Err` is why nothing can be kept, although there may have been files:
    /// `body_incomplete`, `multipart_malformed`, `file_unclear`, `too_many_files`.
    /// Dropping the handle (or its result) removes what was spooled.
    pub(crate) async fn finish(mut self) -> Result<Seen, Reason> {
        let complete = self.complete.try_recv().unwrap_or(Err(Reason::BodyIncomplete))?;
        let seen = complete.reader.finish().await?;
        match complete.goes_on.load(Ordering::Acquire) {
            true => Err(Reason::MultipartMalformed),
            false => Ok(seen),
        }
    }
}

/// A body of which all was seen that counts.
#[derive(Debug)]
struct Complete {
    reader: Reader,
    /// Set if more of the form comes behind its end. An app that reads so far does it before it
    /// answers; to one that does not, nothing of it matters.
    goes_on: Arc<AtomicBool>,
}

/// Watches what follows a form.
#[derive(Debug)]
struct After {
    epilogue: Epilogue,
    goes_on: Arc<AtomicBool>,
}

impl After {
    fn frame<E>(&mut self, frame: Option<&Result<Frame<Bytes>, E>>) {
        let data = frame.and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
        if data.is_some_and(|data| self.epilogue.watch(data).is_err()) {
            self.goes_on.store(true, Ordering::Release);
        }
    }
}

/// A capture that goes on. Dropping it removes what was spooled.
struct Capture {
    reader: Reader,
    report: oneshot::Sender<Result<Complete, Reason>>,
    before_end: Option<BeforeEnd>,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// The end of a capture: what is left to do for the body that goes on.
#[derive(Default)]
struct Ended {
    after: Option<After>,
    gate: Option<BoxFuture<'static, ()>>,
}

/// Whether there is more to come.
enum Progress {
    More,
    Complete,
}

impl Capture {
    /// Lets a running capture see what `look` shows it, and reports if that was the last of it.
    fn step(
        capture: &mut Option<Box<Self>>,
        look: impl FnOnce(&mut Self) -> Result<Progress, Reason>,
    ) -> Option<Ended> {
        let result = match capture.as_mut().map(|capture| look(capture)) {
            None | Some(Ok(Progress::More)) => return None,
            Some(Ok(Progress::Complete)) => Ok(()),
            Some(Err(reason)) => Err(reason),
        };
        let Self { mut reader, report, before_end } = *capture.take()?;
        let gate = before_end.and_then(|look| look(reader.named()));
        let goes_on = Arc::new(AtomicBool::new(false));
        let epilogue = result.and_then(|()| reader.epilogue());
        let (report_as, epilogue) = match epilogue {
            Ok(epilogue) => (Ok(Complete { reader, goes_on: goes_on.clone() }), epilogue),
            Err(reason) => (Err(reason), None),
        };
        // Nobody may be waiting any more; then the report is dropped, and the files with it.
        let _ = report.send(report_as);
        let after = epilogue.map(|epilogue| After { epilogue, goes_on });
        Some(Ended { after, gate })
    }

    fn frame<E>(
        &mut self,
        frame: Option<&Result<Frame<Bytes>, E>>,
        is_last: bool,
        cx: &mut Context<'_>,
    ) -> Result<Progress, Reason> {
        let progress = match frame {
            // Nobody waits for this capture any more.
            _ if self.report.is_closed() => return Err(Reason::BodyIncomplete),
            Some(Err(_)) => return Err(Reason::BodyIncomplete),
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => self.data(data, is_last)?,
                None if is_last || frame.is_trailers() => self.end()?,
                None => Progress::More,
            },
            None => self.end()?,
        };
        let is_complete = matches!(progress, Progress::Complete);
        self.reader.files.writer.advance(is_complete, cx);
        Ok(progress)
    }

    fn data(&mut self, data: &Bytes, is_last: bool) -> Result<Progress, Reason> {
        if self.reader.data(data.clone())? {
            return Ok(Progress::Complete);
        }
        if is_last { self.end() } else { Ok(Progress::More) }
    }

    fn end(&mut self) -> Result<Progress, Reason> {
        self.reader.end().map(|()| Progress::Complete)
    }
}

#[cfg(test)]
mod tests;
