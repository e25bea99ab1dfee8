use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::{csp, html};
use crate::reason::Reason;

/// A plain page for a reason, for people; status as the problem reply's. One for a pending document, at
/// `{prefix}/view/…`, waits until it is there.
pub(crate) fn refusal(reason: Reason, prefix: &str, request_id: &str) -> Response<String> {
    let status = reason.status().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let answered = format!("Answered by the document viewer ({prefix})");
    page(reason, status, &answered, prefix, request_id)
}

/// The same in the app's stead, for an app that does not answer or was not asked.
#[cfg(feature = "cli")]
pub(crate) fn instead_of_the_app(
    reason: Reason,
    status: StatusCode,
    request_id: &str,
) -> Response<String> {
    page(reason, status, "Answered in front of the application", "", request_id)
}

fn page(
    reason: Reason,
    status: StatusCode,
    answered: &str,
    prefix: &str,
    request_id: &str,
) -> Response<String> {
    let nonce = csp::nonce();
    let text = reason.page();
    let waits = status == StatusCode::ACCEPTED;
    let script = html::fill(SCRIPT, &[("nonce", &nonce), ("script", include_str!("refusal.js"))]);
    let page = html::fill(
        include_str!("refusal.html"),
        &[
            ("nonce", &nonce),
            ("style", include_str!("page.css")),
            ("role", if waits { "role=\"status\" aria-live=\"polite\"" } else { "role=\"alert\"" }),
            ("waiting", if waits { WAITING } else { "" }),
            ("script", if waits { &script } else { "" }),
            ("title", text.title),
            ("advice", text.advice),
            ("answered", answered),
            ("code", reason.code()),
            ("prefix", prefix),
            ("request_id", request_id),
        ],
    );
    let mut reply = Response::new(page);
    *reply.status_mut() = status;
    // For the access log.
    reply.extensions_mut().insert(reason);
    let headers = reply.headers_mut();
    let policy = if waits { csp::of_waiting_page(&nonce) } else { csp::of_plain_page(&nonce) };
    describe_page(headers, policy);
    match status {
        StatusCode::ACCEPTED => headers.insert(RETRY_AFTER, HeaderValue::from_static("3")),
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("10"))
        }
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

/// The time is not read out: it changes each second.
const WAITING: &str =
    "<progress></progress>\n<p id=\"waited\" class=\"trace\" aria-hidden=\"true\"></p>\n";
const SCRIPT: &str = "<script type=\"module\" nonce=\"{{nonce}}\">{{{script}}}</script>\n";

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
        assert!(page.contains("role=\"alert\""));
        assert!(!page.contains("{{") && !page.contains("<script"));
    }

    #[test]
    fn statuses_carry_what_http_asks_of_them() {
        let pending = refusal(Reason::DocumentPending, "/.transom", "r");
        assert_eq!(
            (pending.status().as_u16(), &pending.headers()["retry-after"]),
            (202, &"3".parse().unwrap())
        );
        assert!(!pending.body().contains("http-equiv"), "it waits in place");
        assert!(pending.body().contains("role=\"status\" aria-live=\"polite\""));
        let policy = pending.headers()["content-security-policy"].to_str().unwrap();
        let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(pending.body().contains(&format!("<script type=\"module\" nonce=\"{nonce}\">")));
        let missing = refusal(Reason::TokenMissing, "/.transom", "r");
        assert_eq!(missing.headers()["www-authenticate"], "Bearer");
        let down = instead_of_the_app(Reason::AppUnavailable, StatusCode::BAD_GATEWAY, "r");
        assert_eq!(down.status(), 502);
        assert!(down.body().contains("The application does not answer right now"));
        let busy = refusal(Reason::Overloaded, "/.transom", "r");
        assert_eq!(busy.headers()["retry-after"], "10");
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
