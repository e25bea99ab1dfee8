//! Requests that may change known documents at the app: from their beginning the documents are in doubt.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body::Body;

use super::Inner;
use super::probe::{Word, probe_afresh};
use crate::body::{RequestBody, ResponseBody};
use crate::document::DocumentKey;
use crate::engine::Engine;
use crate::events::{Event, Origin};
use crate::http::ClientInfo;
use crate::locate::RequestFacts;
use crate::mount::Misplaced;
use crate::outbox::WriteUnderWay;
use crate::problem::NotSent;
use crate::reading::{host, is_among};
use crate::rules::Candidate;
use crate::session::{Answer, judge};
use crate::trail::Trail;

/// The documents that a request may change, whether a rule follows it or not: by its path in any spelling that an
/// app may take for theirs, by a header that names another address, and by the rules of its route as far as they
/// look at no body. Without allocating for nearly every request.
pub(crate) fn meant<B>(engine: &Engine, request: &Request<B>) -> Vec<DocumentKey> {
    let (uri, headers) = (request.uri(), request.headers());
    let found = engine.config.routes.may_change(request.method(), headers, uri);
    if found.is_empty() {
        return Vec::new();
    }
    found.into_iter().filter_map(|(kind, id)| key(engine, kind, id, headers, uri)).collect()
}

/// What the rules of a route say of the documents before the app has answered.
pub(super) fn named_by_rules(
    engine: &Engine,
    parts: &Parts,
    writers: &[Candidate<'_>],
) -> Vec<DocumentKey> {
    let mut keys = Vec::new();
    for Candidate { rule, captures, .. } in writers {
        let request = RequestFacts {
            captures,
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &parts.headers,
            fields: &[],
            json: None,
        };
        let ids = rule.action.ids().iter().flat_map(|locator| locator.ids_in_head(&request));
        keys.extend(ids.filter_map(|id| key(engine, rule.kind, id, &parts.headers, &parts.uri)));
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
    let (parts, body) = request.into_parts();
    let extensions = Trail::alone(&parts.extensions);
    let caller = caller(&parts);
    let write = engine.outbox.begin_write(keys).await;
    let request = Request::from_parts(parts, RequestBody::passed(body));
    let reply = inner.forward(request).await?;
    if is_refusal(&reply) {
        write.refused();
        return Ok(reply.map(ResponseBody::passed));
    }
    write.ended();
    outdate(&engine, &write).await;
    if write.has_known() {
        let documents: Vec<_> = write.known().collect();
        let event = Event::InDoubt { documents: &documents, status: reply.status().as_u16() };
        engine.events.tell(&event, &Origin::at(&extensions, &caller.headers));
        // Otherwise there is nothing to look for, and the write ends before its client can begin the next one.
        if has_moved(reply.status(), reply.headers()) {
            let background = engine.background.clone();
            background.spawn(refused(engine, inner, write, caller, true, false));
        }
    }
    Ok(reply.map(ResponseBody::passed))
}

/// What is being fetched of these documents may be what they were before.
pub(super) async fn outdate(engine: &Engine, write: &WriteUnderWay) {
    for key in write.keys() {
        engine.sources.outdate(key, false).await;
    }
}

/// Lifts the doubt of documents that a request can't have changed, for all that its reply tells. `moved`: the app sent
/// the caller elsewhere, or failed; then a caller whom it does not even show a document has not changed that.
/// `in_place`: what the app answered otherwise is no change by the rules. That counts where no `source` could tell
/// later.
pub(super) async fn refused<S: Inner<B>, B: Send + 'static>(
    engine: Arc<Engine>,
    mut inner: S,
    write: WriteUnderWay,
    caller: Parts,
    moved: bool,
    in_place: bool,
) {
    let mut unchanged = Vec::new();
    for key in write.known() {
        let Some(kind) = engine.config.kind_of(key).cloned() else { continue };
        let is_unchanged = match moved {
            true if kind.probe.is_empty() => false,
            true => {
                let word = probe_afresh(&engine, &mut inner, &kind, key, &caller).await;
                matches!(word, Word::No { .. })
            }
            false => in_place && kind.source.is_none(),
        };
        if is_unchanged {
            unchanged.push(key);
        }
    }
    write.refused_for(|key| unchanged.contains(&key));
}

/// Whether a reply sends its caller elsewhere or fails, as one to a stranger does.
pub(super) fn has_moved(status: StatusCode, headers: &HeaderMap) -> bool {
    match judge(status, headers, &HeaderMap::new()) {
        Answer::No(refusal) => refusal.proves_little(),
        Answer::Unknown(_) => true,
        Answer::Yes => false,
    }
}

/// Whether an app that answers so has changed nothing: it may have for a 408 or a 5xx, which come late, unless it was
/// never asked.
pub(super) fn is_refusal<R>(reply: &Response<R>) -> bool {
    let status = reply.status();
    status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT
        || reply.extensions().get::<NotSent>().is_some()
}

/// The head of a request, with what requests of our own on the caller's behalf need of it.
pub(super) fn caller(parts: &Parts) -> Parts {
    let (mut caller, ()) = Request::new(()).into_parts();
    caller.method = parts.method.clone();
    caller.uri = parts.uri.clone();
    caller.headers = parts.headers.clone();
    if let Some(client) = parts.extensions.get::<ClientInfo>() {
        caller.extensions.insert(*client);
    }
    if let Some(misplaced) = parts.extensions.get::<Misplaced>() {
        caller.extensions.insert(*misplaced);
    }
    caller
}

pub(super) fn key(
    engine: &Engine,
    kind: usize,
    id: String,
    headers: &HeaderMap,
    uri: &Uri,
) -> Option<DocumentKey> {
    let kind = engine.config.kinds.get(kind)?;
    // A host that can't be told may be any.
    let elsewhere = !kind.hosts.is_empty()
        && host(headers, uri).is_some_and(|host| !is_among(&host, &kind.hosts));
    if elsewhere { None } else { kind.key(id, headers, uri).ok() }
}
