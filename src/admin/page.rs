//! Keeps web pages in the operator's browser from asking the admin listener.

use std::net::IpAddr;

use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderValue, Request, StatusCode};

/// Why a request is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For the operator.
    pub(super) told: String,
}

/// A page can have a name of its own resolve to our address, and read what it is answered then (DNS rebinding). So
/// names are answered to only where `hosts` has them; no page can have an address or `localhost` for its name. What
/// changes something is refused to pages of any other origin, which can send it without reading the answer.
///
/// # Errors
/// 421 for another host, 403 for another origin.
pub(super) fn check<B>(request: &Request<B>, hosts: &[String]) -> Result<(), Refusal> {
    let host = asked_host(request);
    if let Some(host) = host
        && !is_ours(host, hosts)
    {
        let told = "this listener answers to IP addresses and localhost; other names have to be in `[server] \
                    admin_hosts`\n";
        return Err(Refusal { status: StatusCode::MISDIRECTED_REQUEST, told: told.to_owned() });
    }
    if request.method().is_safe() {
        return Ok(());
    }
    let header = |name: &HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
    let own = |origin: &[u8]| {
        let origin = std::str::from_utf8(origin).unwrap_or_default();
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority
            .is_some_and(|authority| host.is_some_and(|host| authority.eq_ignore_ascii_case(host)))
    };
    let foreign = header(&ORIGIN).is_some_and(|origin| !own(origin))
        || header(&SEC_FETCH_SITE).is_some_and(|site| !matches!(site, b"same-origin" | b"none"));
    if foreign {
        let told = "not for web pages of another origin\n".to_owned();
        return Err(Refusal { status: StatusCode::FORBIDDEN, told });
    }
    Ok(())
}

/// `None` where the client names none, as probes over HTTP/1.0 do; every browser does.
fn asked_host<B>(request: &Request<B>) -> Option<&str> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str());
    }
    let host = request.headers().get(HOST)?;
    // What is no text is no name of ours.
    Some(host.to_str().unwrap_or("?")).filter(|host| !host.is_empty())
}

fn is_ours(host: &str, hosts: &[String]) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            (address, port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("")),
        },
    };
    if port.is_none_or(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.parse::<IpAddr>().is_ok() || hosts.contains(&name)
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Method;

    use super::*;

    fn status(method: Method, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let judged = check(&request, &["ops.example".to_owned()]);
        judged.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn it_answers_to_addresses_to_localhost_and_to_names_that_are_configured() {
        for (host, expected) in [
            ("127.0.0.1:9090", 200),
            ("[::1]:9090", 200),
            ("[::1]", 200),
            ("10.1.2.3", 200),
            ("localhost:9090", 200),
            ("LOCALHOST.", 200),
            ("ops.example:9090", 200),
            ("Ops.Example.", 200),
            ("", 200),
            ("evil.example", 421),
            ("localhost.evil.example:9090", 421),
            ("127.0.0.1.evil.example", 421),
            ("ops.example@evil.example", 421),
            ("127.0.0.1:9090@evil.example", 421),
            ("[::1]evil.example", 421),
            ("evil-ops.example", 421),
        ] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(status(method, "/metrics", &[("host", host)]), expected, "{host}");
            }
        }
        assert_eq!(status(Method::GET, "/healthz", &[]), 200);
        assert_eq!(status(Method::GET, "http://evil.example/", &[("host", "127.0.0.1")]), 421);
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let host = ("host", "127.0.0.1:9090");
        for (header, expected) in [
            (("origin", "http://127.0.0.1:9090"), 200),
            (("origin", "http://127.0.0.1:8080"), 403),
            (("origin", "http://evil.example"), 403),
            (("origin", "null"), 403),
            (("sec-fetch-site", "cross-site"), 403),
            (("sec-fetch-site", "same-site"), 403),
            (("sec-fetch-site", "same-origin"), 200),
            (("user-agent", "curl"), 200),
        ] {
            for method in [Method::POST, Method::DELETE, Method::PUT] {
                assert_eq!(status(method, "/trace", &[host, header]), expected, "{header:?}");
            }
            assert_eq!(status(Method::GET, "/metrics", &[host, header]), 200);
        }
    }
}
