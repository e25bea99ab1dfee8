//! One request to the sandbox, from its address to its entry in the journal.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderName, LOCATION};
use http::{Request, StatusCode};
use http_body_util::{BodyDataStream, BodyExt, Limited};
use hyper::body::Incoming as RequestBody;
use serde_json::{Value, json};

use super::faults::{self, Fault};
use super::grants::Purpose;
use super::journal::Entry;
use super::reply::{self, Reply};
use super::routes::Route;
use super::state::Shared;
use super::{Face, access, collection, control, data_plane, grants, upload};

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault asked to hang up")]
pub(super) struct HangUp;

pub(super) async fn handle(
    shared: Arc<Shared>,
    face: Face,
    request: Request<RequestBody>,
) -> Result<Reply, HangUp> {
    let route = Route::of(request.method(), request.uri().path());
    match (&route, face) {
        (Route::Control(path), Face::Both | Face::Control) => {
            return Ok(control::handle(&shared, path, request).await);
        }
        (_, Face::Control) | (Route::Control(_), Face::Service) => {
            return Ok(reply::no_such_route());
        }
        (Route::Home, _) => return Ok(home(face)),
        (Route::Sdk, _) => return Ok(sdk()),
        _ => {}
    }
    let mut entry = Entry::of(&request);
    let fault = faults::take(&mut shared.live().faults, route.name());
    entry.fault = fault.as_ref().map(Fault::name);
    if fault == Some(Fault::Hang) {
        shared.live().journal.push(entry);
        return std::future::pending().await;
    }
    let origin = data_plane::origin(request.headers()).map(str::to_owned);
    let reply = answer(&shared, &route, request, fault.as_ref(), &mut entry).await;
    entry.status = reply.as_ref().map(|reply| reply.status().as_u16());
    shared.live().journal.push(entry);
    let mut reply = reply.ok_or(HangUp)?;
    if matches!(route, Route::Auth(_) | Route::Content(_)) {
        // Refusals and faults too, or the page sees nothing but "failed to fetch".
        data_plane::allow_origin(&mut reply, origin.as_deref());
    }
    Ok(reply)
}

/// `None`: no answer at all.
async fn answer(
    shared: &Shared,
    route: &Route,
    request: Request<RequestBody>,
    fault: Option<&Fault>,
    entry: &mut Entry,
) -> Option<Reply> {
    let Some(fault) = fault else {
        return Some(respond(shared, route, request, entry).await);
    };
    if *fault == Fault::ResetBefore {
        return None;
    }
    if let Fault::SlowHeaders { delay_ms } = fault {
        tokio::time::sleep(std::time::Duration::from_millis(*delay_ms)).await;
    }
    if let Some(reply) = fault.reply(access::authorization(request.headers())) {
        upload::drain(&mut BodyDataStream::new(request.into_body())).await;
        return Some(reply);
    }
    fault.spoil(respond(shared, route, request, entry).await)
}

async fn respond(
    shared: &Shared,
    route: &Route,
    request: Request<RequestBody>,
    entry: &mut Entry,
) -> Reply {
    match route {
        Route::Auth(id) => return data_plane::auth(shared, id, request).await,
        Route::Content(id) => return data_plane::content(shared, id, &request).await,
        _ => {}
    }
    if let Some(refusal) = access::refusal(shared, route, request.headers(), &mut entry.caller) {
        upload::drain(&mut BodyDataStream::new(request.into_body())).await;
        return refusal;
    }
    match route {
        Route::Upload => upload::store(shared, request, entry).await,
        Route::List => collection::list(shared, request.uri().query().unwrap_or_default()),
        Route::Session => mint(shared, request, Purpose::Session, entry).await,
        Route::Token => mint(shared, request, Purpose::Token, entry).await,
        Route::Delete(id) => collection::delete(shared, id).await,
        Route::Properties(id) => collection::properties(shared, id),
        Route::Pdf(id) => collection::content(shared, id).await,
        // A living document's own address too.
        _ => reply::no_such_route(),
    }
}

async fn mint(
    shared: &Shared,
    request: Request<RequestBody>,
    purpose: Purpose,
    entry: &mut Entry,
) -> Reply {
    match json_body(request).await {
        Some(asked) => {
            entry.json = Some(asked.clone());
            grants::mint(shared, &asked, purpose).await
        }
        None => reply::json(StatusCode::BAD_REQUEST, &json!({ "error": "invalid JSON" })),
    }
}

pub(super) async fn json_body(request: Request<RequestBody>) -> Option<Value> {
    let body = Limited::new(request.into_body(), MAX_JSON).collect().await.ok()?;
    serde_json::from_slice(&body.to_bytes()).ok()
}

fn sdk() -> Reply {
    let parts = [
        include_str!("viewer/reader.js"),
        include_str!("viewer/painter.js"),
        include_str!("viewer/face.js"),
    ];
    // The parts share a scope, and nothing but the viewer itself is global.
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", parts.concat());
    let mut reply = reply::with_type(StatusCode::OK, "text/javascript; charset=utf-8", script);
    reply::set(&mut reply, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    reply::set(&mut reply, policy, "cross-origin");
    reply
}

fn home(face: Face) -> Reply {
    if face != Face::Both {
        return reply::no_such_route();
    }
    let mut reply = reply::text(StatusCode::SEE_OTHER, "");
    reply::set(&mut reply, LOCATION, "/control/");
    reply
}

const MAX_JSON: usize = 1024 * 1024;
