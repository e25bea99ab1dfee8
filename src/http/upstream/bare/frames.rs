//! Where the body of a reply ends, and what of its bytes are content (RFC 9112 sections 6 and 7).

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use httparse::Status;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// So many bytes; never 0.
    Length(u64),
    Chunked(Chunk),
    UntilClose,
    Ended,
}

/// What comes next of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Size,
    Data(u64),
    /// The line end behind the data.
    End,
    Trailers,
}

/// What the bytes have.
#[derive(Debug)]
pub(super) enum Next {
    Frame(Frame<Bytes>),
    /// Nothing, without more bytes behind those that are left.
    More,
    End,
}

/// What is wrong with a reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("{0}")]
    Head(#[from] httparse::Error),
    #[error("a header that is none")]
    Field,
    #[error("a head or a line that is too long")]
    TooLong,
    #[error("a Content-Length that is not one plain number")]
    Length,
    #[error("a Transfer-Encoding other than chunked, or in HTTP/1.0")]
    Coding,
    #[error("a chunk whose size or end is not where it has to be")]
    Chunk,
}

impl Frames {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    /// Takes from the beginning of `bytes` what it makes something of.
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<Next, Unreadable> {
        loop {
            match self {
                Self::Ended => return Ok(Next::End),
                Self::UntilClose | Self::Length(_) | Self::Chunked(Chunk::Data(_))
                    if bytes.is_empty() =>
                {
                    return Ok(Next::More);
                }
                Self::UntilClose => return Ok(data(std::mem::take(bytes))),
                Self::Length(left) => {
                    let taken = up_to(bytes, left);
                    if *left == 0 {
                        *self = Self::Ended;
                    }
                    return Ok(data(taken));
                }
                Self::Chunked(Chunk::Data(left)) => {
                    let taken = up_to(bytes, left);
                    if *left == 0 {
                        *self = Self::Chunked(Chunk::End);
                    }
                    return Ok(data(taken));
                }
                Self::Chunked(Chunk::Size) => match chunk_size(bytes)? {
                    None => return Ok(Next::More),
                    Some(0) => *self = Self::Chunked(Chunk::Trailers),
                    Some(size) => *self = Self::Chunked(Chunk::Data(size)),
                },
                Self::Chunked(Chunk::End) => {
                    match bytes.get(..2) {
                        Some(b"\r\n") => bytes.advance(2),
                        None if bytes.is_empty() || bytes.starts_with(b"\r") => {
                            return Ok(Next::More);
                        }
                        _ => return Err(Unreadable::Chunk),
                    }
                    *self = Self::Chunked(Chunk::Size);
                }
                Self::Chunked(Chunk::Trailers) => {
                    let Some(trailers) = trailers(bytes)? else { return Ok(Next::More) };
                    *self = Self::Ended;
                    if !trailers.is_empty() {
                        return Ok(Next::Frame(Frame::trailers(trailers)));
                    }
                }
            }
        }
    }

    /// Whether the connection's end is this body's end.
    pub(super) fn may_end(self) -> bool {
        matches!(self, Self::UntilClose | Self::Ended)
    }

    /// How many bytes of content are left, where that is known.
    pub(super) fn length(self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(left),
            Self::Ended => Some(0),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }
}

fn data(bytes: Bytes) -> Next {
    Next::Frame(Frame::data(bytes))
}

fn up_to(bytes: &mut Bytes, left: &mut u64) -> Bytes {
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= here as u64;
    bytes.split_to(here)
}

/// Extensions are allowed, and ignored.
fn chunk_size(bytes: &mut Bytes) -> Result<Option<u64>, Unreadable> {
    if bytes.first().is_some_and(|digit| !digit.is_ascii_hexdigit()) {
        return Err(Unreadable::Chunk);
    }
    match httparse::parse_chunk_size(bytes).map_err(|_| Unreadable::Chunk)? {
        Status::Complete((length, size)) => {
            bytes.advance(length);
            Ok(Some(size))
        }
        Status::Partial if bytes.len() > LONGEST_LINE => Err(Unreadable::TooLong),
        Status::Partial => Ok(None),
    }
}

fn trailers(bytes: &mut Bytes) -> Result<Option<HeaderMap>, Unreadable> {
    let mut space = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let (length, fields) = match httparse::parse_headers(bytes, &mut space)? {
        Status::Complete(complete) => complete,
        Status::Partial if bytes.len() > LONGEST_TRAILERS => return Err(Unreadable::TooLong),
        Status::Partial => return Ok(None),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(field.value)) else {
            return Err(Unreadable::Field);
        };
        trailers.append(name, value);
    }
    bytes.advance(length);
    Ok(Some(trailers))
}

/// Bytes of a chunk's size with its extensions.
const LONGEST_LINE: usize = 4096;
/// Bytes.
const LONGEST_TRAILERS: usize = 64 * 1024;
const MOST_TRAILERS: usize = 100;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Content, trailers and what is left of `bytes`, which come in pieces of `size`.
    fn read(
        mut frames: Frames,
        bytes: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, usize, Vec<u8>), String> {
        let (mut content, mut trailers, mut ahead) = (Vec::new(), 0, Bytes::new());
        let mut pieces = bytes.chunks(size);
        loop {
            match frames.next(&mut ahead).map_err(|error| error.to_string())? {
                Next::Frame(frame) => match frame.into_data() {
                    Ok(data) => content.extend_from_slice(&data),
                    Err(frame) => trailers += frame.into_trailers().unwrap().len(),
                },
                Next::End => break,
                Next::More => match pieces.next() {
                    Some(piece) => ahead = [&ahead, piece].concat().into(),
                    None if frames.may_end() => break,
                    None => return Err("cut short".to_owned()),
                },
            }
        }
        Ok((content, trailers, [&*ahead, &pieces.collect::<Vec<_>>().concat()].concat()))
    }

    #[test]
    fn extensions_and_trailers_have_a_longest() {
        let size = format!("1;{}", "x".repeat(LONGEST_LINE));
        assert_eq!(
            read(Frames::chunked(), size.as_bytes(), 100).unwrap_err(),
            Unreadable::TooLong.to_string()
        );
        let trailers = format!("0\r\nX: {}", "x".repeat(LONGEST_TRAILERS));
        assert_eq!(
            read(Frames::chunked(), trailers.as_bytes(), 100).unwrap_err(),
            Unreadable::TooLong.to_string()
        );
    }

    proptest! {
        #[test]
        fn what_was_chunked_is_what_is_read(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            trailers in 0..3_usize,
            size in 1..50_usize,
            rest in "[a-z]{0,5}",
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n");
            bytes.extend_from_slice("x: y\r\n".repeat(trailers).as_bytes());
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(rest.as_bytes());
            let read = read(Frames::chunked(), &bytes, size).unwrap();
            prop_assert_eq!(read, (chunks.concat(), trailers, rest.into_bytes()));
        }

        #[test]
        fn pieces_do_not_matter(
            parts in prop::collection::vec("[0-9a-f]{1,2}\r\n|\r\n|[a-z]{0,9}|[\r\n;: ]|0\r\n\r\n|1\r\na\r\n", 0..12),
            size in 1..20_usize,
            length in 1..30_u64,
        ) {
            let bytes = parts.concat().into_bytes();
            for frames in [Frames::chunked(), Frames::Length(length), Frames::UntilClose] {
                let whole = read(frames, &bytes, usize::MAX);
                prop_assert_eq!(read(frames, &bytes, size), whole);
            }
        }
    }
}
