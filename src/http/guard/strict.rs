//! What a request must be like for everybody to read it the same way.

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::reason::Reason;

/// Refuses a request that the app could read differently than we do.
///
/// The wire's own framing is settled before ([`Guarded`](super::Guarded)); this is about what is left once it
/// is parsed: the target, whom it is for, and header names that app servers fold into framing fields. What the
/// wire had and a parser drops is told by a header of the name [`UNCLEAR_TARGET`].
///
/// # Errors
/// A reason whose status is the reply's.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), Reason> {
    check_target(request.method(), request.uri(), request.version())?;
    let mut coded = false;
    for name in request.headers().keys() {
        // Most names are of another length than these.
        if !matches!(name.as_str().len(), 14 | 17 | 22) {
            continue;
        }
        if imitates_framing(name) {
            return Err(Reason::FramingUnclear);
        }
        if *name == UNCLEAR_TARGET {
            return Err(Reason::TargetUnclear);
        }
        coded |= name == TRANSFER_ENCODING;
    }
    check_host(request)?;
    if coded { check_coding(request.headers()) } else { Ok(()) }
}

/// RFC 9112 section 3.2. `CONNECT` is left to whoever answers it.
fn check_target(method: &Method, target: &Uri, version: Version) -> Result<(), Reason> {
    if method == Method::CONNECT {
        return Ok(());
    }
    let web = target.scheme_str().is_some_and(|scheme| matches!(scheme, "http" | "https"));
    // `path()` has a slash even where the client sent none.
    let sent = target.path_and_query().map_or("", PathAndQuery::as_str);
    let path = sent.starts_with('/') || is_server_wide(method, target);
    let http2 = version == Version::HTTP_2;
    let clear = match (target.scheme().is_some(), target.authority()) {
        (false, None) => path,
        // What HTTP/2 says of the host is judged as `Host` is.
        (true, Some(_)) if http2 => web && path,
        // Userinfo is for the client's eyes (RFC 9110 section 4.2.4).
        (true, Some(authority)) => {
            let path = path || sent.is_empty() || sent.starts_with('?');
            web && path && !authority.as_str().contains('@')
        }
        // `GET files/7` looks like an authority to a parser; only HTTP/2 may leave the scheme out.
        (false, Some(_)) => http2,
        (true, None) => http2 && path,
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
    let http2 = request.version() == Version::HTTP_2;
    let clear = match (host, named) {
        (Some(host), Some(named)) => {
            let scheme = request.uri().scheme_str().unwrap_or_default();
            is_host(host.as_bytes())
                && is_host(named.as_str().as_bytes())
                && without_port(host.as_bytes(), scheme)
                    .eq_ignore_ascii_case(without_port(named.as_str().as_bytes(), scheme))
        }
        // HTTP/1.1 allows an empty one (RFC 9112 section 3.2), HTTP/2 does not (RFC 9113 section 8.3.1).
        (Some(host), None) => is_host(host.as_bytes()) || (host.is_empty() && !http2),
        (None, Some(named)) => is_host(named.as_str().as_bytes()),
        (None, None) => request.version() == Version::HTTP_10,
    };
    if clear && more.is_none() { Ok(()) } else { Err(Reason::HostUnclear) }
}

/// A name or an address, and perhaps a port (RFC 3986 section 3.2.2), without what a list, a path or userinfo would
/// need.
fn is_host(host: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    // As nearly all are: no port, nothing to take apart.
    if !host.is_empty() && host.iter().all(is_plain) {
        return true;
    }
    let is_literal = host.starts_with(b"[");
    let end = match is_literal {
        true => host.iter().position(|byte| *byte == b']').map(|end| end + 1),
        false => host.iter().position(|byte| *byte == b':').or(Some(host.len())),
    };
    let Some((name, port)) = end.and_then(|end| host.split_at_checked(end)) else { return false };
    let allowed = |byte: &u8| match byte {
        b':' | b'[' | b']' => is_literal,
        byte => is_plain(byte) || matches!(byte, b'_' | b'~' | b'%'),
    };
    let port = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !name.is_empty() && name.iter().all(allowed) && port
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

/// A header that we add where the parser hides a part of the target from the checks above. A client that sends it
/// itself is refused, too.
pub(crate) const UNCLEAR_TARGET: HeaderName = HeaderName::from_static("transom-unclear-target");

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
            ("/", &["[::1]"], Ok(())),
            ("/", &["d:"], Ok(())),
            ("/", &["d:80:81"], unclear),
            ("/", &[":80"], unclear),
            ("/", &["d:8o"], unclear),
            ("/", &["[::1"], unclear),
            ("/", &["[::1]x"], unclear),
            ("/", &["::1"], unclear),
            ("http://a,b/", &[], unclear),
            ("http://a,b/", &["a,b"], unclear),
        ] {
            let hosts: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(check(&request("GET", target, &hosts)), expected, "{target} {hosts:?}");
        }
        let mut old = request("GET", "/", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old), Ok(()));
    }

    #[test]
    fn http2_is_judged_as_http1_is() {
        let (target, host) = (Err(Reason::TargetUnclear), Err(Reason::HostUnclear));
        for (uri, hosts, expected) in [
            ("https://d/x?y", &[][..], Ok(())),
            ("https://d:8443/", &["d:8443"], Ok(())),
            ("https://[::1]:80/", &[], Ok(())),
            ("/x", &["d"], Ok(())),
            ("https://a,b/", &[], host),
            ("https://me@d/", &[], host),
            ("https://me:pw@d/", &["d"], host),
            ("https://a;b/", &[], host),
            ("https://a'b/", &[], host),
            ("https://d/", &["e"], host),
            ("https://d/", &["d", "d"], host),
            ("/x", &[""], host),
            ("/x", &[], host),
            ("ftp://d/", &[], target),
            ("https://d?x", &[], target),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let mut request = request("GET", uri, &headers);
            *request.version_mut() = Version::HTTP_2;
            assert_eq!(check(&request), expected, "{uri} {hosts:?}");
        }
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
            ("transom-unclear-target", "1", Err(Reason::TargetUnclear)),
        ] {
            let request = request("POST", "/", &[("host", "d"), (name, value)]);
            assert_eq!(check(&request), expected, "{name}: {value}");
        }
    }
}
