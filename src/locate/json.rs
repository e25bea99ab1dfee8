//! `{ json = "$.data.id" }`: what a JSONPath (RFC 9535) selects in the app's reply.

use std::sync::Arc;

use serde_json::Value;
use serde_json_path::JsonPath;

use super::facts::{ReplyFacts, RequestFacts};
use super::locator::{Input, Locate};
use super::notation::{Mistake, Notation, Route};
use crate::reason::Reason;

pub(super) const NOTATION: Notation = Notation { key: "json", takes_pattern: true, read };

#[derive(Debug)]
struct InJson(JsonPath);

impl Locate for InJson {
    fn input(&self) -> Input<'_> {
        Input::ReplyBody
    }

    fn values(&self, _: &RequestFacts<'_>, reply: &ReplyFacts<'_>) -> Result<Vec<String>, Reason> {
        Ok(reply.json().map(|json| texts(&self.0, json)).unwrap_or_default())
    }

    fn written(&self) -> String {
        format!("json = {:?}", self.0.to_string())
    }
}

fn read<'a>(text: &str, _: &Route<'a>) -> Result<Arc<dyn Locate>, Mistake<'a>> {
    Ok(Arc::new(InJson(json_path(text)?)))
}

/// The texts and numbers that a path selects; a selection that holds anything else yields nothing, since the order of
/// files and ids would be lost.
pub(crate) fn texts(path: &JsonPath, json: &Value) -> Vec<String> {
    let texts = path.query(json).into_iter().map(|value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        // Fractions, and whole numbers of more than 64 bits, of which two could become one.
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    });
    texts.collect::<Option<_>>().unwrap_or_default()
}

pub(crate) fn json_path(text: &str) -> Result<JsonPath, Mistake<'static>> {
    JsonPath::parse(text).map_err(|error| Mistake {
        message: format!("`{text}` is not a JSONPath (RFC 9535)"),
        label: "not understood from here on".to_owned(),
        help: "a member is `$.data.id`, all items are `$.files[*].id`",
        column: Some(text.chars().count().min(error.position()) + 1),
        choices: Vec::new(),
    })
}
