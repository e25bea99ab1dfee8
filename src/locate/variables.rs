//! What conditions see of a request and of a reply.

use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::facts::ReplyFacts;
use crate::reading::{self, parameters};

/// `request`: method, path, query, headers and, where one was kept, json.
pub(crate) fn request_value(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Option<&Value>,
) -> Value {
    json!({
        "method": method.as_str(),
        "path": path,
        "query": parameters(query),
        "headers": header_values(headers),
        "json": body,
    })
}

/// `form`: the fields. A condition that looks at a repeated one can't be evaluated.
pub(crate) fn form_value(fields: &[(String, String)]) -> Value {
    Value::Object(reading::fields(fields))
}

/// `reply`: status, headers, json.
pub(crate) fn reply_value(reply: &ReplyFacts<'_>) -> Value {
    json!({
        "status": reply.status.as_u16(),
        "headers": header_values(reply.headers),
        "json": reply.json(),
    })
}

/// By lower-case name; repeated ones joined by ", " (RFC 9110 section 5.3).
fn header_values(headers: &HeaderMap) -> Value {
    let mut values = Map::new();
    for name in headers.keys() {
        let joined = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect::<Vec<_>>()
            .join(", ");
        values.insert(name.as_str().to_owned(), Value::String(joined));
    }
    Value::Object(values)
}
