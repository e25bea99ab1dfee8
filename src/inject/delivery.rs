//! The ways in which a session reaches its user, by the moment at which each has its turn.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};

use super::pointer::Pointer;
use super::splice::Edit;
use crate::coding::ask_for_identity;
use crate::reason::Reason;
use crate::session_token::SessionToken;
use crate::viewer::Page;

/// One way in which a session reaches its user. The variant is the moment; each is one of the files of this folder.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    /// Before the app: into the request that it gets.
    Request(Arc<dyn IntoRequest>),
    /// Into the head of the app's reply.
    Head(Arc<dyn IntoHead>),
    /// Into the body of the app's reply.
    Body(Arc<dyn IntoBody>),
    /// In the place of the app's reply.
    Instead(Arc<dyn InsteadOfReply>),
}

/// A session for the app itself.
pub(crate) trait IntoRequest: fmt::Debug + Send + Sync {
    /// The header that only Transom may send to the app.
    fn owned(&self) -> &HeaderName;

    fn put(&self, headers: &mut HeaderMap, session: &SessionToken);

    /// What [`put`](Self::put) does, for `explain`.
    fn done(&self) -> String;
}

/// A session in the head of any reply that the app gives.
pub(crate) trait IntoHead: fmt::Debug + Send + Sync {
    /// What else it may not share its name with.
    fn occupies(&self) -> Occupied<'_>;

    /// Whether [`put`](Self::put) looks at how the client came.
    fn needs_client(&self) -> bool;

    /// What it asks of the request that the app gets.
    fn asks(&self) -> Asks;

    fn put(&self, headers: &mut HeaderMap, session: &SessionToken, over_tls: bool);

    /// What [`put`](Self::put) does, for `explain`.
    fn done(&self) -> String;
}

/// A session in the body of a reply, where it has a place.
pub(crate) trait IntoBody: fmt::Debug + Send + Sync {
    /// What it asks of the request that the app gets.
    fn asks(&self) -> Asks;

    /// Whether a reply with this head may have a place; it is read then.
    ///
    /// # Errors
    /// Why there is none.
    fn fits(&self, status: StatusCode, headers: &HeaderMap) -> Result<(), Reason>;

    /// Where in the body the session goes: looked for before a session is asked for, since sessions may cost.
    ///
    /// # Errors
    /// Why there is no such place.
    fn find(&self, body: &[u8]) -> Result<Edit, Reason>;

    /// The body with the session at the place that was found in it.
    fn put(&self, body: &[u8], place: &Edit, session: &str) -> Vec<u8>;

    /// The place in JSON, so that no other one lies within it.
    fn pointer(&self) -> Option<&Pointer>;

    /// Content-Type and body of a reply that has a place, for `explain` where the app is not asked.
    fn stand_in(&self) -> (&'static str, String);

    /// What [`put`](Self::put) does, for `explain`.
    fn done(&self) -> String;
}

/// What a client gets that can show a page, where the app answers with the document. Its script asks for the session.
pub(crate) trait InsteadOfReply: fmt::Debug + Send + Sync {
    /// Whether this client can show it.
    fn is_for(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool;

    /// What it asks of the request that the app gets.
    fn asks(&self) -> Asks;

    /// Whether the app's reply is what it stands for; `types` are those of the kind of document.
    fn replaces(&self, reply: &HeaderMap, types: &[String]) -> bool;

    fn reply(&self, page: &Page<'_>) -> Response<Bytes>;

    /// Content-Type of a reply that it stands for, for `explain` where the app is not asked.
    fn stand_in(&self) -> &'static str;

    /// Why [`is_for`](Self::is_for) said what it said.
    fn why_for(&self, is_for: bool) -> &'static str;

    /// Why [`replaces`](Self::replaces) said what it said.
    fn why_replaced(&self, replaces: bool, reply: &HeaderMap) -> String;

    /// What was done once the client has it, for `explain`.
    fn done(&self) -> String;
}

/// A name that the app may use for a token of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupied<'d> {
    Header(&'d HeaderName),
    Cookie(&'d str),
    Nothing,
}

/// What a delivery asks of the request that the app gets. None lets the app say that nothing has changed, which would
/// hide the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asks {
    /// A part of the body is of no use.
    pub(crate) whole: bool,
    /// The body is going to be read.
    pub(crate) plain: bool,
}

impl Asks {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { whole: self.whole || other.whole, plain: self.plain || other.plain }
    }

    pub(crate) fn put(self, headers: &mut HeaderMap) {
        if self.plain {
            ask_for_identity(headers);
        }
        super::ask_for_all(headers, self.whole);
    }
}

impl Delivery {
    /// What else it may not share its name with.
    pub(crate) fn occupies(&self) -> Occupied<'_> {
        match self {
            Self::Request(delivery) => Occupied::Header(delivery.owned()),
            Self::Head(delivery) => delivery.occupies(),
            Self::Body(_) | Self::Instead(_) => Occupied::Nothing,
        }
    }
}

/// How the sessions of a view reach their users, in the order of the configuration at each moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deliveries {
    pub(crate) request: Vec<Arc<dyn IntoRequest>>,
    pub(crate) head: Vec<Arc<dyn IntoHead>>,
    pub(crate) body: Vec<Arc<dyn IntoBody>>,
    pub(crate) instead: Option<Arc<dyn InsteadOfReply>>,
    /// All that `head` and `body` ask of the request.
    pub(crate) asks: Asks,
    /// Some of `head` looks at how the client came.
    pub(crate) needs_client: bool,
}

