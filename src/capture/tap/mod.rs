//! The body that the app gets, and the handle that tells what went by.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use super::multipart::Epilogue;
use super::reader::Reader;
use super::spool::Spool;
use super::{Plan, Seen};
use crate::reason::Reason;

/// Wraps `body`; the handle tells afterwards what went by.
pub(crate) fn tap<B: Body<Data = Bytes>>(
    body: B,
    plan: Plan,
    spool: &Spool,
) -> (Tapped<B>, Handle) {
    let (report, complete) = oneshot::channel();
    let mut capture = Some(Box::new(Capture { reader: Reader::new(plan, spool), report }));
    // An empty body is never polled.
    if body.is_end_stream() {
        Capture::step(&mut capture, Capture::end);
    }
    (Tapped { body, capture, after: None }, Handle { complete })
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
    }
}

impl<B> Tapped<B> {
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
        // The app's copy does not run ahead of the spool's by more than the writer holds.
        if let Some(capture) = this.capture {
            ready!(capture.reader.files.writer.poll_room(cx));
        }
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        // The app's client may stop at the last frame, and never ask for the end.
        let is_last = this.body.is_end_stream();
        if let Some(after) = this.after {
            after.frame(frame.as_ref());
        } else {
            *this.after =
                Capture::step(this.capture, |capture| capture.frame(frame.as_ref(), is_last, cx));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
#[derive(Debug)]
struct Capture {
    reader: Reader,
    report: oneshot::Sender<Result<Complete, Reason>>,
}

/// Whether there is more to come.
enum Progress {
    More,
    Complete,
}

impl Capture {
    /// Lets a running capture see what `look` shows it, and reports if that was the last of it. What
    /// it returns is to see the rest of the body.
    fn step(
        capture: &mut Option<Box<Self>>,
        look: impl FnOnce(&mut Self) -> Result<Progress, Reason>,
    ) -> Option<After> {
        let result = match capture.as_mut().map(|capture| look(capture)) {
            None | Some(Ok(Progress::More)) => return None,
            Some(Ok(Progress::Complete)) => Ok(()),
            Some(Err(reason)) => Err(reason),
        };
        let Self { mut reader, report } = *capture.take()?;
        let goes_on = Arc::new(AtomicBool::new(false));
        let epilogue = result.and_then(|()| reader.epilogue());
        let (report_as, epilogue) = match epilogue {
            Ok(epilogue) => (Ok(Complete { reader, goes_on: goes_on.clone() }), epilogue),
            Err(reason) => (Err(reason), None),
        };
        // Nobody may be waiting any more; then the report is dropped, and the files with it.
        let _ = report.send(report_as);
        epilogue.map(|epilogue| After { epilogue, goes_on })
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
