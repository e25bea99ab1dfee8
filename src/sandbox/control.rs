//! `/control/`: looking into the sandbox, and telling it how to behave.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming as RequestBody;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::clock;
use super::collection;
use super::faults::FaultRule;
use super::page;
use super::reply::{self, Reply};
use super::service::json_body;
use super::state::{Quirks, Quota, Shared};

pub(super) async fn handle(shared: &Shared, path: &str, request: Request<RequestBody>) -> Reply {
    if !from_here(request.headers()) {
        return reply::text(
            StatusCode::FORBIDDEN,
            "Another site's page may not control the sandbox",
        );
    }
    match (request.method(), path) {
        (&Method::GET, "") => reply::html(StatusCode::OK, page::render(shared, request.headers())),
        (&Method::GET, "state") => reply::json(StatusCode::OK, &state(shared)),
        (&Method::GET, "journal") => {
            let live = shared.live();
            let entries: Vec<_> = live.journal.entries().collect();
            reply::json(StatusCode::OK, &json!({ "requests": entries }))
        }
        (&Method::DELETE, "journal") => {
            shared.live().journal.clear();
            done()
        }
        (&Method::POST, "faults") => match fault(request).await {
            Ok(_) if shared.live().faults.len() >= MAX_RULES => {
                reply::text(StatusCode::CONFLICT, "too many fault rules; DELETE /control/faults")
            }
            Ok(rule) => {
                shared.live().faults.push(rule);
                done()
            }
            Err(why) => bad(&why),
        },
        (&Method::DELETE, "faults") => {
            shared.live().faults.clear();
            done()
        }
        (&Method::POST, "quota") => match read::<Quota>(request).await {
            Ok(quota) => {
                shared.live().quota = quota;
                done()
            }
            Err(why) => bad(&why),
        },
        (&Method::POST, "quirks") => match read::<Quirks>(request).await {
            Ok(quirks) => {
                shared.live().quirks = quirks;
                done()
            }
            Err(why) => bad(&why),
        },
        (&Method::POST, "revoke") => {
            let mut live = shared.live();
            live.revoked_below = live.counters.sessions + 1;
            done()
        }
        (&Method::POST, "reset") => reset(shared).await,
        (&Method::GET, path) => match content_id(path) {
            Some(id) => collection::content(shared, id).await,
            None => reply::no_such_route(),
        },
        _ => reply::no_such_route(),
    }
}

fn state(shared: &Shared) -> Value {
    let live = shared.live();
    let documents: Vec<_> = live
        .documents
        .iter()
        .map(|document| {
            json!({
                "id": document.id,
                "title": document.title,
                "created_at": clock::rfc3339(document.created),
                "content_type": document.content.content_type,
                "bytes": document.content.bytes,
                "sha256": document.content.sha256,
            })
        })
        .collect();
    json!({
        "documents": documents,
        "counters": live.counters,
        "quota": live.quota,
        "quirks": live.quirks,
        "faults": live.faults,
    })
}

/// Documents, counters, faults and journal go; quota and quirks are those it started with.
async fn reset(shared: &Shared) -> Reply {
    let documents = {
        let mut live = shared.live();
        live.counters = Default::default();
        live.quota = shared.options.quota;
        live.quirks = shared.options.quirks.clone();
        live.faults.clear();
        live.journal.clear();
        live.revoked_below = 0;
        std::mem::take(&mut live.documents)
    };
    let mut forgotten = shared.storage.persist_counters(Default::default()).await;
    for document in documents {
        forgotten = forgotten.and(shared.storage.forget(&document).await);
    }
    match forgotten {
        Ok(()) => done(),
        Err(error) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn fault(request: Request<RequestBody>) -> Result<FaultRule, String> {
    FaultRule::read(&json_body(request).await.ok_or("not JSON")?)
}

async fn read<T: DeserializeOwned>(request: Request<RequestBody>) -> Result<T, String> {
    let body = json_body(request).await.ok_or("not JSON")?;
    serde_json::from_value(body).map_err(|error| error.to_string())
}

fn bad(why: &str) -> Reply {
    reply::json(StatusCode::BAD_REQUEST, &json!({ "error": why }))
}

fn done() -> Reply {
    reply::json(StatusCode::OK, &json!({ "ok": true }))
}

fn content_id(path: &str) -> Option<&str> {
    path.strip_prefix("documents/")?.strip_suffix("/content")
}

/// Browsers name the page's origin on every cross-site call that changes something.
fn from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(&ORIGIN), text(&HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => {
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        }
        (Some(_), None) => false,
    }
}

const MAX_RULES: usize = 100;
