//! The side that browsers talk to: the SDK's auth call, and what the stand-in viewer shows.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN,
    VARY,
};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming as RequestBody;
use serde_json::{Value, json};

use super::access::bearer;
use super::clock;
use super::collection;
use super::documents::{self, Document};
use super::grants::{self, ANY_ORIGIN};
use super::reply::{self, Reply};
use super::service::json_body;
use super::state::Shared;

/// Why a session is of no use here.
#[derive(Debug)]
struct Refusal(StatusCode, &'static str);

/// `POST /i/d/{id}/auth` with `{"jwt"}`.
pub(super) async fn auth(shared: &Shared, id: &str, request: Request<RequestBody>) -> Reply {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    let origin = origin(request.headers()).map(str::to_owned);
    let body = json_body(request).await.unwrap_or_default();
    let jwt = body.get("jwt").and_then(Value::as_str);
    match authenticate(shared, id, jwt, origin.as_deref()) {
        Ok((document, permissions)) => {
            reply::json(StatusCode::OK, &authenticated(&document, &permissions))
        }
        Err(Refusal(status, why)) => reply::text(status, why),
    }
}

/// `GET /sandbox/content/{id}` with the session as Bearer.
pub(super) async fn content(shared: &Shared, id: &str, request: &Request<RequestBody>) -> Reply {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    let headers = request.headers();
    match authenticate(shared, id, bearer(headers), origin(headers)) {
        Ok(_) => collection::content(shared, id).await,
        Err(Refusal(status, why)) => reply::text(status, why),
    }
}

pub(super) fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(ORIGIN)?.to_str().ok()
}

/// Credentialed CORS: the exact origin.
pub(super) fn allow_origin(reply: &mut Reply, origin: Option<&str>) {
    if let Some(origin) = origin {
        reply::set(reply, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        reply::set(reply, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        reply::set(reply, ACCESS_CONTROL_EXPOSE_HEADERS, "content-type, content-length");
    }
    reply::set(reply, VARY, "Origin");
}

fn preflight() -> Reply {
    let mut reply = reply::text(StatusCode::NO_CONTENT, "");
    reply::set(&mut reply, ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS");
    let headers = "content-type, authorization, pspdfkit-platform, pspdfkit-version, \
                   x-pspdfkit-token, x-pspdfkit-image-token";
    reply::set(&mut reply, ACCESS_CONTROL_ALLOW_HEADERS, headers);
    reply::set(&mut reply, ACCESS_CONTROL_MAX_AGE, "600");
    reply
}

/// The document and the permissions of a good session for it.
fn authenticate(
    shared: &Shared,
    id: &str,
    jwt: Option<&str>,
    origin: Option<&str>,
) -> Result<(Arc<Document>, Vec<String>), Refusal> {
    let forbidden = |why| Err(Refusal(StatusCode::FORBIDDEN, why));
    let Some(jwt) = jwt else {
        return Err(Refusal(StatusCode::UNAUTHORIZED, "Unauthorized"));
    };
    let Some(claims) = shared.signer.verify(jwt) else {
        return forbidden("Invalid token");
    };
    if claims.get("exp").and_then(Value::as_u64) <= Some(clock::unix_now().as_secs()) {
        return forbidden("Token has expired");
    }
    if grants::number(&claims) < Some(shared.live().revoked_below) {
        return forbidden("Token has been revoked");
    }
    let is_session = claims.get("scope").and_then(Value::as_str) == Some("frontend");
    let permissions: Option<Vec<_>> = grants::documents(&claims)
        .find(|document| document.id == id)
        .map(|document| document.permissions.into_iter().map(str::to_owned).collect());
    match permissions {
        Some(permissions)
            if is_session
                && permissions.iter().any(|name| name == "read")
                && origin_allowed(&claims, origin) =>
        {
            let document = shared.document(id).ok_or(NO_SUCH_DOCUMENT)?;
            Ok((document, permissions))
        }
        _ => forbidden("Forbidden"),
    }
}

/// The claim holds regular expressions; those that the sandbox writes are `^.*$` or one literal origin.
fn origin_allowed(claims: &Value, origin: Option<&str>) -> bool {
    let patterns = claims.get("allowed_origins").and_then(Value::as_array);
    patterns.into_iter().flatten().filter_map(Value::as_str).any(|pattern| {
        pattern == ANY_ORIGIN
            || origin.is_some_and(|origin| pattern == format!("^{}$", origin.replace('.', "\\.")))
    })
}

fn authenticated(document: &Document, permissions: &[String]) -> Value {
    json!({
        "imageToken": documents::new_id(),
        "token": documents::new_id(),
        "permissions": permissions,
        "features": ["instant", "annotations", "comments", "forms"],
        "signatureFeatureAvailability": "none",
        "hasPassword": false,
        "minSearchQueryLength": 3,
        "layerHandle": "default",
        "allowedTileScales": "all",
        "tileMaxScale": 4,
        // The SDK fails on null here.
        "digitalSignatures": {
            "status": "not_signed",
            "checkedAt": clock::rfc3339(clock::unix_now()),
            "documentModifiedSinceSignature": false,
            "signatures": [],
            "certificateChainValidationStatus": "ok",
        },
        "defaultGroup": null,
        "collaborationPermissions": null,
        "creatorName": null,
        "documentEngineVersion": "1.18.1",
        "layerName": "",
        "sourcePdfSha256": document.pdf_sha256(),
        "wasmToken": null,
    })
}

const NO_SUCH_DOCUMENT: Refusal = Refusal(StatusCode::NOT_FOUND, "Document not found");
