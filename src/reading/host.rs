//! The host that a request is for. Pure.

use http::header::HOST;
use http::{HeaderMap, Uri};

/// Its name in lower case without a trailing dot, and its port where that does not go without saying. `None` if there
/// is none, or more than one.
pub(crate) fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => normal(value.to_str().ok()?),
        (None, None) => normal(uri.authority()?.as_str()),
        (_, Some(_)) => None,
    }
}

/// Whether this host is one of those written in the configuration, of which one without a port stands for all ports.
pub(crate) fn is_among(host: &str, written: &[String]) -> bool {
    let name = split_port(host).0;
    written.iter().any(|known| known == host || known == name)
}

/// The error is a sentence for the operator.
pub(crate) fn written(text: &str) -> Result<String, String> {
    let host = normal(text).filter(|host| !host.contains(['/', '@', '?', '#', ' ', '*']));
    host.ok_or_else(|| {
        format!("`{text}` is not a host such as \"a.example\" or \"a.example:8443\"")
    })
}

fn normal(authority: &str) -> Option<String> {
    let (name, port) = split_port(authority.trim());
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match (name.is_empty(), port) {
        (true, _) => None,
        (_, None | Some("" | "80" | "443")) => Some(name),
        (_, Some(port)) => Some(format!("{name}:{port}")),
    }
}

/// The colons of an IPv6 address stand within brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(value: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(HOST, value.parse().unwrap())]);
        host(&headers, &Uri::from_static("/"))
    }

    #[test]
    fn hosts_have_one_spelling() {
        for (value, host) in [
            ("a.example", "a.example"),
            ("A.Example.:443", "a.example"),
            ("a.example:8443", "a.example:8443"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(of(value).unwrap(), host, "{value}");
        }
        assert_eq!(of(""), None);
        let authority = Uri::from_static("http://B.example/x");
        assert_eq!(host(&HeaderMap::new(), &authority).unwrap(), "b.example");
    }

    #[test]
    fn a_written_host_without_a_port_is_for_all() {
        let hosts = ["a.example".to_owned(), "b.example:81".to_owned()];
        for among in ["a.example", "a.example:8080", "b.example:81"] {
            assert!(is_among(among, &hosts), "{among}");
        }
        for other in ["b.example", "c.example", "x.a.example"] {
            assert!(!is_among(other, &hosts), "{other}");
        }
        assert!(written("http://a.example").is_err() && written("*.example").is_err());
    }
}
