//! `POST /viewer/sessions` and `POST /viewer/tokens`: what is granted, and for how long.

use http::StatusCode;
use serde_json::{Value, json};

use super::clock;
use super::documents::new_id;
use super::reply::{self, Reply};
use super::state::{Quirks, Shared};
use super::upload::over_quota;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For the viewer in a browser.
    Session,
    /// For REST calls in place of the key.
    Token,
}

/// A document of a JWT, and what may be done with it.
#[derive(Debug)]
pub(super) struct Granted<'a> {
    pub(super) id: &'a str,
    pub(super) permissions: Vec<&'a str>,
}

/// Mints without looking whether the documents exist, as DWS does.
pub(super) async fn mint(shared: &Shared, asked: &Value, purpose: Purpose) -> Reply {
    let quirks = shared.quirks();
    let documents = match allowed_documents(asked, &quirks) {
        Ok(documents) => documents,
        Err(why) => {
            return reply::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "error": why }));
        }
    };
    let (number, counters) = {
        let mut live = shared.live();
        match purpose {
            Purpose::Session if live.session_over_quota() => {
                return over_quota(live.quota.status, "monthly session limit");
            }
            Purpose::Session => live.counters.sessions += 1,
            Purpose::Token => live.counters.tokens += 1,
        }
        (live.counters.sessions, live.counters)
    };
    let claims = claims(shared, asked, documents, &quirks, purpose, number);
    let persisted = shared.storage.persist_counters(counters).await;
    match persisted.and_then(|()| shared.signer.sign(&claims)) {
        Ok(jwt) => reply::json(StatusCode::CREATED, &json!({ "jwt": jwt })),
        Err(error) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The documents that a JWT of ours names.
pub(super) fn documents(claims: &Value) -> impl Iterator<Item = Granted<'_>> {
    let documents = claims.get("allowed_documents").and_then(Value::as_array);
    documents.into_iter().flatten().filter_map(|document| {
        let permissions = document.get("permissions").and_then(Value::as_array);
        Some(Granted {
            id: document.get("document_id")?.as_str()?,
            permissions: permissions.into_iter().flatten().filter_map(Value::as_str).collect(),
        })
    })
}

/// The number of a session, by which it can be revoked.
pub(super) fn number(claims: &Value) -> Option<u64> {
    claims.get("jti")?.as_str()?.rsplit_once('-')?.1.parse().ok()
}

fn allowed_documents(asked: &Value, quirks: &Quirks) -> Result<Option<Vec<Value>>, String> {
    let documents = match asked.get("allowed_documents") {
        // A session for documents that the app brings itself.
        None => return Ok(None),
        Some(documents) => documents.as_array().ok_or("allowed_documents is not an array")?,
    };
    let mut granted = Vec::with_capacity(documents.len());
    for document in documents {
        let id =
            document.get("document_id").and_then(Value::as_str).ok_or("document_id is missing")?;
        granted.push(grant(id, &permissions(document, quirks)?, quirks));
    }
    if let Some(extra) = &quirks.grant_extra_document {
        granted.push(grant(extra, &[json!("read")], quirks));
    }
    Ok(Some(granted))
}

/// `document_permissions` is the name in the guides, and has no effect: everything is granted.
fn permissions(document: &Value, quirks: &Quirks) -> Result<Vec<Value>, String> {
    let other = document.get("document_permissions").filter(|_| quirks.honour_document_permissions);
    let names = match document.get("permissions").or(other) {
        _ if quirks.grant_all => PERMISSIONS.map(Value::from).to_vec(),
        None => PERMISSIONS.map(Value::from).to_vec(),
        Some(Value::Array(names)) => names.clone(),
        Some(_) => return Err("permissions is not an array".to_owned()),
    };
    match names.iter().find(|name| !PERMISSIONS.iter().any(|known| *name == known)) {
        Some(unknown) => Err(format!("unknown permission {unknown}")),
        None => Ok(names),
    }
}

fn grant(id: &str, permissions: &[Value], quirks: &Quirks) -> Value {
    let id = quirks.grant_document.as_deref().unwrap_or(id);
    match quirks.omit_permissions {
        true => json!({ "document_id": id }),
        false => json!({ "document_id": id, "permissions": permissions }),
    }
}

fn claims(
    shared: &Shared,
    asked: &Value,
    documents: Option<Vec<Value>>,
    quirks: &Quirks,
    purpose: Purpose,
    number: u64,
) -> Value {
    let now = clock::unix_now().as_secs();
    let mut expires = asked.get("exp").and_then(Value::as_u64).unwrap_or(now + A_DAY);
    if quirks.clamp_expiry {
        expires = expires.min(now + A_DAY);
    }
    let (scope, issuer) = match purpose {
        Purpose::Session => ("frontend", "hosted-frontend"),
        Purpose::Token => ("backend", "hosted-backend"),
    };
    let origins = match quirks.allowed_origins.as_slice() {
        [] => vec![ANY_ORIGIN.to_owned()],
        origins => {
            origins.iter().map(|origin| format!("^{}$", origin.replace('.', "\\."))).collect()
        }
    };
    let mut claims = json!({
        "scope": scope,
        "server_url": shared.origin,
        "tenant_id": "sandbox",
        "tenant_limits": {
            "document_limit": 100, "show_trial_watermark": false, "storage_size_limit": 524_288_000,
        },
        "allowed_operations": ["viewer", "annotations", "comments", "forms"],
        "allowed_origins": origins,
        "aud": "document-engine",
        "iss": issuer,
        "exp": expires.saturating_add(quirks.grant_longer),
        "iat": now,
        "nbf": now,
        "jti": format!("{}-{number}", new_id()),
        "version": "2025-03-01",
    });
    if let Some(documents) = documents {
        claims["allowed_documents"] = documents.into();
    }
    if let Some(user_id) = asked.get("user_id").filter(|id| id.is_string()) {
        claims["user_id"] = user_id.clone();
    }
    claims
}

pub(super) const ANY_ORIGIN: &str = "^.*$";
const PERMISSIONS: [&str; 3] = ["read", "write", "download"];
const A_DAY: u64 = 24 * 60 * 60;
