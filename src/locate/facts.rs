//! An exchange with the app, as far as locators and conditions look at it.

use std::cell::OnceCell;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::reading::read_json;
use crate::reason::Reason;
use crate::route::Captures;

/// What a request said.
#[derive(Debug)]
pub(crate) struct RequestFacts<'a> {
    pub(crate) captures: &'a Captures,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) fields: &'a [(String, String)],
    pub(crate) json: Option<&'a Value>,
}

/// What the app answered. `body` is an error where it could not be read.
#[derive(Debug)]
pub(crate) struct ReplyFacts<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Result<&'a [u8], Reason>,
    json: OnceCell<Option<Value>>,
}

impl<'a> ReplyFacts<'a> {
    pub(crate) fn new(
        status: StatusCode,
        headers: &'a HeaderMap,
        body: Result<&'a [u8], Reason>,
    ) -> Self {
        Self { status, headers, body, json: OnceCell::new() }
    }

    /// The reply as JSON, whatever its Content-Type says.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json
            .get_or_init(|| self.body.ok().and_then(|body| read_json(self.headers, body)))
            .as_ref()
    }
}
