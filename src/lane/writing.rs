//! Requests that may change known documents at the app: from their beginning the documents are in doubt.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body;
use tracing::info;

use super::Inner;
use crate::body::{RequestBody, ResponseBody};
use crate::config::Action;
use crate::correlate::{Locator, ReplyFacts, RequestFacts, find};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::explain::Trail;
use crate::reason::Reason;
use crate::route::Candidate;
use crate::telemetry::{Step, request_id};

/// The documents that a request may change, whether a rule follows it or not: by its path in any spelling that an
/// app may take for theirs, by a header that names another address, and by the rules of its route as far as they
/// look at no body. Without allocating for nearly every request.
pub(crate) fn meant<B>(engine: &Engine, request: &Request<B>) -> Vec<DocumentKey> {
    let (uri, headers) = (request.uri(), request.headers());
    let found = engine.config.routes.may_change(request.method(), headers, uri);
    found.into_iter().filter_map(|(kind, id)| key(engine, kind, id, headers, uri)).collect()
}

/// What the rules of a route say of the documents before the app has answered.
pub(super) fn named_by_rules(
    engine: &Engine,
    parts: &Parts,
    writers: &[Candidate<'_>],
) -> Vec<DocumentKey> {
    let nothing = HeaderMap::new();
    let reply = ReplyFacts::new(StatusCode::OK, &nothing, Err(Reason::IdMissing));
    let mut keys = Vec::new();
    for Candidate { rule, captures, .. } in writers {
        let ids = match &rule.action {
            Action::Upload(upload) => &upload.id,
            Action::Delete(delete) => &delete.id,
            Action::View(_) => continue,
        };
        let request = RequestFacts {
            captures,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            fields: &[],
            json: None,
        };
        let known_now = |locator: &&Locator| {
            matches!(locator, Locator::Path(_) | Locator::Query(_) | Locator::RequestHeader { .. })
        };
        for locator in ids.iter().filter(known_now) {
            let found = find(std::slice::from_ref(locator), &request, &reply);
            let ids = found.map(|found| found.ids).unwrap_or_default();
            keys.extend(
                ids.into_iter()
                    .filter_map(|id| key(engine, rule.kind, id, &parts.headers, &parts.uri)),
            );
        }
    }
    keys
}

/// A request that no rule follows, and that may change these documents.
pub(crate) async fn write<S: Inner<B>, B>(
    engine: Arc<Engine>,
    mut inner: S,
    request: Request<B>,
    keys: Vec<DocumentKey>,
) -> Result<Response<ResponseBody<S::Reply>>, S::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let id = request_id::of(request.headers()).to_owned();
    let extensions = Trail::alone(request.extensions());
    let write = engine.outbox.begin_write(keys).await;
    let reply = inner.forward(request.map(RequestBody::passed)).await?;
    if is_refusal(reply.status()) {
        write.refused();
    } else if write.has_known() {
        engine.metrics.outcome(Step::Capture, Reason::InDoubt);
        Trail::decided(&extensions, Reason::InDoubt);
        for document in write.known() {
            info!(
                code = %Reason::InDoubt, %document, status = reply.status().as_u16(), request_id = id,
                "a request that no rule follows may have changed a document"
            );
        }
    }
    Ok(reply.map(ResponseBody::passed))
}

/// Whether an app that answers so has changed nothing. It may have for a 408 or a 5xx, which come late.
pub(super) fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
}

fn key(
    engine: &Engine,
    kind: usize,
    id: String,
    headers: &HeaderMap,
    uri: &Uri,
) -> Option<DocumentKey> {
    engine.config.kinds.get(kind)?.key(id, headers, uri).ok()
}
