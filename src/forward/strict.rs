//! What a request must be like for everybody to read it the same way.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::reason::Reason;

/// Refuses a request that the app could read differently than we do.
///
/// The wire's own framing is settled before ([`Guarded`](super::Guarded)); this is about what is left once it
/// is parsed: the target, whom it is for, and header names that app servers fold into framing fields.
///
/// # Errors
/// A reason whose status is the reply's.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Reason> {
    check_target(request.method(), request.uri(), request.version())?;
    check_host(request)?;
    let mut coded = false;
    for name in request.headers().keys() {
        if imitates_framing(name) {
            return Err(Reason::FramingUnclear);
        }
        coded |= name == TRANSFER_ENCODING;
    }
    if coded { check_coding(request.headers()) } else { Ok(()) }
}

/// RFC 9112 section 3.2. `CONNECT` is left to whoever answers it.
fn check_target(method: &Method, target: &Uri, version: Version) -> Result<(), Reason> {
    if method == Method::CONNECT {
        return Ok(());
    }
    let web = target.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
    let clear = match (target.scheme().is_some(), target.authority()) {
        (false, None) => target.path().starts_with('/') || is_server_wide(method, target),
        // Userinfo is for the client's eyes (RFC 9110 section 4.2.4).
        (true, Some(authority)) => {
            let path = target.path();
            let path = path.is_empty() || path.starts_with('/') || is_server_wide(method, target);
            web && path && !authority.as_str().contains('@')
        }
        // `GET files/7` looks like an authority to a parser; only HTTP/2 may leave the scheme out.
        (false, Some(_)) => version == Version::HTTP_2,
        (true, None) => version == Version::HTTP_2 && target.path().starts_with('/'),
    };
    if clear { Ok(()) } else { Err(Reason::TargetUnclear) }
}

fn is_server_wide(method: &Method, target: &Uri) -> bool {
    method == Method::OPTIONS && target.path() == "*"
}

/// Exactly one host, and the target's if it names one (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
fn check_host<B>(request: &Request<B>) -> Result<(), Reason> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    let named = request.uri().authority().filter(|_| request.method() != Method::CONNECT);
    let clear = match (host, named) {
        (Some(host), Some(named)) => {
            let scheme = request.uri().scheme_str().unwrap_or_default();
            is_host(host)
                && without_port(host.as_bytes(), scheme)
                    .eq_ignore_ascii_case(without_port(named.as_str().as_bytes(), scheme))
        }
        (Some(host), None) => is_host(host),
        (None, Some(_)) => true,
        (None, None) => request.version() == Version::HTTP_10,
    };
    if clear && more.is_none() { Ok(()) } else { Err(Reason::HostUnclear) }
}

/// Without what a list, a path or userinfo would need; empty is allowed (RFC 9112 section 3.2).
fn is_host(host: &HeaderValue) -> bool {
    let allowed = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%')
    };
    host.as_bytes().iter().all(allowed)
}

fn without_port<'h>(host: &'h [u8], scheme: &str) -> &'h [u8] {
    let port = if scheme == "https" { b":443".as_slice() } else { b":80" };
    host.strip_suffix(port).unwrap_or(host)
}

/// We undo `chunked` and nothing else (RFC 9112 section 6.1: 501 for other codings).
fn check_coding(headers: &HeaderMap) -> Result<(), Reason> {
    let chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, None) => Ok(()),
        (Some(coding), None) if chunked(coding) => Ok(()),
        _ => Err(Reason::CodingUnknown),
    }
}

/// `Content_Length` and `Transfer.Encoding`: CGI and its heirs make the real names of them.
fn imitates_framing(name: &HeaderName) -> bool {
    let name = name.as_str();
    let folds_to = |real: &str| {
        let same = |(a, b): (u8, u8)| a == b || (b == b'-' && !a.is_ascii_alphanumeric());
        name.len() == real.len() && name != real && name.bytes().zip(real.bytes()).all(same)
    };
    folds_to("content-length") || folds_to("transfer-encoding")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn targets() {
        for (method, target, clear) in [
            ("GET", "/", true),
            ("GET", "//x", true),
            ("OPTIONS", "*", true),
            ("CONNECT", "d:443", true),
            ("GET", "http://d/x", true),
            ("GET", "HTTPS://d", true),
            ("GET", "*", false),
            ("GET", "d", false),
            ("GET", "d:80", false),
            ("GET", "ftp://d/x", false),
            ("GET", "http://me@d/x", false),
        ] {
            let judged = check(&request(method, target, &[("host", "d")]));
            assert_eq!(judged.is_ok(), clear, "{method} {target}: {judged:?}");
        }
    }

    #[test]
    fn hosts() {
        let unclear = Err(Reason::HostUnclear);
        for (target, hosts, expected) in [
            ("/", &["docs.example:8080"][..], Ok(())),
            ("/", &["[::1]:80"], Ok(())),
            ("/", &[""], Ok(())),
            ("http://D:80/", &["d"], Ok(())),
            ("https://d/", &["d:443"], Ok(())),
            ("http://d/", &[], Ok(())),
            ("/", &[], unclear),
            ("/", &["d", "d"], unclear),
            ("/", &["d, e"], unclear),
            ("/", &["d/x"], unclear),
            ("/", &["me@d"], unclear),
            ("http://d/", &["e"], unclear),
            ("http://d:443/", &["d"], unclear),
            ("http://d/", &[""], unclear),
        ] {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(check(&request("GET", target, &hosts)), expected, "{target} {hosts:?}");
        }
        let mut old = request("GET", "/", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old), Ok(()));
    }

    #[test]
    fn codings_and_names_that_pose_as_framing() {
        for (name, value, expected) in [
            ("transfer-encoding", "Chunked", Ok(())),
            ("transfer-encoding", "gzip, chunked", Err(Reason::CodingUnknown)),
            ("transfer-encoding", "identity", Err(Reason::CodingUnknown)),
            ("content_length", "3", Err(Reason::FramingUnclear)),
            ("transfer.encoding", "chunked", Err(Reason::FramingUnclear)),
            ("content-length", "3", Ok(())),
            ("x_content_length", "3", Ok(())),
        ] {
            let request = request("POST", "/", &[("host", "d"), (name, value)]);
            assert_eq!(check(&request), expected, "{name}: {value}");
        }
    }
}
