use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::{csp, html, texts};
use crate::reason::Reason;

/// A plain page for a reason, for people; status as the problem reply's. One for a pending document
/// reloads itself.
pub(crate) fn refusal(reason: Reason, prefix: &str, request_id: &str) -> Response<String> {
    let nonce = csp::nonce();
    let text = texts::of(reason);
    let status = reason.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reload = if status == StatusCode::ACCEPTED { RELOAD } else { "" };
    let page = html::fill(
        include_str!("refusal.html"),
        &[
            ("nonce", &nonce),
            ("reload", reload),
            ("style", include_str!("page.css")),
            ("title", text.title),
            ("advice", text.advice),
            ("code", reason.code()),
            ("prefix", prefix),
            ("request_id", request_id),
        ],
    );
    let mut reply = Response::new(page);
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    describe_page(headers, csp::of_plain_page(&nonce));
    match status {
        StatusCode::ACCEPTED => headers.insert(RETRY_AFTER, HeaderValue::from_static("3")),
        // RFC 9110, section 11.6.1, wants a challenge; this one makes no browser ask for a password.
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        }
        _ => None,
    };
    reply
}

/// Headers of every page of ours. The referrer is the origin alone: ids stay here.
pub(super) fn describe_page(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

const RELOAD: &str = "<meta http-equiv=\"refresh\" content=\"3\">";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn says_what_happened_and_how_to_ask_about_it() {
        let reply = refusal(Reason::DeniedByApp, "/.transom", "r-1");
        assert_eq!(reply.status(), 403);
        assert_eq!(reply.headers()["cache-control"], "no-store");
        let policy = reply.headers()["content-security-policy"].to_str().unwrap();
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        let page = reply.body();
        assert!(page.contains(&format!("<style nonce=\"{nonce}\">")), "{page}");
        for text in ["does not show you this document", "denied_by_app", "r-1"] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("{{") && !page.contains("http-equiv"));
    }

    #[test]
    fn statuses_carry_what_http_asks_of_them() {
        let pending = refusal(Reason::DocumentPending, "/.transom", "r");
        assert_eq!(
            (pending.status().as_u16(), &pending.headers()["retry-after"]),
            (202, &"3".parse().unwrap())
        );
        assert!(pending.body().contains("http-equiv=\"refresh\""));
        let missing = refusal(Reason::TokenMissing, "/.transom", "r");
        assert_eq!(missing.headers()["www-authenticate"], "Bearer");
        assert_eq!(refusal(Reason::SpoolFailed, "/.transom", "r").status(), 500);
    }

    #[test]
    fn a_hostile_request_id_stays_text() {
        let reply =
            refusal(Reason::NotFound, "/.transom", "\"><script>alert(1)</script>{{{style}}}");
        assert!(!reply.body().contains("<script"));
        assert_eq!(reply.body().matches("<style").count(), 1);
    }
}
