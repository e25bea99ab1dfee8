use http::header::{ACCEPT, RANGE};
use http::{HeaderMap, HeaderName, Method, Uri};

/// Whether this is a browser's top-level navigation: `Sec-Fetch-Mode: navigate` and
/// `Sec-Fetch-Dest: document` (Fetch Metadata); without them, which browsers send to trustworthy
/// origins only, a GET whose Accept lists text/html and that names no script library. Never HEAD,
/// Range, or `?download`.
pub(crate) fn is_navigation(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    if method != Method::GET || headers.contains_key(RANGE) || asks_for_download(uri) {
        return false;
    }
    match (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) {
        (None, None) => accepts_html(headers) && !headers.contains_key("x-requested-with"),
        (mode, dest) => {
            mode.is_some_and(|mode| mode == "navigate")
                && dest.is_some_and(|dest| dest == "document")
        }
    }
}

/// Whether a browser asks before its user does, and may throw the answer away: `Sec-Purpose: prefetch` (Fetch
/// standard; `prefetch;prerender` for a whole page, with all that its scripts ask for), and the headers of browsers
/// before that.
pub(crate) fn is_ahead(headers: &HeaderMap) -> bool {
    // To look at the few names that are there costs less than to look each of these up.
    let may_tell = |name: &HeaderName| {
        let name = name.as_str();
        matches!(name.len(), 5 | 7 | 9 | 11) && AHEAD.contains(&name)
    };
    if !headers.keys().any(may_tell) {
        return false;
    }
    let lines = AHEAD.into_iter().flat_map(|name| headers.get_all(name));
    lines.filter_map(|line| line.to_str().ok()).any(|line| {
        let mut words = line.split([',', ';']).map(str::trim);
        words.any(|word| {
            ["prefetch", "prerender", "preview"]
                .iter()
                .any(|ahead| word.eq_ignore_ascii_case(ahead))
        })
    })
}

const AHEAD: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

fn asks_for_download(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(key, _)| key == "download")
}

/// By name and not by wildcard: `*/*` is what every other client sends.
fn accepts_html(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.any(names_html)
}

pub(super) fn names_html(accept: &str) -> bool {
    // Programs ask for `*/*`.
    accept.len() >= "text/html".len()
        && accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/html"));
            html && !parts.any(is_zero_weight)
        })
}

/// `q=0`, `q=0.0` … (RFC 9110, section 12.4.2).
fn is_zero_weight(parameter: &str) -> bool {
    let weight = parameter.strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
    weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::viewer::Shown;

    fn judged(method: &str, uri: &str, lines: &[(&'static str, &'static str)]) -> bool {
        let headers = lines.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        is_navigation(&method.parse().unwrap(), &uri.parse().unwrap(), &headers.collect())
    }

    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
    const DOCUMENT: (&str, &str) = ("sec-fetch-dest", "document");
    const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

    #[test]
    fn top_level_navigations() {
        for (uri, lines) in [
            ("/f/7", &[NAVIGATE, DOCUMENT][..]),
            ("/f/7?page=2&downloads=3", &[NAVIGATE, DOCUMENT, ("accept", "*/*")]),
            ("/f/7", &[BROWSER]),
            ("/f/7", &[("accept", "application/xml"), ("accept", "Text/HTML;q=0.1")]),
        ] {
            assert!(judged("GET", uri, lines), "{uri} {lines:?}");
        }
    }

    #[test]
    fn a_person_is_shown_what_a_browser_navigates_to() {
        for (lines, shown) in [
            (&[NAVIGATE, DOCUMENT][..], true),
            (&[NAVIGATE, ("sec-fetch-dest", "iframe"), ("accept", "*/*")], true),
            (&[BROWSER], true),
            (&[("sec-fetch-mode", "cors"), BROWSER], false),
            (&[BROWSER, ("x-requested-with", "XMLHttpRequest")], false),
            (&[("accept", "*/*")], false),
            (&[("accept", "application/json, text/html;q=0")], false),
            (&[], false),
        ] {
            let headers = lines.iter().map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            });
            assert_eq!(Shown::of(&headers.collect()).to_a_person(), shown, "{lines:?}");
        }
    }

    #[test]
    fn what_is_asked_ahead_of_its_user() {
        let headers = |name, value| {
            let line = (HeaderName::from_static(name), http::HeaderValue::from_static(value));
            HeaderMap::from_iter([line])
        };
        for (name, value) in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("sec-purpose", "Prefetch; anonymous-client-ip"),
            ("purpose", "prefetch"),
            ("purpose", "preview"),
            ("x-purpose", "preview"),
            ("x-moz", "prefetch"),
        ] {
            assert!(is_ahead(&headers(name, value)), "{name}: {value}");
        }
        for (name, value) in [("sec-purpose", ""), ("sec-purpose", "x"), ("accept", "prefetch")] {
            assert!(!is_ahead(&headers(name, value)), "{name}: {value}");
        }
        assert!(!is_ahead(&HeaderMap::new()));
    }

    #[test]
    fn everything_else() {
        for (method, uri, lines) in [
            ("HEAD", "/", &[NAVIGATE, DOCUMENT][..]),
            ("POST", "/", &[NAVIGATE, DOCUMENT]),
            ("GET", "/", &[NAVIGATE, DOCUMENT, ("range", "bytes=0-0")]),
            ("GET", "/?download", &[NAVIGATE, DOCUMENT]),
            ("GET", "/?a=b&download=1", &[NAVIGATE, DOCUMENT]),
            ("GET", "/?d%6Fwnload", &[BROWSER]),
            ("GET", "/", &[NAVIGATE, ("sec-fetch-dest", "iframe")]),
            ("GET", "/", &[NAVIGATE, BROWSER]),
            ("GET", "/", &[DOCUMENT, BROWSER]),
            ("GET", "/", &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), BROWSER]),
            ("GET", "/", &[("accept", "*/*")]),
            ("GET", "/", &[("accept", "text/html;q=0, */*")]),
            ("GET", "/", &[("accept", "text/html;level=1;q=0.000")]),
            ("GET", "/", &[BROWSER, ("x-requested-with", "XMLHttpRequest")]),
            ("GET", "/", &[]),
        ] {
            assert!(!judged(method, uri, lines), "{method} {uri} {lines:?}");
        }
    }
}
