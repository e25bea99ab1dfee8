//! Requests as a client's connection brings them: heads, bodies and chunk frames.

use httparse::Status;

use super::{Framing, Part};
use crate::fuzz::{cut, feed};

#[test]
fn a_request_ends_at_one_byte_however_it_is_cut_and_for_another_reader_too() {
    feed(SEEDS, |bytes, random| {
        let whole = outcome(&[bytes]);
        assert_eq!(outcome(&cut(bytes, random)), whole);
        if whole == Ok(true) {
            assert!(other_reader_is_at_an_end(bytes), "httparse waits for more");
        }
        whole.map_err(|(what, ..)| what)
    });
}

/// Whether the bytes end between two requests; else what is wrong, and where.
fn outcome(pieces: &[&[u8]]) -> Result<bool, (&'static str, Part, usize)> {
    let (mut framing, mut before) = (Framing::default(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let seen = framing.see(rest);
            let seen = seen.map_err(|error| (error.what, error.part, before + error.at))?;
            (rest, before) = (&rest[seen..], before + seen);
            if framing.awaits_reply() {
                framing.replied(false);
            }
        }
    }
    Ok(framing.is_between_requests())
}

/// Also if it would refuse them: no app sees them then.
fn other_reader_is_at_an_end(mut bytes: &[u8]) -> bool {
    loop {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        if bytes.is_empty() || bytes.starts_with(b"PRI * HTTP/2.0") {
            return true;
        }
        let mut space = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut space);
        let length = match head.parse(bytes) {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return false,
            Err(_) => return true,
        };
        bytes = &bytes[length..];
        let value =
            |name: &str| head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        if value("transfer-encoding").is_some() {
            match behind_chunks(bytes) {
                Ok(Some(rest)) => bytes = rest,
                Ok(None) => return false,
                Err(()) => return true,
            }
        } else if let Some(length) = value("content-length") {
            let length = std::str::from_utf8(length.value).ok().and_then(|text| text.parse().ok());
            let Some(length) = length else { return true };
            let Some(rest) = bytes.get(length..) else { return false };
            bytes = rest;
        }
    }
}

fn behind_chunks(mut bytes: &[u8]) -> Result<Option<&[u8]>, ()> {
    loop {
        let (length, size) = match httparse::parse_chunk_size(bytes).map_err(|_| ())? {
            Status::Complete(found) => found,
            Status::Partial => return Ok(None),
        };
        bytes = &bytes[length..];
        if size == 0 {
            let mut space = [httparse::EMPTY_HEADER; 100];
            return match httparse::parse_headers(bytes, &mut space).map_err(|_| ())? {
                Status::Complete((length, _)) => Ok(Some(&bytes[length..])),
                Status::Partial => Ok(None),
            };
        }
        let Some(rest) = usize::try_from(size).ok().and_then(|size| bytes.get(size..)) else {
            return Ok(None);
        };
        match rest {
            [b'\r', b'\n', rest @ ..] => bytes = rest,
            [] | [b'\r'] => return Ok(None),
            _ => return Err(()),
        }
    }
}

const SEEDS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\nGET /%23?a=b HTTP/1.1\r\nReferer: /#x\r\n\r\nGET http://a/ HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nno\nhead\nhereGET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\n\n\n\r\nA ;x=y\r\n0123456789\r\n0\r\nContent-Length: 3\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
];
