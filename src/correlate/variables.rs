//! What conditions see of a request and of a reply.

use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

use super::ids::ReplyFacts;

/// `request`: method, path, query, headers and, where one was kept, json.
pub(crate) fn request_value(
    method: &Method,
    path: &str,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Option<&Value>,
) -> Value {
    let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    json!({
        "method": method.as_str(),
        "path": path,
        "query": first_of_each(query.map(|(k, v)| (k.into_owned(), v.into_owned()))),
        "headers": header_values(headers),
        "json": body,
    })
}

/// `form`: the fields; of a repeated one, the first.
pub(crate) fn form_value(fields: &[(String, String)]) -> Value {
    first_of_each(fields.iter().cloned())
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

fn first_of_each(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut values = Map::new();
    for (key, value) in pairs {
        values.entry(key).or_insert(Value::String(value));
    }
    Value::Object(values)
}
