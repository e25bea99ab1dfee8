//! What things weigh in bounded caches, in bytes; rather too much than too little.

use serde_json::Value;

/// What a cache itself spends on an entry: nodes in its orders of use, a place in its table, counters.
pub(crate) const ENTRY: usize = 400;

/// A JSON value with all that is in it.
pub(crate) fn value(value: &Value) -> usize {
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(self::value).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| member(name, value)).sum(),
        _ => 0,
    }
}

/// A member of a JSON object, or of another map from names to values.
pub(crate) fn member(name: &str, value: &Value) -> usize {
    NODE + name.len() + self::value(value)
}

/// The sum as caches take it.
pub(crate) fn of(parts: impl IntoIterator<Item = usize>) -> u32 {
    u32::try_from(parts.into_iter().sum::<usize>()).unwrap_or(u32::MAX)
}

/// A value, or the text of a name, with its share of what holds it.
const NODE: usize = 48;
