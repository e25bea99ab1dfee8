//! The app's own word on a caller, asked for with the caller's own credentials.

use std::time::Duration;

use http::header::{AUTHORIZATION, COOKIE, FORWARDED, HOST};
use http::request::Parts;
use http::{HeaderName, Request, Uri};
use tracing::{debug, warn};

use super::Inner;
use crate::body::RequestBody;
use crate::config::{Kind, TokenPlace};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::reason::Reason;
use crate::route::Outgoing;
use crate::telemetry::request_id;

/// Whether the app answers one of the kind's probes with 2xx. The reply's body is never read.
///
/// # Errors
/// `denied_by_app`, or `app_unavailable` when no probe gave an answer that can be believed.
pub(crate) async fn probe<S: Inner<B>, B>(
    engine: &Engine,
    inner: &mut S,
    kind: &Kind,
    key: &DocumentKey,
    caller: &Parts,
) -> Result<(), Reason> {
    let mut unknown = kind.probe.is_empty();
    for outgoing in &kind.probe {
        let Some(request) = request(engine, outgoing, key, caller) else { continue };
        match tokio::time::timeout(PROBE_AT_MOST, inner.ask(request)).await {
            Ok(Ok(reply)) if reply.status().is_success() => return Ok(()),
            Ok(Ok(reply)) => {
                debug!(document = %key, status = reply.status().as_u16(), "the app said no to a probe");
                unknown |= reply.status().is_server_error();
            }
            Ok(Err(_)) | Err(_) => {
                warn!(document = %key, "a probe of the app got no answer");
                unknown = true;
            }
        }
    }
    Err(if unknown { Reason::AppUnavailable } else { Reason::DeniedByApp })
}

/// A fresh request with the caller's cookies and credentials, the address it used (an app that insists on
/// its name or on https would redirect otherwise), and nothing else of what it sent.
fn request<B>(
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
    let places = engine.config.identities.iter().flat_map(|identity| &identity.tokens);
    let token_headers = places.filter_map(|place| match place {
        TokenPlace::Header(name) => Some(name),
        _ => None,
    });
    for name in CARRIED.iter().chain(token_headers) {
        headers.remove(name);
        for value in caller.headers.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    // What the listener knows of the client, for the forwarder.
    *request.extensions_mut() = caller.extensions.clone();
    Some(request)
}

const CARRIED: [HeaderName; 9] = [
    COOKIE,
    AUTHORIZATION,
    HOST,
    FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-port"),
    request_id::HEADER,
];
const PROBE_AT_MOST: Duration = Duration::from_secs(10);
