//! Names of headers and cookies, and which of them Transom may take.

use http::HeaderName;

/// A header that is read.
pub(super) fn header(text: &str) -> Result<HeaderName, String> {
    let name = HeaderName::from_bytes(text.as_bytes());
    name.map_err(|_| format!("`{text}` is not a header name"))
}

/// A header of ours: one whose meaning nobody else has.
pub(super) fn owned_header(text: &str) -> Result<HeaderName, String> {
    let name = header(text)?;
    let family = TAKEN_FAMILIES.iter().any(|start| name.as_str().starts_with(start));
    if family || TAKEN.contains(&name.as_str()) {
        return Err(format!(
            "`{text}` has a meaning of its own; take a name such as `X-Viewer-Session`"
        ));
    }
    Ok(name)
}

/// The name of a cookie or of an authentication scheme (RFC 9110, section 5.6.2).
pub(super) fn token(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        return Err(format!("`{text}` is not a name: letters, digits and `-_.` only"));
    }
    Ok(text.to_owned())
}

const TAKEN_FAMILIES: &[&str] =
    &["access-control-", "content-", "sec-", "proxy-", "if-", "x-forwarded-", "accept"];

const TAKEN: &[&str] = &[
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "destination",
    "etag",
    "expect",
    "expires",
    "forwarded",
    "from",
    "host",
    "keep-alive",
    "last-modified",
    "location",
    "max-forwards",
    "origin",
    "range",
    "referer",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-http-method-override",
    "x-method-override",
    "x-real-ip",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_a_meaning_can_not_be_ours() {
        for name in ["Authorization", "cookie", "Host", "Content-Length", "X-Forwarded-For"] {
            assert!(header(name).is_ok() && owned_header(name).is_err(), "{name}");
        }
        assert!(owned_header("X-Viewer-Session").is_ok());
        assert!(owned_header("x y").is_err());
    }
}
