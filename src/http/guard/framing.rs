//! Watches the bytes of an HTTP/1.1 connection for requests whose end two programs could place differently.
//!
//! hyper repairs some of them without a word: it drops `Content-Length` beside `Transfer-Encoding`, folds equal
//! lengths into one and takes a bare LF for the end of a line (RFC 9112 sections 2.2 and 6.3 let it). A sender of
//! such a request is broken or after something, so it is refused here, before the app sees a byte. So is one whose
//! target has a fragment, which `http` drops: the app would get `DELETE /folder/` for `DELETE /folder/#x`.

use memchr::memchr;

/// Where the next byte of a connection belongs. Feed it every byte once, in order.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    place: Place,
    /// The beginning of a line, as long as its end has not come.
    line: Line,
    head: Head,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Head,
    /// So many bytes are left of a body or a chunk, and then this follows.
    Bytes(u64, After),
    ChunkSize,
    Trailers,
    /// A request for another protocol is here in full, and its reply decides what follows.
    UpgradeAsked,
    /// HTTP/2, a tunnel or a request that was refused: no longer watched.
    Unwatched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Head,
    /// The line end of a chunk, and then the next one.
    ChunkEnd,
}

#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// Longer than what is kept of it.
    cut: bool,
    ends_in_cr: bool,
}

/// What the lines of a head have told so far.
#[derive(Debug, Default)]
struct Head {
    started: bool,
    fragment: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unclear {
    /// For the operator.
    pub(crate) what: &'static str,
    /// How many of the bytes come before the end of the line that is wrong.
    pub(crate) at: usize,
    pub(crate) part: Part,
}

/// Of a request. Only what is wrong with its body comes to light when the app may have seen something of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Target,
    Head,
    Body,
}

impl Framing {
    /// Looks at the next bytes, up to the end of a request for another protocol, and tells how many it has seen.
    /// After an error nothing is looked at any more.
    pub(crate) fn see(&mut self, bytes: &[u8]) -> Result<usize, Unclear> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.place {
                Place::Unwatched => return Ok(bytes.len()),
                Place::UpgradeAsked => return Ok(at),
                Place::Bytes(left, after) => self.skip(rest, left, after),
                Place::Head | Place::ChunkSize | Place::Trailers => {
                    self.take_line(rest).map_err(|what| {
                        let part = match self.place {
                            Place::Head if what == FRAGMENT => Part::Target,
                            Place::Head => Part::Head,
                            _ => Part::Body,
                        };
                        self.place = Place::Unwatched;
                        let end = memchr(b'\n', rest).unwrap_or(rest.len() - 1);
                        Unclear { what, at: at + end, part }
                    })?
                }
            };
        }
        Ok(bytes.len())
    }

    /// Whether what follows is not known before there is a reply.
    pub(crate) fn awaits_reply(&self) -> bool {
        self.place == Place::UpgradeAsked
    }

    /// There is: what follows is a tunnel, or else the next request.
    pub(crate) fn replied(&mut self, is_tunnel: bool) {
        self.place = if is_tunnel { Place::Unwatched } else { Place::Head };
    }

    pub(crate) fn stop(&mut self) {
        self.place = Place::Unwatched;
    }

    pub(crate) fn is_between_requests(&self) -> bool {
        self.place == Place::Head && !self.head.started && self.line.is_empty()
    }

    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.place, Place::Bytes(..) | Place::ChunkSize | Place::Trailers)
    }

    fn skip(&mut self, rest: &[u8], left: u64, after: After) -> usize {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        self.place = match (left - here as u64, after) {
            (0, After::Head) => Place::Head,
            (0, After::ChunkEnd) => Place::ChunkSize,
            (left, after) => Place::Bytes(left, after),
        };
        here
    }

    /// How many bytes of `rest` were taken: those of its first line, or all of them.
    fn take_line(&mut self, rest: &[u8]) -> Result<usize, &'static str> {
        let end = memchr(b'\n', rest);
        let piece = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if !self.head.started && self.place == Place::Head {
            self.head.fragment |= memchr(b'#', piece).is_some();
        }
        let Some(end) = end else {
            self.line.keep(rest);
            return Ok(rest.len());
        };
        if self.line.is_empty() {
            let Some(line) = piece.strip_suffix(b"\r") else { return Err(BARE_LF) };
            self.end_line(line)?;
        } else {
            self.line.keep(piece);
            let Line { bytes, ends_in_cr, .. } = std::mem::take(&mut self.line);
            if !ends_in_cr {
                return Err(BARE_LF);
            }
            self.end_line(bytes.strip_suffix(b"\r").unwrap_or(&bytes))?;
        }
        Ok(end + 1)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        match self.place {
            Place::Head => return self.head_line(line),
            // The line end of the chunk before.
            Place::ChunkSize if line.is_empty() => {}
            Place::ChunkSize => match chunk_size(line)? {
                0 => self.place = Place::Trailers,
                size => self.place = Place::Bytes(size, After::ChunkEnd),
            },
            Place::Trailers if line.is_empty() => self.place = Place::Head,
            Place::Trailers | Place::Bytes(..) | Place::UpgradeAsked | Place::Unwatched => {}
        }
        Ok(())
    }

    fn head_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if !self.head.started {
            // Empty lines before a request are to be ignored (RFC 9112 section 2.2).
            self.head.started = !line.is_empty();
            if self.head.fragment {
                return Err(FRAGMENT);
            }
            if line == b"PRI * HTTP/2.0" {
                self.place = Place::Unwatched;
            }
            return Ok(());
        }
        if line.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.place = match (head.chunked, head.length) {
                (true, _) => Place::ChunkSize,
                (false, Some(length @ 1..)) => Place::Bytes(length, After::Head),
                // With a body, it is passed on as an ordinary request.
                (false, _) if head.upgrade => Place::UpgradeAsked,
                (false, _) => Place::Head,
            };
            return Ok(());
        }
        // Nothing else concerns framing, so most lines end here.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T' | b'u' | b'U')) {
            return Ok(());
        }
        if let Some(length) = value(line, b"content-length") {
            let twice = self.head.length.is_some() || self.head.chunked;
            self.head.length = Some(decimal(length)?);
            return if twice { Err(TWO_LENGTHS) } else { Ok(()) };
        }
        if value(line, b"transfer-encoding").is_some() {
            let twice = self.head.length.is_some() || self.head.chunked;
            self.head.chunked = true;
            return if twice { Err(TWO_LENGTHS) } else { Ok(()) };
        }
        self.head.upgrade |= value(line, b"upgrade").is_some();
        Ok(())
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.cut
    }

    fn keep(&mut self, piece: &[u8]) {
        if let Some(last) = piece.last() {
            self.ends_in_cr = *last == b'\r';
        }
        let room = MAX_LINE.saturating_sub(self.bytes.len());
        self.cut |= piece.len() > room;
        self.bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }
}

fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (have, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":").filter(|_| have.eq_ignore_ascii_case(name));
    value.map(<[u8]>::trim_ascii)
}

fn decimal(digits: &[u8]) -> Result<u64, &'static str> {
    let number = || {
        let clear = !digits.is_empty() && digits.len() <= 19;
        let clear = clear && digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits).ok().filter(|_| clear)?.parse().ok()
    };
    number().ok_or("a Content-Length that is not a plain number")
}

/// RFC 9112 section 7.1; extensions are allowed, and ignored.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let clear = !digits.is_empty() && digits.len() <= 15;
    let number = std::str::from_utf8(digits).ok().filter(|_| clear);
    let number = number.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    number
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or("a chunk whose size is not a plain hexadecimal number")
}

const FRAGMENT: &str = "a target with a fragment";
const BARE_LF: &str = "a line that ends in LF without CR";
const TWO_LENGTHS: &str = "more than one of Content-Length and Transfer-Encoding";
/// No line that matters here is longer.
const MAX_LINE: usize = 256;

#[cfg(test)]
#[path = "../../../tests/fuzz/request.rs"]
mod fuzz;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a connection with these bytes is refused for, fed in pieces of `size`.
    fn refused(bytes: &[u8], size: usize) -> Option<&'static str> {
        let mut framing = Framing::default();
        bytes.chunks(size).find_map(|piece| see(&mut framing, piece, true).err())
    }

    /// The app agrees to every change of protocol, or to none.
    fn see(framing: &mut Framing, mut bytes: &[u8], agrees: bool) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            let seen = framing.see(bytes).map_err(|unclear| unclear.what)?;
            bytes = &bytes[seen..];
            if framing.awaits_reply() {
                framing.replied(agrees);
            }
        }
        Ok(())
    }

    const CLEAR: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\nno\nhead\nhereGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length:0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\n\n\n\r\nA ;x=y\r\n0123456789\r\n\
         0\r\nContent-Length: 3\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\n\nanything",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n",
        "GET / HTTP/1.1\r\nX: content-length\r\nContent-Lengths: 7\r\nCookie: a\r\n\r\n",
        "GET / HTTP/1.1\r\nReferer: /#x\r\n\r\nGET /%23 HTTP/1.1\r\n\r\n",
    ];

    const UNCLEAR: &[(&str, &str)] = &[
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", BARE_LF),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BARE_LF),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BARE_LF),
        ("P / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n", TWO_LENGTHS),
        ("P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", TWO_LENGTHS),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", TWO_LENGTHS),
        ("P / HTTP/1.1\r\nTransfer-Encoding: x\r\ntransfer-encoding: chunked\r\n\r\n", TWO_LENGTHS),
        ("P / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "a Content-Length"),
        ("P / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "a Content-Length"),
        ("P / HTTP/1.1\r\nContent-Length:\r\n\r\n", "a Content-Length"),
        ("P / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\n\r\n", BARE_LF),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n", BARE_LF),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n", BARE_LF),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n", "a chunk"),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\na\r\n", "a chunk"),
        ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n", BARE_LF),
        ("DELETE /folder/#x HTTP/1.1\r\nHost: a\r\n\r\n", FRAGMENT),
        ("GET http://a/?b#c HTTP/1.1\r\nHost: a\r\n\r\n", FRAGMENT),
        ("GET / HTTP/1.1\r\n\r\n\r\nGET /# HTTP/1.1\r\n\r\n", FRAGMENT),
        ("P / HTTP/1.1\r\nUpgrade: foo\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\n\r\n", BARE_LF),
    ];

    #[test]
    fn only_what_can_be_read_in_two_ways_is_refused() {
        for size in [1, 2, 3, 7, 1000] {
            for clear in CLEAR {
                assert_eq!(refused(clear.as_bytes(), size), None, "{clear:?} by {size}");
            }
            for (unclear, why) in UNCLEAR {
                let what = refused(unclear.as_bytes(), size);
                assert!(what.is_some_and(|what| what.starts_with(why)), "{unclear:?}: {what:?}");
            }
        }
    }

    #[test]
    fn an_upgrade_that_is_not_agreed_to_changes_nothing() {
        let bytes = b"GET / HTTP/1.1\r\nUpgrade: foo\r\n\r\nGET / HTTP/1.1\n\r\n";
        for size in [1, 7, 1000] {
            for (agrees, expected) in [(true, None), (false, Some(BARE_LF))] {
                let mut framing = Framing::default();
                let mut pieces = bytes.chunks(size);
                let refused = pieces.find_map(|piece| see(&mut framing, piece, agrees).err());
                assert_eq!(refused, expected);
            }
        }
        let mut framing = Framing::default();
        assert_eq!(framing.see(bytes).unwrap(), bytes.len() - b"GET / HTTP/1.1\n\r\n".len());
        assert!(framing.awaits_reply());
        assert_eq!(framing.see(b"anything").unwrap(), 0);
    }

    #[test]
    fn a_fragment_is_found_however_long_the_target_is() {
        let mut framing = Framing::default();
        framing.see(b"GET /").unwrap();
        for _ in 0..1000 {
            framing.see(b"abc").unwrap();
        }
        framing.see(b"#").unwrap();
        let unclear = framing.see(b"d HTTP/1.1\r\n").unwrap_err();
        assert_eq!((unclear.what, unclear.part, unclear.at), (FRAGMENT, Part::Target, 11));
    }

    #[test]
    fn the_end_of_the_wrong_line_is_told() {
        for (unclear, _) in UNCLEAR {
            let at = Framing::default().see(unclear.as_bytes()).unwrap_err().at;
            assert_eq!(unclear.as_bytes()[at], b'\n', "{unclear:?}");
        }
    }

    #[test]
    fn a_long_line_is_not_kept() {
        let mut framing = Framing::default();
        framing.see(b"GET / HTTP/1.1\r\nX: ").unwrap();
        for _ in 0..10_000 {
            framing.see(b"0123456789").unwrap();
        }
        assert!(framing.line.bytes.len() <= MAX_LINE);
        framing.see(b"\r\n\r\nGET / HTTP/1.1\r\n").unwrap();
        assert!(framing.see(b"Host: a\n").is_err());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            parts in prop::collection::vec("[\r\n]|\r\n|content-length: [0-9]{1,2}\r\n|transfer-encoding: chunked\r\n|GET / HTTP/1.1\r\n|[0-9a-f]\r\n|[a-z:; ]{0,9}", 0..20),
            size in 1_usize..20,
        ) {
            let bytes = parts.concat();
            prop_assert_eq!(refused(bytes.as_bytes(), size), refused(bytes.as_bytes(), usize::MAX));
        }
    }
}