impl Deliveries {
    /// Nothing but pages, whose sessions are asked for later.
    pub(crate) fn is_page_alone(&self) -> bool {
        self.request.is_empty() && self.head.is_empty() && self.body.is_empty()
    }

    /// Content-Type and body of a reply that could take the session.
    pub(crate) fn stand_in(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> (&'static str, String) {
        let (content_type, body) = match self.body.first() {
            Some(delivery) => delivery.stand_in(),
            None => ("application/json", "{}".to_owned()),
        };
        match self.instead.as_ref().filter(|delivery| delivery.is_for(method, uri, headers)) {
            Some(delivery) => (delivery.stand_in(), body),
            None => (content_type, body),
        }
    }
}

impl FromIterator<Delivery> for Deliveries {
    fn from_iter<T: IntoIterator<Item = Delivery>>(deliveries: T) -> Self {
        let mut all = Self::default();
        for delivery in deliveries {
            match delivery {
                Delivery::Request(delivery) => all.request.push(delivery),
                Delivery::Head(delivery) => {
                    all.asks = all.asks.and(delivery.asks());
                    all.needs_client |= delivery.needs_client();
                    all.head.push(delivery);
                }
                Delivery::Body(delivery) => {
                    all.asks = all.asks.and(delivery.asks());
                    all.body.push(delivery);
                }
                Delivery::Instead(delivery) => all.instead = Some(delivery),
            }
        }
        all
    }
}

/// How the configuration writes one way: `{ key = … }`.
pub(crate) struct Way {
    /// The key that says which way it is.
    pub(crate) key: &'static str,
    pub(crate) reads: Reads,
}

/// What stands behind the key, and what becomes of it.
pub(crate) enum Reads {
    /// The name of a header that has no meaning of its own in HTTP.
    Header(fn(HeaderName) -> Delivery),
    /// A token of RFC 9110, section 5.6.2.
    Name(fn(String) -> Delivery),
    /// Any text; the error is a sentence for the operator.
    Text(fn(&str) -> Result<Delivery, String>),
    /// `true`
    Flag(fn() -> Delivery),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::inject::WAYS;

    fn delivery(key: &str, text: &str) -> Delivery {
        match &WAYS.iter().find(|way| way.key == key).unwrap().reads {
            Reads::Header(delivery) => delivery(text.parse().unwrap()),
            Reads::Name(delivery) => delivery(text.to_owned()),
            Reads::Text(delivery) => delivery(text).unwrap(),
            Reads::Flag(delivery) => delivery(),
        }
    }

    #[test]
    fn a_request_is_changed_as_far_as_its_deliveries_need_it() {
        let (head, json) = (("response_header", "x-s"), ("json", "/s"));
        for (ways, whole, plain) in [
            (&[("request_header", "x-s")][..], false, false),
            (&[head, ("cookie", "s")], false, false),
            (&[("page", "")], false, false),
            (&[head, json], true, true),
        ] {
            let all: Deliveries = ways.iter().map(|(key, text)| delivery(key, text)).collect();
            assert_eq!(all.asks, Asks { whole, plain }, "{all:?}");
            assert_eq!(all.is_page_alone(), ways[0].0 == "page");
        }
    }

    #[test]
    fn every_delivery_tells_what_it_did_and_never_the_session() {
        for (way, text, told) in [
            ("request_header", "x-s", "x-s: <session>, in the request to the app"),
            ("response_header", "x-s", "x-s: <session>, in the reply"),
            ("cookie", "s", "set-cookie: s=<session>, in the reply"),
            ("json", "/a/1/s", r#"{"a":[…,{"s":"<session>"}]}, in the reply's JSON"#),
            ("page", "", "a viewer page, instead of the app's document"),
        ] {
            let done = match delivery(way, text) {
                Delivery::Request(delivery) => delivery.done(),
                Delivery::Head(delivery) => delivery.done(),
                Delivery::Body(delivery) => delivery.done(),
                Delivery::Instead(delivery) => delivery.done(),
            };
            assert_eq!(done, told);
        }
    }
}
