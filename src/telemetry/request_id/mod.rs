//! One id per request, under which the app's logs and ours can be joined.
//!
//! It travels in `x-request-id`, so that every step that has the request's headers can name it.

#[cfg(feature = "cli")]
mod assign;

use http::{HeaderMap, HeaderName};

#[cfg(feature = "cli")]
pub(crate) use assign::assign;

/// The id of the request with these headers, `-` if it has none.
pub(crate) fn of(headers: &HeaderMap) -> &str {
    headers.get(HEADER).and_then(|id| id.to_str().ok()).unwrap_or("-")
}

pub(crate) const HEADER: HeaderName = HeaderName::from_static(NAME);
const NAME: &str = "x-request-id";
