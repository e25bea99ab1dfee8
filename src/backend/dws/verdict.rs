//! What a reply other than success means.

use std::time::{Duration, SystemTime};

use super::BackendErrorKind;

/// The kind of a reply with this status. `body` is its text, in whatever shape.
pub(super) fn kind(status: u16, has_retry_after: bool, body: &str) -> BackendErrorKind {
    match status {
        // A redirect is never followed; whoever answers it has not taken the request.
        301 | 302 | 307 | 308 => BackendErrorKind::Unreachable,
        401 => BackendErrorKind::KeyRefused,
        402 => BackendErrorKind::Quota,
        403 | 422 | 429 if names_a_quota(body) => BackendErrorKind::Quota,
        403 => BackendErrorKind::Forbidden,
        404 => BackendErrorKind::NotFound,
        429 => BackendErrorKind::RateLimited,
        503 if has_retry_after => BackendErrorKind::Busy,
        408 => BackendErrorKind::Unclear,
        413 | 415 | 422 => BackendErrorKind::Refused,
        400..=499 => BackendErrorKind::Gateway,
        500 if body.to_ascii_lowercase().contains("overload") => BackendErrorKind::Overloaded,
        _ => BackendErrorKind::Unclear,
    }
}

/// `Retry-After` in either form (RFC 9110 section 10.2.3), at most [`LONGEST_WAIT`].
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// Rate limits speak of limits too, so for 429 "rate limit" and "too many requests" don't count.
fn names_a_quota(body: &str) -> bool {
    let body = body.to_ascii_lowercase().replace("rate limit", "").replace("rate-limit", "");
    ["quota", "limit", "upgrade"].into_iter().any(|word| body.contains(word))
}

const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_kind() {
        use BackendErrorKind::*;
        let cases = [
            (400, Gateway),
            (401, KeyRefused),
            (402, Quota),
            (403, Forbidden),
            (404, NotFound),
            (405, Gateway),
            (406, Gateway),
            (409, Gateway),
            (411, Gateway),
            (425, Gateway),
            (431, Gateway),
            (451, Gateway),
            (408, Unclear),
            (413, Refused),
            (415, Refused),
            (422, Refused),
            (429, RateLimited),
            (308, Unreachable),
            (303, Unclear),
            (500, Unclear),
            (502, Unclear),
            (503, Unclear),
        ];
        for (status, expected) in cases {
            assert_eq!(kind(status, false, "no"), expected, "{status}");
        }
        assert_eq!(kind(503, true, ""), Busy);
        assert_eq!(kind(500, true, ""), Unclear);
        assert_eq!(kind(500, false, "Overload"), Overloaded);
    }

    #[test]
    fn a_text_can_name_a_quota() {
        use BackendErrorKind::*;
        assert_eq!(kind(403, false, "Document LIMIT reached"), Quota);
        assert_eq!(kind(422, false, r#"{"error":"quota_exceeded"}"#), Quota);
        assert_eq!(kind(429, false, "please upgrade your plan"), Quota);
        assert_eq!(kind(429, false, "Rate limit exceeded"), RateLimited);
        assert_eq!(kind(413, false, "over the size limit"), Refused);
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let date = |seconds| httpdate::fmt_http_date(now + Duration::from_secs(seconds));
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("999999999", now), Some(LONGEST_WAIT));
        assert_eq!(retry_after(&date(90), now), Some(Duration::from_secs(90)));
        let past = httpdate::fmt_http_date(now - Duration::from_secs(5));
        assert_eq!(retry_after(&past, now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-1", now), None);
    }
}
