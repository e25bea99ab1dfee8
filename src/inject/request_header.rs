//! `{ request_header = "X-Viewer-Session" }`: the app gets the session in its request.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::delivery::{Delivery, IntoRequest, Reads, Way};
use crate::session_token::SessionToken;

pub(super) const WAY: Way = Way {
    key: "request_header",
    reads: Reads::Header(|name| Delivery::Request(Arc::new(RequestHeader(name)))),
};

#[derive(Debug)]
struct RequestHeader(HeaderName);

impl IntoRequest for RequestHeader {
    fn owned(&self) -> &HeaderName {
        &self.0
    }

    fn put(&self, headers: &mut HeaderMap, session: &SessionToken) {
        headers.insert(self.0.clone(), session.header.clone());
    }

    fn done(&self) -> String {
        format!("{}: <session>, in the request to the app", self.0)
    }
}
