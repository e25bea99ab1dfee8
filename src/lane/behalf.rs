//! Requests of our own on a caller's behalf.

use http::header::{AUTHORIZATION, COOKIE, FORWARDED, HOST};
use http::request::Parts;
use http::{HeaderName, Request, Uri};

use crate::body::RequestBody;
use crate::config::TokenPlace;
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::route::Outgoing;
use crate::telemetry::request_id;

/// A fresh request with the caller's cookies and credentials, the address it used (an app that insists on
/// its name or on https would redirect otherwise), and nothing else of what it sent. `None` for an id that
/// would make it name something else.
pub(super) fn on_behalf<B>(
    engine: &Engine,
    outgoing: &Outgoing,
    key: &DocumentKey,
    caller: &Parts,
) -> Option<Request<RequestBody<B>>> {
    let mut request = Request::new(RequestBody::empty());
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = Uri::from(outgoing.target(key.id())?);
    let headers = request.headers_mut();
    headers.extend(outgoing.headers.clone());
    for name in CREDENTIALS.iter().chain(&ADDRESS).chain(token_headers(engine)) {
        headers.remove(name);
        for value in caller.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    // What the listener knows of the client, for the forwarder.
    *request.extensions_mut() = caller.extensions.clone();
    // The client hears interim replies to its own request only.
    hyper::ext::on_informational(&mut request, |_| {});
    Some(request)
}

/// The headers in which the configuration says that tokens are.
pub(super) fn token_headers(engine: &Engine) -> impl Iterator<Item = &HeaderName> {
    let places = engine.config.identities.iter().flat_map(|identity| &identity.tokens);
    places.filter_map(|place| match place {
        TokenPlace::Header(name) => Some(name),
        _ => None,
    })
}

pub(super) const CREDENTIALS: [HeaderName; 2] = [COOKIE, AUTHORIZATION];
const ADDRESS: [HeaderName; 7] = [
    HOST,
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
    request_id::HEADER,
];
