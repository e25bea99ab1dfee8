//! Who may ask what: API keys, tokens, and the `Accept` header.

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::clock;
use super::grants;
use super::reply::{self, Reply};
use super::routes::Route;
use super::state::Shared;

/// Who sent a request.
#[derive(Debug, PartialEq, Eq)]
enum Caller {
    Key,
    WrongProduct,
    ReadOnly,
    /// A token of `/viewer/tokens`, with the documents that it is good for.
    Token(Vec<String>),
    Unknown,
    Nobody,
}

/// Notes who called in `caller`; `Some`: the refusal.
pub(super) fn refusal(
    shared: &Shared,
    route: &Route,
    headers: &HeaderMap,
    caller: &mut Option<&'static str>,
) -> Option<Reply> {
    let who = identify(shared, headers);
    *caller = Some(who.name());
    let forbidden = || Some(reply::text(StatusCode::FORBIDDEN, "Forbidden"));
    match who {
        Caller::Unknown | Caller::Nobody => {
            return Some(reply::text(StatusCode::UNAUTHORIZED, "Unauthorized"));
        }
        Caller::WrongProduct => return forbidden(),
        Caller::ReadOnly if route.writes() => return forbidden(),
        Caller::Token(documents) if !reaches(&documents, route) => return forbidden(),
        Caller::Key | Caller::ReadOnly | Caller::Token(_) => {}
    }
    let acceptable =
        accepts(headers, JSON) || matches!(route, Route::Pdf(_)) && accepts(headers, PDF);
    if shared.quirks().strict_accept && !acceptable {
        return Some(reply::text(StatusCode::NOT_ACCEPTABLE, "Not Acceptable"));
    }
    None
}

/// The value of `Authorization` as it came.
pub(super) fn authorization(headers: &HeaderMap) -> &str {
    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, credentials) = authorization(headers).split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(credentials.trim())
}

fn identify(shared: &Shared, headers: &HeaderMap) -> Caller {
    let options = &shared.options;
    match bearer(headers) {
        None => Caller::Nobody,
        Some(key) if key == options.key => Caller::Key,
        Some(key) if key == options.wrong_product_key => Caller::WrongProduct,
        Some(key) if key == options.read_only_key => Caller::ReadOnly,
        Some(jwt) => token(shared, jwt).map_or(Caller::Unknown, Caller::Token),
    }
}

fn token(shared: &Shared, jwt: &str) -> Option<Vec<String>> {
    let claims = shared.signer.verify(jwt)?;
    let ends = claims.get("exp").and_then(Value::as_u64)?;
    let is_token = claims.get("scope").and_then(Value::as_str) == Some("backend");
    (is_token && clock::unix_now().as_secs() < ends)
        .then(|| grants::documents(&claims).map(|document| document.id.to_owned()).collect())
}

fn reaches(documents: &[String], route: &Route) -> bool {
    match route {
        Route::Upload => true,
        Route::Delete(id) | Route::Properties(id) | Route::Pdf(id) => documents.contains(id),
        _ => false,
    }
}

/// By its name: a wildcard alone is refused by the real service, although its own examples send one.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|range| {
            let name = range.split(';').next().unwrap_or_default().trim();
            name.eq_ignore_ascii_case(media_type)
        })
    })
}

const JSON: &str = "application/json";
const PDF: &str = "application/pdf";

impl Caller {
    fn name(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::WrongProduct => "wrong_product",
            Self::ReadOnly => "read_only",
            Self::Token(_) => "token",
            Self::Unknown => "unknown",
            Self::Nobody => "none",
        }
    }
}
