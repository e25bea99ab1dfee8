//! `{ json = "/data/viewer_session" }`: the client gets the session in the JSON of the app's reply.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use super::MAX_REPLY;
use super::delivery::{Asks, Delivery, IntoBody, Reads, Way};
use super::pointer::Pointer;
use super::splice::{Edit, SpliceError};
use crate::coding;
use crate::reason::Reason;

pub(super) const WAY: Way = Way {
    key: "json",
    reads: Reads::Text(|text| Ok(Delivery::Body(Arc::new(InJson(Pointer::parse(text)?))))),
};

#[derive(Debug)]
struct InJson(Pointer);

impl IntoBody for InJson {
    fn asks(&self) -> Asks {
        Asks { whole: true, plain: true }
    }

    /// A complete reply of a bounded length, compressed in a known way if at all, that is not of a kind that streams.
    fn fits(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), Reason> {
        let bodiless =
            [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT];
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let too_long =
            length.and_then(|text| text.parse().ok()).is_some_and(|n: usize| n > MAX_REPLY);
        let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let textual = kind.is_none_or(|kind| {
            let starts_with = |text: &[u8]| {
                kind.get(..text.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(text))
            };
            starts_with(b"application/json")
                || starts_with(b"text/") && !starts_with(b"text/event-stream")
                || kind.windows(4).any(|window| window.eq_ignore_ascii_case(b"json"))
        });
        match () {
            () if bodiless.contains(&status) || !textual => Err(Reason::ReplyNotJson),
            () if too_long => Err(Reason::ReplyTooLarge),
            () if !coding::is_known(headers) => Err(Reason::ReplyEncoded),
            () => Ok(()),
        }
    }

    fn find(&self, body: &[u8]) -> Result<Edit, Reason> {
        Edit::find(body, &self.0).map_err(|error| match error {
            SpliceError::NotJson => Reason::ReplyNotJson,
            SpliceError::PointerUnmatched => Reason::PointerUnmatched,
        })
    }

    fn put(&self, body: &[u8], place: &Edit, session: &str) -> Vec<u8> {
        place.put(body, &self.0, session)
    }

    fn pointer(&self) -> Option<&Pointer> {
        Some(&self.0)
    }

    /// `{"data":{}}` for the pointer `/data/viewer_session`.
    fn stand_in(&self) -> (&'static str, String) {
        let above = self.0.0.split_last().map_or(&[][..], |(_, above)| above);
        let wrap = |inner: Value, token: &String| match token.parse::<usize>() {
            Ok(index) => Value::Array(vec![inner; (index + 1).min(MAX_ITEMS)]),
            Err(_) => serde_json::json!({ token: inner }),
        };
        let body = above.iter().rev().fold(serde_json::json!({}), wrap);
        ("application/json", body.to_string())
    }

    /// `{"data":{"viewer_session":"<session>"}}, in the reply's JSON`
    fn done(&self) -> String {
        let wrap = |inner: String, token: &String| match token.parse::<usize>() {
            Ok(index) => format!("[{}{inner}]", "…,".repeat(index.min(1))),
            Err(_) => format!("{{{}:{inner}}}", Value::from(token.as_str())),
        };
        let json = self.0.0.iter().rev().fold("\"<session>\"".to_owned(), wrap);
        format!("{json}, in the reply's JSON")
    }
}

/// Of an array that stands in.
const MAX_ITEMS: usize = 64;
