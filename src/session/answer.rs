//! The one judge of the app's word. Pure.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

/// The app's word, on whatever it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No(Refusal),
    /// The app could not say; with the reason.
    Unknown(&'static str),
}

/// How the app says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401, 403 and other errors of the client's.
    Refused,
    /// 404 or 410: there is nothing.
    Gone,
    /// 416: there is no first byte.
    Empty,
    /// A redirect, as to a login, or back to where a form came from.
    Elsewhere,
    /// A web page that was not asked for: a login with 200, or a form shown again.
    Page,
    /// 2xx of another type than was asked for.
    OtherType,
}

impl Refusal {
    /// For log and trail.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Refused => "the app refused",
            Self::Gone => "the app has nothing there",
            Self::Empty => "the app has not a byte there",
            Self::Elsewhere => "the app sent the caller elsewhere, as to a login",
            Self::Page => "the app answered with a page, as a login is one",
            Self::OtherType => "the app's answer is of another type than the probe accepts",
        }
    }

    /// Whether an app that did what it was asked may answer so: forms are answered with redirects and pages.
    pub(crate) fn proves_little(self) -> bool {
        matches!(self, Self::Elsewhere | Self::Page)
    }
}

/// Reads status and content type of a probe's answer, of a view's own reply, and of the reply to an upload, a
/// replacement or a deletion; `asked` are the headers by which Transom asked, empty where the client did.
///
/// A 2xx is a yes, unless its content type is one that was not asked for: many apps answer a stranger, or a
/// wrong address, with their login or start page and 200. So HTML counts only where `accept` in `asked`
/// names it, and where there is an `accept`, the reply has to be of a type in it. A reply that doesn't tell its type
/// is taken at its status.
pub(crate) fn judge(status: StatusCode, reply: &HeaderMap, asked: &HeaderMap) -> Answer {
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            return Answer::Unknown("the app wants to be asked later");
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => return Answer::No(Refusal::Gone),
        StatusCode::RANGE_NOT_SATISFIABLE => return Answer::No(Refusal::Empty),
        status if status.is_server_error() => {
            return Answer::Unknown("the app failed to answer");
        }
        status if status.is_redirection() => return Answer::No(Refusal::Elsewhere),
        status if !status.is_success() => return Answer::No(Refusal::Refused),
        _ => {}
    }
    let Some(content_type) = essence(reply) else { return Answer::Yes };
    let is_page = PAGES.iter().any(|page| page.eq_ignore_ascii_case(content_type));
    if is_page && !ranges(asked).any(|range| range.as_bytes().eq_ignore_ascii_case(content_type)) {
        return Answer::No(Refusal::Page);
    }
    let mut accepted = ranges(asked).peekable();
    if accepted.peek().is_none() || accepted.any(|range| covers(range, content_type)) {
        return Answer::Yes;
    }
    Answer::No(Refusal::OtherType)
}

/// `type/subtype`, in the case that the app gave it.
fn essence(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(CONTENT_TYPE)?.as_bytes();
    let essence = value.split(|byte| *byte == b';').next()?.trim_ascii();
    if essence.is_ascii() {
        return Some(essence);
    }
    // Other blanks are taken off, too.
    Some(std::str::from_utf8(essence).map_or(essence, |text| text.trim().as_bytes()))
}

fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(','));
    let ranges = ranges.map(|range| range.split(';').next().unwrap_or_default());
    ranges.map(str::trim).filter(|range| !range.is_empty())
}

fn covers(range: &str, content_type: &[u8]) -> bool {
    match range.strip_suffix("/*") {
        Some("*") => true,
        Some(family) => {
            let of = content_type.split(|byte| *byte == b'/').next();
            of.is_some_and(|of| of.eq_ignore_ascii_case(family.as_bytes()))
        }
        None => range.as_bytes().eq_ignore_ascii_case(content_type),
    }
}

const PAGES: [&[u8]; 2] = [b"text/html", b"application/xhtml+xml"];

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
            (" Text/HTML ;charset=utf-8", "TEXT/html", true),
            ("Image/PNG", "IMAGE/*", true),
            ("text/html\u{a0}", "", false),
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
            Answer::No(Refusal::Refused)
        );
        assert_eq!(answer(404, "text/html", ""), Answer::No(Refusal::Gone));
        assert_eq!(answer(302, "text/html", "text/html"), Answer::No(Refusal::Elsewhere));
    }
}
