//! Which headers belong to one hop only, and which tell the app about the hops before it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, FORWARDED, HOST, TE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use ipnet::IpNet;

use super::client::X_FORWARDED_FOR;

/// Removes what RFC 9110 section 7.6.1 has end at this hop by nature; what `Connection` names is removed by
/// [`nominated::remove`](crate::http::nominated::remove), before anything is written.
///
/// `TE` stays if it is exactly `trailers`, the one form that means the same on every hop.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // To look at the few names that are there costs less than to look each of these up.
    let first =
        |headers: &HeaderMap| headers.keys().find(|name| is_hop_by_hop(name.as_str())).cloned();
    let mut trailers = false;
    while let Some(name) = first(headers) {
        let value = headers.remove(&name);
        trailers |= name == TE && value.is_some_and(|te| te.as_bytes() == b"trailers");
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// The target's authority, where there is one, is the host (RFC 9112 section 3.2.2, RFC 9113 section
/// 8.3.1), whatever `Host` says.
pub(crate) fn take_host_from_target<B>(request: &mut Request<B>) {
    let Some(authority) = request.uri().authority() else { return };
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
}

/// Makes `X-Forwarded-*` and `Forwarded` (RFC 7239) say what this hop saw.
///
/// What a trusted proxy sent is kept and added to. Anybody else's is thrown away, as is every other
/// `X-Forwarded-…` and `X-Real-IP`, since an app would believe them too. App servers may fold
/// other spellings (`x_forwarded_for`) into one of these or into `X-Request-Id`. No proxy writes them so, and they are
/// removed even if a trusted proxy sent them.
pub(crate) fn tell_client(headers: &mut HeaderMap, peer: SocketAddr, tls: bool, trusted: &[IpNet]) {
    let peer = peer.ip().to_canonical();
    let proto = if tls { "https" } else { "http" };
    let host = headers.get(HOST).cloned();
    let (element, address) = forwarded_element(peer, proto, host.as_ref());
    let address = element.slice(address);
    if !trusted.iter().any(|net| net.contains(&peer)) {
        strip_forwarding(headers);
        set(headers, X_FORWARDED_FOR, address);
        set(headers, FORWARDED, element);
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host);
        }
        return;
    }
    strip(headers, is_misspelled);
    let chain = headers.contains_key(X_FORWARDED_FOR);
    let standard_chain = headers.contains_key(FORWARDED);
    // A proxy that speaks only one of the two must not see its client hidden behind our word in the other.
    if chain || !standard_chain {
        append(headers, X_FORWARDED_FOR, address);
    }
    if standard_chain || !chain {
        append(headers, FORWARDED, element);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if let Some(host) = host.filter(|_| !headers.contains_key(X_FORWARDED_HOST)) {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Removes every name that tells of the client, in every spelling. A trailer has them from nobody who may be
/// believed: proxies put them into headers.
pub(crate) fn strip_forwarding(headers: &mut HeaderMap) {
    // Most names are neither, and our own for the request's id, which is nearly always there, is not either.
    let unwanted = |name: &str| is_forwarding(name) || is_misspelled(name);
    let may_be = |name: &str| name.starts_with("x") || name.starts_with("f");
    strip(headers, |name| may_be(name) && name != "x-request-id" && unwanted(name));
}

fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let unwanted: Vec<HeaderName> =
        headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// Makes one line of lengths that agree (RFC 9110 section 8.6). `false` if they don't.
pub(crate) fn unite_lengths(headers: &mut HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let (Some(first), Some(second)) = (lengths.next(), lengths.next()) else { return true };
    if first != second || lengths.any(|length| length != first) {
        return false;
    }
    let length = first.clone();
    headers.insert(CONTENT_LENGTH, length);
    true
}

/// Names this hop and the version that it was spoken to in (RFC 9110 section 7.6.3), after the hops before it.
pub(crate) fn append_via(headers: &mut HeaderMap, received: Version, hop: &str) {
    let version = match received {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    append(headers, VIA, format!("{version} {hop}"));
}

/// RFC 9110 section 7.6.1, with the older `Proxy-*` fields and the settings of an upgrade to HTTP/2.
/// `Trailer` is not among them: trailers pass through.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn is_forwarding(name: &str) -> bool {
    starts_folded(name, "x-forwarded-") || name == "forwarded" || folds_into(name, "x-real-ip")
}

/// Whether CGI and its heirs make of this name one that proxies use, or ours for the request's id, which it is not.
fn is_misspelled(name: &str) -> bool {
    // Most names have no other separator.
    name.starts_with('x')
        && name.bytes().any(|byte| byte != b'-' && !byte.is_ascii_alphanumeric())
        && (starts_folded(name, "x-forwarded-")
            || folds_into(name, "x-real-ip")
            || folds_into(name, "x-request-id"))
}

fn folds_into(name: &str, real: &str) -> bool {
    name.len() == real.len() && starts_folded(name, real)
}

fn starts_folded(name: &str, real: &str) -> bool {
    let same =
        |(have, want): (u8, u8)| have == want || (want == b'-' && !have.is_ascii_alphanumeric());
    name.len() >= real.len() && name.bytes().zip(real.bytes()).all(same)
}

fn append(headers: &mut HeaderMap, name: HeaderName, item: impl Into<Bytes>) {
    let mut list = item.into();
    if headers.contains_key(&name) {
        let lines = headers.get_all(&name).iter().map(HeaderValue::as_bytes);
        list = lines.chain([&*list]).collect::<Vec<_>>().join(b", ".as_slice()).into();
    }
    set(headers, name, list);
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(value) {
        headers.insert(name, value);
    }
}

/// The element of `Forwarded`, and where in it the bare address is.
fn forwarded_element(
    peer: IpAddr,
    proto: &str,
    host: Option<&HeaderValue>,
) -> (Bytes, Range<usize>) {
    // Elements share their memory: one allocation for many.
    thread_local!(static SPACE: RefCell<BytesMut> = RefCell::default());
    SPACE.with_borrow_mut(|space| {
        if space.capacity() < FORWARDED_ELEMENT {
            *space = BytesMut::with_capacity(FORWARDED_ELEMENTS);
        }
        let address = write_forwarded_element(space, peer, proto, host);
        (space.split().freeze(), address)
    })
}

fn write_forwarded_element(
    element: &mut BytesMut,
    peer: IpAddr,
    proto: &str,
    host: Option<&HeaderValue>,
) -> Range<usize> {
    element.extend_from_slice(b"for=");
    let address = match peer {
        IpAddr::V4(peer) => {
            let start = element.len();
            let (text, length) = v4_text(peer);
            element.extend_from_slice(text.get(..length).unwrap_or_default());
            start..element.len()
        }
        IpAddr::V6(peer) => {
            element.extend_from_slice(b"\"[");
            let start = element.len();
            // Writing to memory can't fail.
            let _ = write!(element, "{peer}");
            let end = element.len();
            element.extend_from_slice(b"]\"");
            start..end
        }
    };
    // A host with a quote or a backslash is no host, and could break out of the quotes.
    let host = host.and_then(|host| host.to_str().ok());
    if let Some(host) = host.filter(|host| !host.contains(['"', '\\'])) {
        for piece in [";host=\"", host, "\""] {
            element.extend_from_slice(piece.as_bytes());
        }
    }
    for piece in [";proto=", proto] {
        element.extend_from_slice(piece.as_bytes());
    }
    address
}

/// As `Display` has it, for a tenth of the cost; every request needs it. And how long it is.
fn v4_text(address: Ipv4Addr) -> ([u8; 15], usize) {
    let (mut text, mut length) = ([0; 15], 0);
    let mut push = |byte| {
        text[length] = byte;
        length += 1;
    };
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            push(b'.');
        }
        if octet >= 100 {
            push(b'0' + octet / 100);
        }
        if octet >= 10 {
            push(b'0' + octet / 10 % 10);
        }
        push(b'0' + octet % 10);
    }
    (text, length)
}

