//! `{ body_json = "$[*]" }`: what a JSONPath (RFC 9535) selects in the request's body.

use std::sync::Arc;

use serde_json_path::JsonPath;

use super::facts::{ReplyFacts, RequestFacts};
use super::json::{json_path, texts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "body_json", takes_pattern: true, read };

#[derive(Debug)]
struct InBodyJson(JsonPath);

impl Locate for InBodyJson {
    fn input(&self) -> Input<'_> {
        Input::RequestJson
    }

    fn values(
        &self,
        request: &RequestFacts<'_>,
        _: &ReplyFacts<'_>,
    ) -> Result<Vec<String>, Reason> {
        Ok(request.json.map(|json| texts(&self.0, json)).unwrap_or_default())
    }

    fn written(&self) -> String {
        format!("body_json = {:?}", self.0.to_string())
    }
}

fn read<'a>(text: &str, _: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    Ok(Arc::new(InBodyJson(json_path(text)?)))
}
