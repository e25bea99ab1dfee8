//! What the app's answer to a probe says about the caller. Pure.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

/// The app's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// With the reason, for the log.
    No(&'static str),
    /// The app could not say; with the reason.
    Unknown(&'static str),
}

/// Reads status and content type; `asked` are the headers of the probe itself.
///
/// A 2xx is a yes, unless its content type is one that nobody asked for: many apps answer a stranger, or a
/// wrong address, with their login or start page and 200. So HTML counts only where the probe's own `accept`
/// names it, and where there is an `accept`, the reply has to be of a type in it. A reply that doesn't tell its type
/// is taken at its status.
pub(crate) fn judge(status: StatusCode, reply: &HeaderMap, asked: &HeaderMap) -> Answer {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            return Answer::Unknown("the app wants to be asked later");
        }
        status if status.is_server_error() => {
            return Answer::Unknown("the app failed to answer");
        }
        status if status.is_redirection() => {
            return Answer::No("the app sent the caller elsewhere, as to a login");
        }
        status if !status.is_success() => return Answer::No("the app refused"),
        _ => {}
    }
    let Some(content_type) = essence(reply) else { return Answer::Yes };
    let accepted: Vec<String> = ranges(asked).collect();
    if PAGES.contains(&content_type.as_str()) && !accepted.contains(&content_type) {
        return Answer::No("the app answered with a page, as a login is one");
    }
    if accepted.is_empty() || accepted.iter().any(|range| covers(range, &content_type)) {
        return Answer::Yes;
    }
    Answer::No("the app's answer is of another type than the probe accepts")
}

/// `type/subtype` in lower case.
fn essence(headers: &HeaderMap) -> Option<String> {
    let value = String::from_utf8_lossy(headers.get(CONTENT_TYPE)?.as_bytes()).to_ascii_lowercase();
    Some(value.split(';').next().unwrap_or_default().trim().to_owned())
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = String> {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(','));
    let ranges = ranges.map(|range| range.split(';').next().unwrap_or_default());
    ranges.map(|range| range.trim().to_ascii_lowercase()).filter(|range| !range.is_empty())
}

fn covers(range: &str, content_type: &str) -> bool {
    match range.strip_suffix("/*") {
        Some("*") => true,
        Some(family) => content_type.split('/').next() == Some(family),
        None => range == content_type,
    }
}

const PAGES: &[&str] = &["text/html", "application/xhtml+xml"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, content_type: &str, accept: &str) -> Answer {
        let headers = |name, value: &str| {
            let mut headers = HeaderMap::new();
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).unwrap());
            }
            headers
        };
        let status = StatusCode::from_u16(status).unwrap();
        judge(status, &headers(CONTENT_TYPE, content_type), &headers(ACCEPT, accept))
    }

    #[test]
    fn by_status() {
        for (statuses, expected) in [
            (&[200, 201, 204, 206][..], "Yes"),
            (&[301, 302, 303, 304, 307, 400, 401, 403, 404, 405, 410, 416, 451], "No"),
            (&[408, 425, 429, 500, 501, 502, 503, 504, 599], "Unknown"),
        ] {
            for status in statuses {
                let answer = format!("{:?}", answer(*status, "", ""));
                assert!(answer.starts_with(expected), "{status}: {answer}");
            }
        }
    }

    #[test]
    fn by_content_type() {
        for (content_type, accept, yes) in [
            ("application/pdf", "", true),
            ("application/json; charset=utf-8", "", true),
            ("text/html", "", false),
            ("Text/HTML; charset=utf-8", "", false),
            ("application/xhtml+xml", "*/*", false),
            ("text/html", "text/*", false),
            ("text/html; charset=utf-8", "application/xml, text/html;q=0.9", true),
            ("application/json", "application/json", true),
            ("application/problem+json", "application/json", false),
            ("application/json", "text/plain, application/*", true),
            ("image/png", "application/json", false),
            ("image/png", "*/*", true),
            ("", "application/json", true),
        ] {
            assert_eq!(
                answer(200, content_type, accept) == Answer::Yes,
                yes,
                "{content_type} for {accept}"
            );
        }
        assert_eq!(
            answer(403, "application/json", "application/json"),
            Answer::No("the app refused")
        );
    }
}
