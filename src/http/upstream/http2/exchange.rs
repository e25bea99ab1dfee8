//! One request on its stream, and the head of its reply.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use hyper::body::Body;

use crate::http::http2::Received;
use crate::http::interim::OnInterim;

use super::super::body::AppReply;
use super::Http2Error;
use super::lines::Slot;
use super::replay::Replay;
use super::upload::{Lingering, Upload};

/// What a reply keeps until its body is gone.
#[allow(dead_code, reason = "see above")]
pub(in super::super) struct Held {
    slot: Arc<Slot>,
    /// Where the app has answered before it had all of the request.
    upload: Option<Lingering>,
}

/// Why there is no reply.
pub(super) enum Failed {
    /// The app says that it has not begun with the request. This is its body again, if it can be had.
    Unbegun(h2::Error, Option<Replay>),
    /// A connection that had been of use broke off before a byte of reply.
    Lost(h2::Error),
    Finally(Http2Error),
}

/// The request is reset if this is given up.
///
/// # Errors
/// The app, or the client, does not send to the end.
pub(super) async fn exchange(
    (mut replying, stream): (ResponseFuture, SendStream<Bytes>),
    body: Replay,
    on_interim: Option<&OnInterim>,
    slot: Slot,
) -> Result<Response<AppReply>, Failed> {
    let slot = Arc::new(slot);
    let is_all = body.is_end_stream();
    let (mut uploading, mut uploaded) = match is_all {
        true => (None, Some(body)),
        false => (Some(Upload::begin(stream, body, Arc::clone(&slot))), None),
    };
    let mut heard = false;
    let replied = poll_fn(|context| {
        let replied = poll_reply(&mut replying, context, |interim| {
            heard = true;
            if let Some(on_interim) = on_interim {
                on_interim.hear(interim.status(), interim.headers());
            }
        });
        if !matches!(replied, Poll::Ready(Ok(_)))
            && let Some(upload) = &mut uploading
            && let Poll::Ready(ended) = upload.poll(context)
        {
            uploading = None;
            match ended {
                Ok(body) => uploaded = Some(body),
                Err(broken) => return Poll::Ready(Err(Http2Error::Request(broken))),
            }
        }
        replied.map_err(Into::into)
    });
    let (head, body) = match replied.await {
        Ok(reply) => reply.into_parts(),
        Err(Http2Error::Exchange(error)) if says_unbegun(&error) => {
            return Err(Failed::Unbegun(error, uploaded.and_then(Replay::again)));
        }
        Err(Http2Error::Exchange(error)) if error.is_io() && slot.is_reused() && !heard => {
            return Err(Failed::Lost(error));
        }
        Err(error) => return Err(Failed::Finally(error)),
    };
    slot.note_reply();
    let body = Received::new(body, &head.headers);
    let upload = uploading.map(Upload::linger);
    Ok(Response::from_parts(head, AppReply::over_http2(body, Held { slot, upload })))
}

/// Passes on what is said before the reply. h2 drops what of that is there when it is asked for the reply.
fn poll_reply(
    replying: &mut ResponseFuture,
    context: &mut Context<'_>,
    mut hear: impl FnMut(Response<()>),
) -> Poll<Result<Response<RecvStream>, h2::Error>> {
    while let Some(interim) = ready!(replying.poll_informational(context)).transpose()? {
        hear(interim);
    }
    Pin::new(replying).poll(context)
}

/// RFC 9113 section 8.7.
fn says_unbegun(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}

impl From<Failed> for Http2Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unbegun(error, _) | Failed::Lost(error) => error.into(),
            Failed::Finally(error) => error,
        }
    }
}
