//! Which rules govern a request: patterns, their order of precedence, and templates for the
//! requests that Transom itself makes.
//!
//! `matchit` can't express typed captures, rests in the middle, query parts or ties by condition.

mod doubts;
mod ids;
mod lenient;
mod meant;
mod method;
mod outgoing;
mod overlap;
mod pattern;
mod precedence;
mod table;
#[cfg(test)]
mod unclear;

use std::sync::Arc;

use http::{HeaderMap, Method, Uri};

use crate::condition::Condition;
use crate::config::{Action, serves};

pub(crate) use ids::IdForm;
pub(crate) use method::{Overridden, effective, effective_of_head};
pub(crate) use outgoing::Outgoing;
pub(crate) use overlap::{Overlap, Relation};
pub(crate) use pattern::{Captures, Fold, Pattern};
pub(crate) use table::{Candidate, RouteTable};

/// A rule of the configuration, bound to its route.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its place in the file, for logs: `documents.files.upload[0]`.
    pub(crate) name: String,
    /// Index into `Config::kinds`.
    pub(crate) kind: usize,
    /// It is for these hosts only; empty: for all.
    pub(crate) hosts: Arc<[String]>,
    pub(crate) method: Method,
    pub(crate) pattern: Pattern,
    pub(crate) when: Option<Condition>,
    pub(crate) action: Action,
}

impl Rule {
    pub(crate) fn serves(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        serves(&self.hosts, headers, uri)
    }
}

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
