//! One reply on its way to the client.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::SystemTime;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body;

use crate::forward::{BoxError, headers};

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
        Ok(stream) => {
            let sent = Outgoing { stream, paced }.pour(body).await;
            if let Err(error) = sent {
                tracing::debug!(%error, "a reply broke off");
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

/// A reply's body on its way.
struct Outgoing {
    stream: SendStream<Bytes>,
    paced: Paced,
}

impl Outgoing {
    async fn pour<B>(mut self, body: Answered<B>) -> Result<(), BoxError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut body = pin!(body);
        loop {
            let frame = poll_fn(|context| {
                if let Poll::Ready(reset) = self.stream.poll_reset(context) {
                    return Poll::Ready(Err(
                        reset.map_or_else(BoxError::from, |reason| h2::Error::from(reason).into())
                    ));
                }
                body.as_mut().poll_frame(context).map(|frame| frame.transpose().map_err(Into::into))
            });
            let frame = match frame.await {
                Ok(frame) => frame,
                Err(error) => {
                    // Where the client has reset it, this changes nothing.
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Err(error);
                }
            };
            let Some(frame) = frame else {
                self.stream.send_data(Bytes::new(), true)?;
                body.given(0, true);
                return Ok(());
            };
            match frame.into_data() {
                Ok(data) => {
                    let is_last = body.is_end_stream();
                    self.give(data, is_last, body.as_mut()).await?;
                    if is_last {
                        return Ok(());
                    }
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.stream.send_trailers(trailers)?;
                        body.given(0, true);
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Sends as much at a time as the client has opened its window for.
    async fn give<B>(
        &mut self,
        mut data: Bytes,
        is_last: bool,
        mut body: Pin<&mut Answered<B>>,
    ) -> Result<(), h2::Error> {
        loop {
            let room = if data.is_empty() { 0 } else { self.room(data.len()).await? };
            let piece = data.split_to(room.min(data.len()));
            let (bytes, is_last) = (piece.len(), is_last && data.is_empty());
            self.stream.send_data(piece, is_last)?;
            self.paced.moved(bytes);
            body.as_mut().given(bytes, is_last);
            if data.is_empty() {
                return Ok(());
            }
        }
    }

    /// How many bytes may be sent now, once any may.
    async fn room(&mut self, wanted: usize) -> Result<usize, h2::Error> {
        // Asked for with data at hand only: what is granted counts against all streams of the connection.
        self.stream.reserve_capacity(wanted);
        poll_fn(|context| {
            loop {
                match self.stream.capacity() {
                    0 => {}
                    room => return Poll::Ready(Ok(room)),
                }
                match self.stream.poll_capacity(context) {
                    Poll::Ready(Some(Ok(_))) => {}
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Err(Reason::CANCEL.into())),
                    Poll::Pending => {
                        self.paced.wait();
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }
}
