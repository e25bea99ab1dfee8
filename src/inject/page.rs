//! `{ page = true }`: a browser's navigation to a document gets a viewer page.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response, Uri};

use super::delivery::{Asks, Delivery, InsteadOfReply, Reads, Way};
use crate::viewer::{Page, is_navigation};

pub(super) const WAY: Way =
    Way { key: "page", reads: Reads::Flag(|| Delivery::Instead(Arc::new(ViewerPage))) };

#[derive(Debug)]
struct ViewerPage;

impl InsteadOfReply for ViewerPage {
    fn is_for(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        is_navigation(method, uri, headers)
    }

    fn asks(&self) -> Asks {
        Asks { whole: true, plain: false }
    }

    /// Whether the app answered with a document that the viewer can show.
    fn replaces(&self, reply: &HeaderMap, types: &[String]) -> bool {
        let essence = reply
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase());
        essence.is_some_and(|essence| {
            essence == "application/octet-stream" || types.contains(&essence)
        })
    }

    fn reply(&self, page: &Page<'_>) -> Response<Bytes> {
        page.reply().map(Bytes::from)
    }

    fn stand_in(&self) -> &'static str {
        "application/pdf"
    }

    fn why_for(&self, is_for: bool) -> &'static str {
        match is_for {
            true => "a browser's navigation",
            false => {
                "no browser's navigation, which alone gets a page: a GET with Accept: text/html, or \
                 what Sec-Fetch-Mode and -Dest say, without Range and ?download"
            }
        }
    }

    fn why_replaced(&self, replaces: bool, reply: &HeaderMap) -> String {
        let kind = reply.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
        match replaces {
            true => format!("its Content-Type, {kind}, is a document's"),
            false => format!("its Content-Type, {kind}, is of none of the `types`"),
        }
    }

    fn done(&self) -> String {
        "a viewer page, instead of the app's document".to_owned()
    }
}
