//! One request on its stream, and the head of its reply.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use hyper::body::Body;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::http2::{Cut, Notes, Received, pour};
use crate::interim::OnInterim;

use super::super::body::{AppReply, BoxError, RequestBody};
use super::Http2Error;
use super::lines::Slot;

/// What a reply keeps until its body is gone.
#[allow(dead_code, reason = "see above")]
pub(in super::super) struct Held {
    slot: Arc<Slot>,
    /// Where the app has answered before it had all of the request.
    upload: Option<oneshot::Sender<Infallible>>,
}

/// The request is reset if this is given up.
///
/// # Errors
/// The app, or the client, does not send to the end.
pub(super) async fn exchange(
    (mut replying, stream): (ResponseFuture, SendStream<Bytes>),
    body: RequestBody,
    on_interim: Option<&OnInterim>,
    slot: Slot,
) -> Result<Response<AppReply>, Http2Error> {
    let slot = Arc::new(slot);
    let progress = Arc::new(Progress::default());
    let mut uploading = (!body.is_end_stream())
        .then(|| upload(stream, body, Arc::clone(&progress), Arc::clone(&slot)).boxed());
    let replied = poll_fn(|context| {
        let replied = poll_reply(&mut replying, on_interim, context);
        if replied.is_pending()
            && let Some(upload) = &mut uploading
            && let Poll::Ready(uploaded) = upload.as_mut().poll(context)
        {
            uploading = None;
            if let Err(broken) = uploaded {
                return Poll::Ready(Err(Http2Error::Request(broken)));
            }
        }
        replied.map_err(Into::into)
    });
    let (head, body) = replied.await?.into_parts();
    let body = Received::new(body, &head.headers);
    let upload = uploading.map(|uploading| {
        let (upload, replied) = oneshot::channel();
        tokio::spawn(linger(uploading, progress, replied));
        upload
    });
    Ok(Response::from_parts(head, AppReply::over_http2(body, Held { slot, upload })))
}

/// Passes on what is said before the reply. h2 drops what of that is there when it is asked for the reply.
fn poll_reply(
    replying: &mut ResponseFuture,
    on_interim: Option<&OnInterim>,
    context: &mut Context<'_>,
) -> Poll<Result<Response<RecvStream>, h2::Error>> {
    while let Some(interim) = ready!(replying.poll_informational(context)).transpose()? {
        if let Some(on_interim) = on_interim {
            on_interim.hear(interim.status(), interim.headers());
        }
    }
    Pin::new(replying).poll(context)
}

/// Sends a request's body, as much as the app takes of it.
///
/// # Errors
/// The client breaks it off.
async fn upload(
    mut stream: SendStream<Bytes>,
    body: RequestBody,
    progress: Arc<Progress>,
    _slot: Arc<Slot>,
) -> Result<(), BoxError> {
    match pour(&mut stream, pin!(body), &*progress).await {
        Err(Cut::Body(broken)) => {
            stream.send_reset(Reason::CANCEL);
            Err(broken)
        }
        // The reply tells, or that there is none.
        Ok(()) | Err(Cut::Stream(_)) => Ok(()),
    }
}

/// Goes on with an upload whose reply is here. An app that has said all and takes nothing would hold up the client
/// for ever.
async fn linger<T>(
    upload: impl Future<Output = T>,
    progress: Arc<Progress>,
    replied: oneshot::Receiver<Infallible>,
) {
    let given_up = async {
        let _ = replied.await;
        while progress.is_made_within(LINGER).await {}
    };
    tokio::select! {
        _ = upload => {}
        () = given_up => {}
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
