//! A request's body on its stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use h2::{Reason, SendStream};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::http::http2::{Cut, Notes, pour};

use super::lines::Slot;
use super::replay::Replay;
use crate::http::BoxError;

/// A body of which the app takes as much as it wants. The stream is reset if this is given up.
pub(super) struct Upload {
    sending: BoxFuture<'static, Result<Replay, BoxError>>,
    progress: Arc<Progress>,
}

/// The reply to an upload that is not at its end. Whoever has it drops it with the reply.
pub(super) struct Lingering(#[allow(dead_code, reason = "see above")] oneshot::Sender<Infallible>);

impl Upload {
    pub(super) fn begin(stream: SendStream<Bytes>, body: Replay, slot: Arc<Slot>) -> Self {
        let progress = Arc::new(Progress::default());
        let sending = send(stream, body, Arc::clone(&progress), slot).boxed();
        Self { sending, progress }
    }

    /// The body, of which the app wants no more.
    ///
    /// # Errors
    /// The client breaks it off.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Replay, BoxError>> {
        self.sending.poll_unpin(context)
    }

    /// Goes on although the reply is here. An app that has said all and takes nothing would hold up the client for
    /// ever, so that this is given up after the reply's end.
    pub(super) fn linger(self) -> Lingering {
        let Self { sending, progress } = self;
        let (reply, replied) = oneshot::channel();
        tokio::spawn(async move {
            let given_up = async {
                let _ = replied.await;
                while progress.is_made_within(LINGER).await {}
            };
            tokio::select! {
                _ = sending => {}
                () = given_up => {}
            }
        });
        Lingering(reply)
    }
}

async fn send(
    mut stream: SendStream<Bytes>,
    mut body: Replay,
    progress: Arc<Progress>,
    _until_sent: Arc<Slot>,
) -> Result<Replay, BoxError> {
    match pour(&mut stream, Pin::new(&mut body), &*progress).await {
        Err(Cut::Body(broken)) => {
            stream.send_reset(Reason::CANCEL);
            Err(broken)
        }
        // The reply tells, or that there is none.
        Ok(()) | Err(Cut::Stream(_)) => Ok(body),
    }
}

/// How the app takes an upload.
#[derive(Default)]
struct Progress {
    pieces: AtomicUsize,
    held_up: AtomicBool,
}

impl Progress {
    /// Whether it takes something, or the client is the one to wait for.
    async fn is_made_within(&self, time: Duration) -> bool {
        let before = self.pieces.load(Ordering::Relaxed);
        sleep(time).await;
        !self.held_up.load(Ordering::Relaxed) || self.pieces.load(Ordering::Relaxed) != before
    }
}

impl<B> Notes<B> for Progress {
    fn taken(&self, _: Pin<&mut B>, _: usize, _: bool) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.held_up.store(false, Ordering::Relaxed);
    }

    fn held_up(&self) {
        self.held_up.store(true, Ordering::Relaxed);
    }
}

/// In tests, every pause is one.
const LINGER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 30_000 });
