//! Content codings of replies, undone within bounds (RFC 9110, section 8.4). No I/O.

mod zstd;

use std::io::Read;

use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue};

use crate::reason::Reason;

/// The body as it was before it was compressed: gzip, deflate (with zlib's frame or, as some servers have it,
/// without), br and zstd, up to [`LAYERS`] of them one over the other. A body without a coding is itself.
///
/// What comes out of any layer is at most `most` bytes, and so is the work.
///
/// # Errors
/// `reply_encoded` for another coding, and for bytes that are not what it says; `reply_too_large`.
pub(crate) fn decode(headers: &HeaderMap, body: &Bytes, most: usize) -> Result<Bytes, Reason> {
    let mut bytes = body.clone();
    // The last one was applied last.
    for coding in codings(headers)?.into_iter().rev() {
        bytes = coding.undo(&bytes, most)?.into();
    }
    Ok(bytes)
}

/// Asks the app for an uncompressed reply, since it is going to be read.
pub(crate) fn ask_for_identity(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether [`decode`] knows each coding of this body.
pub(crate) fn is_known(headers: &HeaderMap) -> bool {
    codings(headers).is_ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Reason> {
    let mut found = Vec::new();
    for line in headers.get_all(CONTENT_ENCODING) {
        for name in line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match &name.to_ascii_lowercase()[..] {
                b"" | b"identity" => {}
                b"gzip" | b"x-gzip" => found.push(Coding::Gzip),
                b"deflate" => found.push(Coding::Deflate),
                b"br" => found.push(Coding::Brotli),
                b"zstd" => found.push(Coding::Zstd),
                _ => return Err(Reason::ReplyEncoded),
            }
        }
    }
    if found.len() > LAYERS { Err(Reason::ReplyEncoded) } else { Ok(found) }
}

impl Coding {
    fn undo(self, bytes: &[u8], most: usize) -> Result<Vec<u8>, Reason> {
        match self {
            Self::Gzip => read(MultiGzDecoder::new(bytes), most),
            Self::Deflate => match read(ZlibDecoder::new(bytes), most) {
                Err(Reason::ReplyEncoded) => read(DeflateDecoder::new(bytes), most),
                read => read,
            },
            Self::Brotli => read(Decompressor::new(bytes, BUFFER), most),
            Self::Zstd => zstd::undo(bytes, most),
        }
    }
}

fn read(from: impl Read, most: usize) -> Result<Vec<u8>, Reason> {
    let mut bytes = Vec::new();
    append(from, &mut bytes, most)?;
    Ok(bytes)
}

/// All of `from`; `bytes` come to `most` at the most.
fn append(from: impl Read, bytes: &mut Vec<u8>, most: usize) -> Result<(), Reason> {
    // One more tells that there is more.
    let room = most.saturating_sub(bytes.len()) as u64 + 1;
    from.take(room).read_to_end(bytes).map_err(|_| Reason::ReplyEncoded)?;
    if bytes.len() > most { Err(Reason::ReplyTooLarge) } else { Ok(()) }
}

/// A proxy may compress what an app has compressed; more is a trick.
const LAYERS: usize = 3;
const BUFFER: usize = 4096;

#[cfg(test)]
mod tests;
