//! The body of a reply that may have a place for the session.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;

use crate::body::{ResponseBody, Tail};
use crate::coding;
use crate::inject::MAX_REPLY;
use crate::reason::Reason;

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
