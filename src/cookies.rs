//! The cookies of a request.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// HTTP/2 may split cookies over several lines; everything else wants them on one (RFC 9113 section 8.2.3).
pub(crate) fn join(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(b"; ".as_slice())) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_joined_into_one_line() {
        for (lines, joined) in [
            (&["a=1", "b=2", "c=\"3\""][..], Some("a=1; b=2; c=\"3\"")),
            (&["a=1; b=2"], Some("a=1; b=2")),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_static(line));
            }
            join(&mut headers);
            let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(left, joined.as_slice(), "{lines:?}");
        }
    }
}
