use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, EXPIRES, HeaderName, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, RANGE, VARY,
};
use http::{HeaderMap, HeaderValue};

/// Marks a reply as made with a session: `Cache-Control: private, no-store`, and nothing beside it that
/// a cache would obey instead (targeted cache control, RFC 9213, and its forerunners).
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    remove(headers, overrides_cache_control);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
}

/// Marks a reply as not to be used again without asking: the next one may have the session that this one lacks. One
/// that says so already stays as it is.
pub(crate) fn forbid_reuse(headers: &mut HeaderMap) {
    let says = |line: &HeaderValue| {
        let line = line.as_bytes().to_ascii_lowercase();
        [&b"no-store"[..], b"no-cache"].iter().any(|word| line.windows(8).any(|at| at == *word))
    };
    if !headers.get_all(CACHE_CONTROL).iter().any(says) {
        remove(headers, overrides_cache_control);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

/// Makes the headers true for a body of `length` bytes that was edited: Content-Length; codings, digests and
/// Accept-Ranges go.
///
/// An ETag stays as the app wrote it, also a strong one: clients send it back in `If-Match` (RFC 9110, section
/// 13.1.1) to the app, which knows no other. No cache compares it, since the reply may not be stored.
pub(crate) fn describe_edited(headers: &mut HeaderMap, length: usize) {
    remove(headers, is_of_the_old_bytes);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
}

/// Whether the client has something already, or wants a part: the app may answer with less than the whole.
pub(crate) fn is_conditional(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| tells_what_is_held(name) || *name == RANGE)
}

/// Has the app answer with the whole of it, whatever the client holds: a 304 would hide the session. With `edited`,
/// a part of the body is of no use either; otherwise `Range` stays, with the `If-Range` that guards it.
pub(crate) fn ask_for_all(headers: &mut HeaderMap, edited: bool) {
    let of_a_part = |name: &HeaderName| *name == RANGE || *name == IF_RANGE;
    remove(headers, |name| tells_what_is_held(name) || (edited && of_a_part(name)));
}

fn tells_what_is_held(name: &HeaderName) -> bool {
    *name == IF_NONE_MATCH || *name == IF_MODIFIED_SINCE
}

/// Tells caches that this address gives a page to some and bytes to others (RFC 9110, section 12.5.5). `Vary: *`
/// says more, and stays.
pub(crate) fn vary_by_asker(headers: &mut HeaderMap) {
    if !headers.contains_key(VARY) {
        headers.insert(VARY, HeaderValue::from_static("Sec-Fetch-Mode, Sec-Fetch-Dest, Accept"));
        return;
    }
    let lines: Vec<&str> = headers.get_all(VARY).iter().filter_map(|v| v.to_str().ok()).collect();
    let known = lines.iter().flat_map(|line| line.split(','));
    let known: Vec<_> = known.map(|name| name.trim().to_ascii_lowercase()).collect();
    if known.iter().any(|name| name == "*") {
        return;
    }
    let more = BY_ASKER.iter().filter(|name| !known.contains(&name.to_ascii_lowercase()));
    // One line, since there are caches that heed the first only.
    let all: Vec<&str> = lines.iter().copied().chain(more.copied()).collect();
    if let Ok(line) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(VARY, line);
    }
}

/// What tells a navigation from other requests.
const BY_ASKER: [&str; 3] = ["Sec-Fetch-Mode", "Sec-Fetch-Dest", "Accept"];

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
        Some(b'l') => {
            name.ends_with("-cache-control")
                || name.ends_with("surrogate-control")
                || name == "edge-control"
        }
        _ => false,
    }
}

fn is_of_the_old_bytes(name: &HeaderName) -> bool {
    // With a known length there is no transfer coding (RFC 9112, section 6.2).
    const TRANSFER_ENCODING: &str = "transfer-encoding";
    name == CONTENT_ENCODING
        || matches!(
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
            ("cloudflare-cdn-cache-control", "max-age=60"),
            ("surrogate-control", "max-age=60"),
            ("edge-control", "cache-maxage=60s"),
            ("x-accel-expires", "60"),
            ("vary", "cookie"),
        ]);
        forbid_storing(&mut reply);
        assert_eq!(reply, headers(&[("vary", "cookie"), ("cache-control", "private, no-store")]));
    }

    #[test]
    fn a_reply_that_lacks_its_session_is_asked_for_again() {
        for (apps, told) in [
            ("public, max-age=60", "private, no-cache"),
            ("No-Store", "No-Store"),
            ("private, no-cache", "private, no-cache"),
        ] {
            let mut reply = headers(&[("cache-control", apps)]);
            forbid_reuse(&mut reply);
            assert_eq!(reply[CACHE_CONTROL], told);
        }
    }

    #[test]
    fn headers_of_an_edited_body() {
        let mut reply = headers(&[
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("etag", "\"v1\""),
            ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("accept-ranges", "bytes"),
            ("content-digest", "sha-256=:AA==:"),
            ("repr-digest", "sha-256=:AA==:"),
            ("digest", "sha-256=AA=="),
            ("content-md5", "AA=="),
        ]);
        describe_edited(&mut reply, 99);
        let expected = [
            ("content-length", "99"),
            ("content-type", "application/json"),
            ("etag", "\"v1\""),
            ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ];
        assert_eq!(reply, headers(&expected));
    }

    #[test]
    fn the_whole_is_asked_for() {
        let conditional = [
            ("if-none-match", "\"v1\""),
            ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("range", "bytes=0-9"),
            ("if-range", "\"v1\""),
            ("if-match", "\"v1\""),
        ];
        for (edited, left) in [(true, &conditional[4..]), (false, &conditional[2..])] {
            let mut request = headers(&conditional);
            assert!(is_conditional(&request));
            ask_for_all(&mut request, edited);
            assert_eq!(request, headers(left));
        }
        assert!(!is_conditional(&headers(&[("if-match", "\"v1\"")])));
    }

    #[test]
    fn vary_grows_by_what_it_does_not_say() {
        for (before, after) in [
            (&[][..], "Sec-Fetch-Mode, Sec-Fetch-Dest, Accept"),
            (&["Origin"], "Origin, Sec-Fetch-Mode, Sec-Fetch-Dest, Accept"),
            (
                &["Accept-Encoding, accept", "Cookie"],
                "Accept-Encoding, accept, Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest",
            ),
            (&["ACCEPT,sec-fetch-mode , Sec-Fetch-Dest"], "ACCEPT,sec-fetch-mode , Sec-Fetch-Dest"),
            (&["*"], "*"),
            (&["Cookie, *"], "Cookie, *"),
        ] {
            let lines = before.iter().map(|value| (VARY, HeaderValue::from_static(value)));
            let mut reply: HeaderMap = lines.collect();
            vary_by_asker(&mut reply);
            let once = reply.clone();
            vary_by_asker(&mut reply);
            assert_eq!(reply, once);
            let all: Vec<_> = reply.get_all(VARY).iter().collect();
            assert_eq!(all, [after], "{before:?}");
        }
    }
}
