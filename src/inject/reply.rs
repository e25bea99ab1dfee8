use http::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG, EXPIRES, HeaderName};
use http::{HeaderMap, HeaderValue};

/// Marks a reply as carrying a session: `Cache-Control: private, no-store`, and nothing beside it that
/// a cache would obey instead (targeted cache control, RFC 9213, and its forerunners).
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    remove(headers, overrides_cache_control);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
}

/// Makes the headers true for a body of `length` bytes that was edited: Content-Length; digests go; a
/// strong ETag becomes weak, since the bytes differ from session to session; Accept-Ranges goes.
pub(crate) fn describe_edited(headers: &mut HeaderMap, length: usize) {
    remove(headers, is_of_the_old_bytes);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    if let Some(strong) = strong {
        match HeaderValue::from_bytes(&[b"W/", strong.as_bytes()].concat()) {
            Ok(weak) => headers.insert(ETAG, weak),
            Err(_) => headers.remove(ETAG),
        };
    }
}

/// One look at each name there is costs less than one search for each that is unwanted.
fn remove(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
        headers.remove(name);
    }
}

fn overrides_cache_control(name: &HeaderName) -> bool {
    let name = name.as_str();
    // Most names end otherwise, which is one look.
    match name.as_bytes().last() {
        Some(b's') => name == EXPIRES.as_str() || name == "x-accel-expires",
        Some(b'l') => name.ends_with("-cache-control") || name.ends_with("surrogate-control"),
        _ => false,
    }
}

fn is_of_the_old_bytes(name: &HeaderName) -> bool {
    // With a known length there is no transfer coding (RFC 9112, section 6.2).
    const TRANSFER_ENCODING: &str = "transfer-encoding";
    matches!(
        name.as_str(),
        "accept-ranges"
            | TRANSFER_ENCODING
            | "digest"
            | "content-digest"
            | "repr-digest"
            | "content-md5"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line =
            |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        lines.iter().map(line).collect()
    }

    #[test]
    fn no_cache_is_told_otherwise() {
        let mut reply = headers(&[
            ("cache-control", "public, max-age=60"),
            ("expires", "Thu, 01 Jan 2099 00:00:00 GMT"),
            ("cdn-cache-control", "max-age=60"),
            ("surrogate-control", "max-age=60"),
            ("x-accel-expires", "60"),
            ("vary", "cookie"),
        ]);
        forbid_storing(&mut reply);
        assert_eq!(reply, headers(&[("vary", "cookie"), ("cache-control", "private, no-store")]));
    }

    #[test]
    fn headers_of_an_edited_body() {
        let mut reply = headers(&[
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("etag", "\"v1\""),
            ("accept-ranges", "bytes"),
            ("content-digest", "sha-256=:AA==:"),
            ("repr-digest", "sha-256=:AA==:"),
            ("digest", "sha-256=AA=="),
            ("content-md5", "AA=="),
        ]);
        describe_edited(&mut reply, 99);
        let expected =
            [("content-length", "99"), ("content-type", "application/json"), ("etag", "W/\"v1\"")];
        assert_eq!(reply, headers(&expected));
        describe_edited(&mut reply, 99);
        assert_eq!(reply, headers(&expected), "a weak tag stays as it is");
    }
}
