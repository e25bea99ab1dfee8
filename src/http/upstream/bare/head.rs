//! The head of a request as it is written, and the head of a reply as it is read.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use hyper::ext::ReasonPhrase;

use super::super::pool::keep_alive_timeout;
use super::frames::{Frames, Unreadable};

/// How the body of a reply comes, and whether another request may follow it.
#[derive(Debug)]
pub(super) struct Framed {
    pub(super) frames: Frames,
    pub(super) reusable: bool,
    /// For how long the app keeps the connection, as it says.
    pub(super) idle_limit: Option<Duration>,
}

/// What tells of the connection and the body. Each is looked up only where it is there.
#[derive(Default)]
struct Names {
    connection: bool,
    keep_alive: bool,
    coding: bool,
    length: bool,
}

/// The request without its body. None of its parts can hold a line end; the types see to that.
pub(super) fn written<B>(request: &Request<B>) -> Vec<u8> {
    // A target that came in absolute form may have a query and no path; the app gets `/` then.
    let (path, query) = (request.uri().path(), request.uri().query());
    let (mark, query) = query.map_or(("", ""), |query| ("?", query));
    let mut head = Vec::with_capacity(USUAL_HEAD);
    for piece in [request.method().as_str(), " ", path, mark, query, " HTTP/1.1\r\n"] {
        head.extend_from_slice(piece.as_bytes());
    }
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A reply's head, and how long it is; `None` while its end has not come. `headers` is empty, and becomes the
/// reply's.
pub(super) fn read(
    bytes: &Bytes,
    headers: &mut HeaderMap,
) -> Result<Option<(Response<()>, usize)>, Unreadable> {
    let mut space = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut head, bytes, &mut space)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() > LONGEST_HEAD as usize => {
            return Err(Unreadable::TooLong);
        }
        httparse::Status::Partial => return Ok(None),
    };
    let mut reply = Response::new(());
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
    *reply.status_mut() = status.ok_or(Unreadable::Head(httparse::Error::Status))?;
    *reply.version_mut() =
        if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let reason = head.reason.filter(|reason| Some(*reason) != reply.status().canonical_reason());
    if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok()) {
        reply.extensions_mut().insert(reason);
    }
    *reply.headers_mut() = std::mem::take(headers);
    reply.headers_mut().reserve(head.headers.len());
    for header in &*head.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err(Unreadable::Field) };
        reply.headers_mut().append(name, value);
    }
    Ok(Some((reply, length)))
}

/// RFC 9112 section 6.3 for a reply, and section 9.3 for what follows it. `without_body` is what the request says
/// about it. Where the app gives two lengths, the one that doesn't count is taken out.
pub(super) fn frame(reply: &mut Response<()>, without_body: bool) -> Result<Framed, Unreadable> {
    let names = Names::of(reply.headers());
    let persistent = persists(reply, names.connection);
    let (frames, reusable) = frames(reply, &names, without_body)?;
    let idle_limit = names.keep_alive.then(|| keep_alive_timeout(reply.headers())).flatten();
    Ok(Framed { frames, reusable: reusable && persistent, idle_limit })
}

impl Names {
    fn of(headers: &HeaderMap) -> Self {
        let mut names = Self::default();
        for name in headers.keys() {
            match name.as_str() {
                "connection" => names.connection = true,
                "keep-alive" => names.keep_alive = true,
                "transfer-encoding" => names.coding = true,
                "content-length" => names.length = true,
                _ => {}
            }
        }
        names
    }
}

/// And whether the connection's next bytes are another reply's.
fn frames(
    reply: &mut Response<()>,
    names: &Names,
    without_body: bool,
) -> Result<(Frames, bool), Unreadable> {
    let bodiless = reply.status().is_informational()
        || matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if without_body || bodiless {
        // What follows a change of protocol is none of ours.
        return Ok((Frames::Ended, !reply.status().is_informational()));
    }
    if names.coding && is_chunked(reply)? {
        // With a length beside it, whoever sent it may be confused about more (RFC 9112 section 6.1).
        let alone = reply.headers_mut().remove(CONTENT_LENGTH).is_none();
        return Ok((Frames::chunked(), alone));
    }
    let length = if names.length { length(reply.headers_mut())? } else { None };
    Ok(match length {
        Some(0) => (Frames::Ended, true),
        Some(length) => (Frames::Length(length), true),
        None => (Frames::UntilClose, false),
    })
}

fn persists(reply: &Response<()>, said: bool) -> bool {
    let mut persistent = reply.version() == Version::HTTP_11;
    if !said {
        return persistent;
    }
    let options = reply.headers().get_all(CONNECTION).into_iter();
    let mut options = options.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    while let Some(option) = options.next().map(<[u8]>::trim_ascii) {
        if option.eq_ignore_ascii_case(b"close") {
            return false;
        }
        persistent |= option.eq_ignore_ascii_case(b"keep-alive");
    }
    persistent
}

/// Nobody asked for any other coding, and nobody behind us would know of it. `identity` is none, as it was in
/// HTTP/1.1 before RFC 7230.
fn is_chunked(reply: &Response<()>) -> Result<bool, Unreadable> {
    let mut codings = reply.headers().get_all(TRANSFER_ENCODING).into_iter();
    match (codings.next().map(HeaderValue::as_bytes), codings.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"identity") => Ok(false),
        (Some(coding), None)
            if coding.eq_ignore_ascii_case(b"chunked") && reply.version() == Version::HTTP_11 =>
        {
            Ok(true)
        }
        _ => Err(Unreadable::Coding),
    }
}

/// Several lengths that agree become one (RFC 9110 section 8.6).
fn length(headers: &mut HeaderMap) -> Result<Option<u64>, Unreadable> {
    let lines = headers.get_all(CONTENT_LENGTH).into_iter();
    let lengths = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let (mut length, mut count) = (None, 0);
    for digits in lengths.map(<[u8]>::trim_ascii) {
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let one = std::str::from_utf8(digits).ok().filter(|_| plain);
        let one = one.and_then(|digits| digits.parse::<u64>().ok()).ok_or(Unreadable::Length)?;
        if length.is_some_and(|length| length != one) {
            return Err(Unreadable::Length);
        }
        (length, count) = (Some(one), count + 1);
    }
    if let Some(length) = length.filter(|_| count > 1) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(length)
}

/// Bytes.
const USUAL_HEAD: usize = 1024;
/// Bytes, as hyper has it.
pub(in super::super) const LONGEST_HEAD: u32 = 400 * 1024;
/// As hyper has it.
const MOST_HEADERS: usize = 100;
