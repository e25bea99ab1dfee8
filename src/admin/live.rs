//! `GET /events`: the live feed, as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::timeout;

use super::{AdminBody, Closes, TEXT, reply};
use crate::events::{Entry, Feed, Reader, Told};

/// Events from now on, until the client goes or the listener closes.
pub(super) fn answer(feed: &Feed, closes: Closes) -> Response<AdminBody> {
    let Some(reader) = feed.subscribe() else {
        return reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "too many readers\n".to_owned());
    };
    let frames =
        stream::unfold((reader, closes), async |(mut reader, closes): (Reader, Closes)| {
            let text = tokio::select! {
                () = closes.clone() => None,
                text = next(&mut reader) => text,
            };
            Some((Ok(Frame::data(text?)), (reader, closes)))
        });
    let begins = stream::iter([Ok(Frame::data(Bytes::from_static(SILENCE)))]);
    let mut reply = Response::new(AdminBody(StreamBody::new(begins.chain(frames)).boxed_unsync()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

async fn next(reader: &mut Reader) -> Option<Bytes> {
    let Ok(told) = timeout(SILENT_AT_MOST, reader.next()).await else {
        return Some(Bytes::from_static(SILENCE));
    };
    let text = match told? {
        Told::Entry(entry) => format!("event: {}\ndata: {}\n\n", entry.event, json(&entry)),
        Told::Lost(lost) => format!("event: lost\ndata: {{\"lost\":{lost}}}\n\n"),
    };
    Some(text.into())
}

/// Without line breaks, as an event needs it.
fn json(entry: &Arc<Entry>) -> String {
    serde_json::to_string(&**entry).unwrap_or_default()
}

/// A comment. The first tells that events are heard from now on; later ones find out that a client is gone.
const SILENCE: &[u8] = b":\n\n";
const SILENT_AT_MOST: Duration = Duration::from_secs(15);
