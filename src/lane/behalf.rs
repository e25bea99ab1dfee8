//! Requests of our own on a caller's behalf.

use std::borrow::Cow;

use form_urlencoded::{Serializer, parse};
use http::header::{AUTHORIZATION, COOKIE, FORWARDED, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, Request, Uri};

use crate::body::RequestBody;
use crate::config::TokenPlace;
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::http::ClientInfo;
use crate::mount::Misplaced;
use crate::route::Outgoing;
use crate::telemetry::request_id;
use crate::trail::Trail;

/// A fresh request with the caller's cookies and credentials, each in its place, the address it used (an app
/// that insists on its name or on https would redirect otherwise), and nothing else of what it sent. `None`
/// for an id that would make it name something else, and where the inner service is not the app.
pub(super) fn on_behalf<B>(
    engine: &Engine,
    outgoing: &Outgoing,
    key: &DocumentKey,
    caller: &Parts,
) -> Option<Request<RequestBody<B>>> {
    Misplaced::check(&caller.extensions).ok()?;
    let mut request = Request::new(RequestBody::empty());
    *request.method_mut() = outgoing.method.clone();
    *request.uri_mut() = Uri::from(with_tokens(outgoing.target(key.id())?, engine, caller)?);
    let headers = request.headers_mut();
    headers.extend(outgoing.headers.clone());
    for name in CREDENTIALS.iter().chain(&ADDRESS).chain(token_headers(engine)) {
        headers.remove(name);
        for value in caller.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    // All that goes along: what the listener knows of the client, and the trail. What others have put there was
    // found out about the caller's request, such as the route that an outer router chose for it, and not about this one.
    carry::<ClientInfo>(caller, &mut request);
    carry::<Trail>(caller, &mut request);
    Some(request)
}

fn carry<T: Clone + Send + Sync + 'static>(caller: &Parts, request: &mut Request<impl Sized>) {
    if let Some(extension) = caller.extensions.get::<T>() {
        request.extensions_mut().insert(extension.clone());
    }
}

/// The same target with the tokens of the caller's query: the app would not know who asks without them.
fn with_tokens(target: PathAndQuery, engine: &Engine, caller: &Parts) -> Option<PathAndQuery> {
    let mut tokens = query_tokens(engine, caller).peekable();
    if tokens.peek().is_none() {
        return Some(target);
    }
    let query = Serializer::new(String::new()).extend_pairs(tokens).finish();
    let separator = if target.query().is_some() { '&' } else { '?' };
    PathAndQuery::try_from(format!("{target}{separator}{query}")).ok()
}

/// Parameters in which the configuration says that tokens are, and that the caller sent.
pub(super) fn query_tokens<'a>(
    engine: &'a Engine,
    caller: &'a Parts,
) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
    let places = engine.config.identities.iter().flat_map(|identity| &identity.tokens);
    let names = places.filter_map(|place| match place {
        TokenPlace::Query(name) => Some(name),
        _ => None,
    });
    // Most configurations have none, and need not have the query read.
    let query = names.clone().next().and(caller.uri.query()).unwrap_or_default();
    parse(query.as_bytes()).filter(move |(name, _)| names.clone().any(|known| known == name))
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
