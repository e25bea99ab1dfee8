//! Replies as the app's connection brings them: a head, and a body that ends by its length, its chunks or the close.

use bytes::Bytes;
use http::HeaderMap;
use rand::Rng as _;

use super::frames::{Next, Unreadable};
use super::head;
use crate::fuzz::{cut, feed};

#[test]
fn a_reply_is_read_alike_however_it_is_cut_and_however_its_chunks_are() {
    feed(SEEDS, |bytes, random| {
        let whole = read(&[bytes]);
        assert_eq!(read(&cut(bytes, random)), whole);
        let Ok(Some(reply)) = &whole else { return whole.map(|_| (0, 0)) };
        if reply.chunked {
            let mut again = bytes[..reply.head].to_vec();
            for piece in reply.content.chunks(random.random_range(1..=9)) {
                again.extend(
                    format!("{:x};a=b\r\n", piece.len()).bytes().chain(piece.iter().copied()),
                );
                again.extend(b"\r\n");
            }
            again.extend(b"0\r\n\r\n");
            assert_eq!(read(&[&again]).unwrap().unwrap().content, reply.content);
        }
        Ok((reply.fields, reply.trailers))
    });
}

#[derive(Debug, PartialEq, Eq)]
struct Reply {
    /// Bytes.
    head: usize,
    fields: usize,
    chunked: bool,
    content: Vec<u8>,
    trailers: usize,
    reusable: bool,
}

/// `None`: the bytes end too early. What follows the reply does not matter.
fn read(pieces: &[&[u8]]) -> Result<Option<Reply>, String> {
    let told = |error: Unreadable| error.to_string();
    let (mut pieces, mut ahead) = (pieces.iter(), Bytes::new());
    let mut more = |ahead: &mut Bytes| {
        let piece = pieces.next()?;
        *ahead = [&**ahead, *piece].concat().into();
        Some(())
    };
    let (mut head, length) = loop {
        match head::read(&ahead, &mut HeaderMap::new()).map_err(told)? {
            Some(found) => break found,
            None if more(&mut ahead).is_none() => return Ok(None),
            None => {}
        }
    };
    let rest = ahead.split_off(length);
    ahead = rest;
    let framed = head::frame(&mut head, false).map_err(told)?;
    let mut frames = framed.frames;
    let (chunked, reusable) = (frames == super::frames::Frames::chunked(), framed.reusable);
    let (fields, content, trailers) = (head.headers().len(), Vec::new(), 0);
    let mut reply = Reply { head: length, fields, chunked, content, trailers, reusable };
    loop {
        match frames.next(&mut ahead).map_err(told)? {
            Next::Frame(frame) => match frame.into_data() {
                Ok(data) => reply.content.extend_from_slice(&data),
                Err(frame) => {
                    reply.trailers += frame.into_trailers().map_or(0, |fields| fields.len());
                }
            },
            Next::End => return Ok(Some(reply)),
            Next::More if more(&mut ahead).is_some() => {}
            Next::More => return Ok(frames.may_end().then_some(reply)),
        }
    }
}

const SEEDS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.0 200\r\nContent-Type: text/plain\r\n\r\nuntil the close",
    b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 Fine\r\nContent-Length: 1, 1\r\nTransfer-Encoding: gzip, chunked\r\nKeep-Alive: timeout=5\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
];