/// Room for an element with a usual host.
const FORWARDED_ELEMENT: usize = 96;
/// And for many of them.
const FORWARDED_ELEMENTS: usize = 4096;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::http::first_client;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn told(lines: &[(&'static str, &str)], peer: &str, trusted: &[&str]) -> HeaderMap {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = headers(lines);
        tell_client(&mut headers, peer.parse().unwrap(), false, &trusted);
        headers
    }

    #[test]
    fn what_is_about_a_connection_ends_here() {
        let mut all = headers(&[
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("x-four", "4"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip, trailers"),
            ("upgrade", "websocket"),
            ("trailer", "x-sum"),
        ]);
        strip_hop_by_hop(&mut all);
        assert_eq!(all, headers(&[("x-four", "4"), ("trailer", "x-sum")]));
        let mut all = headers(&[("te", "trailers")]);
        strip_hop_by_hop(&mut all);
        assert_eq!(all, headers(&[("te", "trailers")]));
    }

    #[test]
    fn a_spelling_that_a_server_folds_is_no_proxy_s() {
        for name in [
            "x_forwarded_for",
            "x-forwarded_for",
            "x.forwarded.proto",
            "x_forwarded-host",
            "x-forwarded-client_cert",
            "x_forwarded_anything",
            "x_real_ip",
            "x-real.ip",
            "x_request_id",
            "x-request~id",
        ] {
            for peer in ["10.0.0.2:4711", "192.0.2.7:4711"] {
                let real = ("x-forwarded-for", "198.51.100.9");
                let seen = told(&[(name, "127.0.0.1"), real], peer, &["10.0.0.0/8"]);
                assert!(!seen.contains_key(name), "{name} from {peer}");
            }
        }
        let kept = [("x_request_ids", "1"), ("x_session", "2"), ("x-request-id", "3")];
        let seen = told(&kept, "10.0.0.2:4711", &["10.0.0.0/8"]);
        assert!(kept.iter().all(|(name, _)| seen.contains_key(*name)), "{seen:?}");
    }

    #[test]
    fn a_stranger_s_word_about_itself_is_replaced() {
        let seen = told(
            &[
                ("host", "docs.example"),
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-for", "10.0.0.2"),
                ("x_forwarded_for", "10.0.0.3"),
                ("x-forwarded-prefix", "/admin"),
                ("x-forwarded-proto", "https"),
                ("x-real_ip", "10.0.0.4"),
                ("forwarded", "for=10.0.0.5"),
                ("x-forward", "kept"),
            ],
            "192.0.2.7:4711",
            &["10.0.0.0/8"],
        );
        assert_eq!(
            seen,
            headers(&[
                ("host", "docs.example"),
                ("x-forward", "kept"),
                ("x-forwarded-for", "192.0.2.7"),
                ("forwarded", "for=192.0.2.7;host=\"docs.example\";proto=http"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "docs.example"),
            ])
        );
    }

    #[test]
    fn the_first_client_is_the_last_that_nobody_vouches_for() {
        for (chain, peer, client) in [
            ("198.51.100.9, 10.0.0.1", "10.0.0.2", "198.51.100.9"),
            ("203.0.113.5, 198.51.100.9", "10.0.0.2", "198.51.100.9"),
            ("198.51.100.9", "192.0.2.7", "192.0.2.7"),
            ("unknown, 10.0.0.1", "10.0.0.2", "10.0.0.1"),
            ("10.0.0.3", "::ffff:10.0.0.2", "10.0.0.3"),
        ] {
            let trusted = ["10.0.0.0/8"];
            let peer: IpAddr = peer.parse().unwrap();
            let address = SocketAddr::new(peer, 4711).to_string();
            let seen = told(&[("x-forwarded-for", chain)], &address, &trusted);
            let networks = trusted.map(|network| network.parse().unwrap());
            assert_eq!(first_client(&seen, peer, &networks).to_string(), client, "{chain}");
        }
    }

    #[test]
    fn a_trusted_proxy_s_word_is_added_to() {
        let seen = told(
            &[
                ("host", "inside:8080"),
                ("x-forwarded-for", "198.51.100.9"),
                ("x-forwarded-for", "10.0.0.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "docs.example"),
                ("x-real-ip", "198.51.100.9"),
            ],
            "[::ffff:10.0.0.2]:4711",
            &["10.0.0.0/8"],
        );
        assert_eq!(
            seen,
            headers(&[
                ("host", "inside:8080"),
                ("x-forwarded-for", "198.51.100.9, 10.0.0.1, 10.0.0.2"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "docs.example"),
                ("x-real-ip", "198.51.100.9"),
            ])
        );

        let seen = told(
            &[("forwarded", "for=198.51.100.9;proto=https")],
            "[2001:db8::1]:4711",
            &["2001:db8::/32"],
        );
        assert_eq!(
            seen["forwarded"],
            "for=198.51.100.9;proto=https, for=\"[2001:db8::1]\";proto=http"
        );
        assert!(!seen.contains_key("x-forwarded-for"));
    }

    proptest::proptest! {
        #[test]
        fn an_address_is_written_as_everybody_does(octets: [u8; 4]) {
            let (text, length) = v4_text(octets.into());
            let expected = Ipv4Addr::from(octets).to_string();
            proptest::prop_assert_eq!(&text[..length], expected.as_bytes());
        }
    }

    #[test]
    fn a_host_can_not_break_out_of_forwarded() {
        let seen = told(&[("host", "a\";for=\"1.2.3.4")], "192.0.2.7:1", &[]);
        assert_eq!(seen["forwarded"], "for=192.0.2.7;proto=http");
    }

    #[test]
    fn via_is_one_line_and_grows_at_its_end() {
        let mut seen = headers(&[("via", "1.0 fred"), ("via", "1.1 inner (Apache)")]);
        append_via(&mut seen, Version::HTTP_2, "transom");
        assert_eq!(seen, headers(&[("via", "1.0 fred, 1.1 inner (Apache), 2 transom")]));
    }
}
