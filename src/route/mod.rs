//! Routes: patterns of requests, their order of precedence, and templates for the requests that Transom itself
//! makes.
//!
//! `matchit` can't express typed captures, rests in the middle, query parts or ties by condition.

mod doubts;
mod ids;
pub(crate) mod lenient;
mod method;
mod outgoing;
mod overlap;
mod pattern;
pub(crate) mod precedence;

use http::Method;

pub(crate) use ids::IdForm;
pub(crate) use method::{Overridden, effective, effective_of_head, overriding_paths};
pub(crate) use outgoing::Outgoing;
pub(crate) use overlap::{Overlap, Relation, relation};
pub(crate) use pattern::{Captures, Fold, Pattern, Segment};

/// Splits `METHOD /path` and reads the method. The error is a sentence for the operator.
pub(crate) fn split_method(text: &str) -> Result<(Method, &str), String> {
    let Some((method, path)) = text.split_once(' ').filter(|(_, path)| path.starts_with('/'))
    else {
        return Err("a route is a method, one space and a path: `GET /files/{id}`".to_owned());
    };
    if method.chars().any(|c| c.is_ascii_lowercase()) {
        return Err(format!("methods are case-sensitive: write `{}`", method.to_uppercase()));
    }
    match Method::from_bytes(method.as_bytes()) {
        Ok(method) => Ok((method, path)),
        Err(_) => Err(format!("`{method}` is not an HTTP method")),
    }
}
