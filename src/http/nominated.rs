//! The fields that `Connection` names: they end at this hop (RFC 9110 section 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue};

/// Removes the fields that any line of `Connection` names. Of `Connection` itself only `close`, `keep-alive` and
/// `upgrade` stay, so that a later hop does not take a header that we write for one of those named.
///
/// To be called once on a message that comes in, before anything is written to it. `Host`, the framing fields and
/// what tells of the hops before can't be named away: they are meant for all recipients, and a client may have its
/// nominations passed on by a trusted proxy that itself writes these.
pub(crate) fn remove(headers: &mut HeaderMap) {
    let lines = headers.get_all(CONNECTION);
    if lines.iter().all(|line| USUAL.contains(&line.as_bytes())) {
        return;
    }
    let (mut named, mut kept) = (Vec::<HeaderName>::new(), Vec::<&[u8]>::new());
    for option in lines.iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
        let option = option.trim_ascii();
        match OPTIONS.iter().find(|known| option.eq_ignore_ascii_case(known)) {
            Some(known) if !kept.contains(known) => kept.push(known),
            Some(_) => {}
            None => named.extend(HeaderName::from_bytes(option).ok().filter(may_be_named)),
        }
    }
    let kept = HeaderValue::from_bytes(&kept.join(b", ".as_slice()));
    for name in named {
        headers.remove(name);
    }
    match kept {
        Ok(kept) if !kept.is_empty() => headers.insert(CONNECTION, kept),
        _ => headers.remove(CONNECTION),
    };
}

fn may_be_named(name: &HeaderName) -> bool {
    !NEVER_NAMED.contains(name) && !name.as_str().starts_with("x-forwarded-")
}

static NEVER_NAMED: [HeaderName; 10] = [
    CONNECTION,
    CONTENT_LENGTH,
    FORWARDED,
    HOST,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-request-id"),
];

const OPTIONS: [&[u8]; 3] = [b"close", b"keep-alive", b"upgrade"];

/// What nearly every line of `Connection` is.
const USUAL: [&[u8]; 4] = [b"keep-alive", b"close", b"upgrade", b"Upgrade"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn every_line_of_connection_counts() {
        let mut all = headers(&[
            ("connection", "close, X-One"),
            ("connection", "x-two ,,  x-three, Upgrade"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-two", "2 again"),
            ("x-three", "3"),
            ("x-four", "4"),
            ("upgrade", "websocket"),
        ]);
        remove(&mut all);
        let left = [("connection", "close, upgrade"), ("x-four", "4"), ("upgrade", "websocket")];
        assert_eq!(all, headers(&left));
    }

    #[test]
    fn what_all_recipients_need_can_not_be_named_away() {
        let kept = [
            ("host", "docs.example"),
            ("content-length", "3"),
            ("te", "trailers"),
            ("x-forwarded-for", "198.51.100.9"),
            ("forwarded", "for=198.51.100.9"),
            ("x-real-ip", "198.51.100.9"),
            ("x-request-id", "7"),
            ("via", "1.1 outer"),
        ];
        let mut all = headers(&kept);
        let names: Vec<_> = kept.iter().map(|(name, _)| *name).collect();
        all.insert(CONNECTION, HeaderValue::from_str(&names.join(", ")).unwrap());
        remove(&mut all);
        assert_eq!(all, headers(&kept));
    }

    #[test]
    fn what_is_written_afterwards_is_named_no_more() {
        for line in
            ["close, X-Session", "x-session", "keep-alive,x-session,", "X-Session,X-Session"]
        {
            let mut all = headers(&[("connection", line), ("x-session", "forged")]);
            remove(&mut all);
            all.insert("x-session", HeaderValue::from_static("ours"));
            remove(&mut all);
            assert_eq!(all["x-session"], "ours", "{line}");
        }
    }
}
