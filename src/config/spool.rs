//! `[store] spool`: how much may rest in the spool.

use super::tree::Value;
use super::units::size;
use crate::spool::SpoolLimits;

/// `{ limit = "10 GiB", unaccepted = "2 GiB", per_client = "500 MiB", reserve = "1 GiB" }`
pub(super) fn spool(value: &Value<'_>) -> SpoolLimits {
    let mut limits = SpoolLimits::default();
    let Some(table) = value.table("`spool`") else { return limits };
    for (key, limit, least) in [
        ("limit", &mut limits.limit, 1),
        ("unaccepted", &mut limits.unaccepted, 1),
        ("per_client", &mut limits.per_client, 1),
        ("reserve", &mut limits.reserve, 0),
    ] {
        let read = |text: &str| match size(text)? {
            bytes if bytes < least => Err("nothing would be captured".to_owned()),
            bytes => Ok(bytes),
        };
        if let Some(bytes) = table.get(key).and_then(|value| value.parse(read)) {
            *limit = bytes;
        }
    }
    // Only what is written can be wrong: a small `limit` alone bounds the defaults too.
    for (key, within, outer) in [
        ("unaccepted", "limit", limits.limit),
        ("per_client", "unaccepted", limits.unaccepted.min(limits.limit)),
    ] {
        let written = match key {
            "unaccepted" => limits.unaccepted,
            _ => limits.per_client,
        };
        let Some(value) = table.get(key) else { continue };
        if written > outer {
            let message = format!("`{key}` is more than `{within}`, so it never counts");
            value.warn(message, format!("`{within}` is {outer} bytes"));
        }
    }
    table.finish();
    limits
}
