//! `{ response_header = "X-Viewer-Session" }`: the client gets the session in a header of the app's reply.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::delivery::{Asks, Delivery, IntoHead, Occupied, Reads, Way};
use crate::session_token::SessionToken;

pub(super) const WAY: Way = Way {
    key: "response_header",
    reads: Reads::Header(|name| Delivery::Head(Arc::new(ResponseHeader(name)))),
};

#[derive(Debug)]
struct ResponseHeader(HeaderName);

impl IntoHead for ResponseHeader {
    fn occupies(&self) -> Occupied<'_> {
        Occupied::Header(&self.0)
    }

    fn needs_client(&self) -> bool {
        false
    }

    fn asks(&self) -> Asks {
        Asks { whole: false, plain: false }
    }

    fn put(&self, headers: &mut HeaderMap, session: &SessionToken, _: bool) {
        headers.insert(self.0.clone(), session.header.clone());
    }

    fn done(&self) -> String {
        format!("{}: <session>, in the reply", self.0)
    }
}
