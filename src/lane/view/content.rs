//! The body of a reply that may be JSON.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;

use crate::body::{MAX_REPLY, ResponseBody, Tail};
use crate::coding;
use crate::reason::Reason;

/// A complete reply of a bounded length, compressed in a known way if at all, that is not of a kind that streams.
pub(super) fn may_be_json<R>(reply: &Response<R>) -> Result<(), Reason> {
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT];
    let length = reply.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let too_long = length.and_then(|text| text.parse().ok()).is_some_and(|n: usize| n > MAX_REPLY);
    let kind = reply.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let textual = kind.is_none_or(|kind| {
        let starts_with = |text: &[u8]| {
            kind.get(..text.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(text))
        };
        starts_with(b"application/json")
            || starts_with(b"text/") && !starts_with(b"text/event-stream")
            || kind.windows(4).any(|window| window.eq_ignore_ascii_case(b"json"))
    });
    match () {
        () if bodiless.contains(&reply.status()) || !textual => Err(Reason::ReplyNotJson),
        () if too_long => Err(Reason::ReplyTooLarge),
        () if !coding::is_known(reply.headers()) => Err(Reason::ReplyEncoded),
        () => Ok(()),
    }
}

/// A reply's body, read.
pub(super) struct Content<R: Body<Data = Bytes>> {
    pub(super) bytes: Bytes,
    tail: Tail<R>,
}

impl<R: Body<Data = Bytes> + Send + 'static> Content<R> {
    /// Reads as much as is looked at; what follows stays in the tail.
    pub(super) async fn read(body: R) -> Self {
        let mut body = Box::pin(body);
        // Most replies are one frame, which need not be copied.
        let (mut first, mut more) = (Bytes::new(), BytesMut::new());
        let tail = loop {
            match body.frame().await {
                None => break Tail { next: None, rest: None },
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(data) if first.len() + more.len() + data.len() > MAX_REPLY => {
                        break Tail { next: Some(Ok(frame)), rest: Some(body) };
                    }
                    Some(data) if first.is_empty() => first = data.clone(),
                    Some(data) => more.extend_from_slice(data),
                    None => break Tail { next: Some(Ok(frame)), rest: Some(body) },
                },
                Some(Err(error)) => break Tail { next: Some(Err(error)), rest: None },
            }
        };
        let bytes = match more.is_empty() {
            true => first,
            false => Bytes::from([&first[..], &more[..]].concat()),
        };
        Self { bytes, tail }
    }

    /// The whole text, if it is whole and can be decompressed.
    pub(super) fn text(&self, headers: &HeaderMap) -> Result<Bytes, Reason> {
        match &self.tail.next {
            Some(Ok(frame)) if frame.is_data() => Err(Reason::ReplyTooLarge),
            Some(Err(_)) => Err(Reason::ReplyIncomplete),
            _ => coding::decode(headers, &self.bytes, MAX_REPLY),
        }
    }

    pub(super) fn into_body(self) -> ResponseBody<R> {
        match self.tail.next {
            None => ResponseBody::full(self.bytes),
            Some(_) => ResponseBody::resumed(self.bytes, self.tail),
        }
    }
}
