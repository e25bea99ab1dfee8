//! One reply on its way to the client.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body;

use crate::http::causes::Causes;
use crate::http::http2::{Notes, pour};
use crate::http::{BoxError, headers};

use super::super::watch::{Answered, Paced};
use super::said::Said;

/// One stream, from its request to the end of its reply.
pub(super) async fn reply<F, B, E>(
    replying: F,
    said: Said,
    mut to_client: SendResponse<Bytes>,
    paced: Paced,
) where
    F: Future<Output = Result<Response<Answered<B>>, E>>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    let reply = {
        let mut replying = pin!(replying);
        let awaited = poll_fn(|context| {
            let polled = replying.as_mut().poll(context);
            for interim in said.take(context) {
                // What can't be told does not matter: the reply will be.
                let _ = to_client.send_informational(interim);
            }
            if polled.is_pending() && to_client.poll_reset(context).is_ready() {
                return Poll::Ready(None);
            }
            polled.map(Some)
        });
        awaited.await
    };
    let (head, body) = match reply {
        Some(Ok(reply)) => reply.into_parts(),
        Some(Err(error)) => {
            tracing::debug!(error = %error.into(), "no reply");
            return to_client.send_reset(Reason::INTERNAL_ERROR);
        }
        // The client has lost interest.
        None => return,
    };
    let mut head = Response::from_parts(head, ());
    let is_all = body.is_end_stream();
    complete(head.headers_mut(), (!is_all).then(|| body.size_hint().exact()).flatten());
    match to_client.send_response(head, is_all) {
        Ok(_) if is_all => {}
        Ok(mut stream) => {
            if let Err(error) = pour(&mut stream, pin!(body), &paced).await {
                tracing::debug!(error = %Causes(&error), "a reply broke off");
                // Where the client has reset it, this changes nothing.
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
        }
        Err(error) => {
            tracing::debug!(%error, "a reply can't be sent");
            to_client.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// What every reply says (RFC 9110 sections 6.6.1 and 8.6), and nothing of what HTTP/2 does not (RFC 9113 section 8.2.2).
fn complete(headers: &mut HeaderMap, length: Option<u64>) {
    headers::strip_hop_by_hop(headers);
    if let Some(length) = length {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    if !headers.contains_key(DATE)
        && let Ok(now) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        headers.insert(DATE, now);
    }
}

impl<B> Notes<Answered<B>> for Paced {
    fn taken(&self, body: Pin<&mut Answered<B>>, bytes: usize, is_last: bool) {
        if bytes > 0 {
            self.moved(bytes);
        }
        body.given(bytes, is_last);
    }

    fn held_up(&self) {
        self.wait();
    }
}
