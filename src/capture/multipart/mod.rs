//! Finds the parts of a multipart/form-data body (RFC 7578, RFC 2046 section 5.1) as it passes.
//!
//! Chunks go in, events come out, in the same order however the body is cut. Content is handed on
//! as slices of the chunks; only what may be the beginning of a boundary is copied, from the end of
//! a chunk. No I/O happens here.

use bytes::{Buf, Bytes};
use memchr::memmem;

use crate::capture::disposition::Disposition;

/// What a body is made of, in order: `Part`, any number of `Data`, `PartEnd`, …, `End`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    Part(PartHead),
    Data(Bytes),
    PartEnd,
    /// The closing boundary went by; whatever follows is not part of the form.
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub(crate) name: String,
    /// As [`Disposition::file_name`]: `Some` makes the part a file.
    pub(crate) file_name: Option<String>,
}

/// Why a body is not multipart/form-data, or more than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a line ends with LF alone")]
    BareLf,
    #[error("more than {MAX_PADDING} blanks after a boundary")]
    Padding,
    #[error("a part header is not `name: value`")]
    Header,
    #[error("the headers of a part exceed {MAX_HEADER_LINES} lines or {MAX_HEADER_BYTES} bytes")]
    HeadersTooLarge,
    #[error("a part has no readable `Content-Disposition: form-data` with a name")]
    Disposition,
    #[error("more than {MAX_PARTS} parts")]
    TooManyParts,
    #[error("text before the closing boundary, but no part")]
    NoPart,
    #[error("the body ends without the closing boundary")]
    Unclosed,
}

/// The scanner: [`push`](Self::push) a chunk, then take [`next`](Self::next) until it is `None`.
pub(crate) struct Scanner {
    delimiter: memmem::Finder<'static>,
    state: State,
    chunk: Bytes,
    /// Undecided bytes from before `chunk`: the beginning of a delimiter, or of a header line.
    held: Vec<u8>,
    headers: Headers,
    parts: usize,
    preamble: bool,
}

impl Scanner {
    pub(crate) fn new(boundary: &str) -> Self {
        Self {
            delimiter: memmem::Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            state: State::Preamble,
            chunk: Bytes::new(),
            // A body may begin with its first boundary, without the line break before it.
            held: b"\r\n".to_vec(),
            headers: Headers::default(),
            parts: 0,
            preamble: false,
        }
    }

    /// The next bytes of the body. Every event of the last ones has to be taken before.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty());
        self.chunk = chunk;
    }

    /// The next event in what was pushed; `None` if it takes more. An error is final.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Malformed> {
        loop {
            match self.state {
                State::Preamble => match self.content()? {
                    Content::Data(_) => self.preamble = true,
                    Content::Boundary(then) => self.state = then,
                    Content::More => return Ok(None),
                },
                State::Part => match self.content()? {
                    Content::Data(data) => return Ok(Some(Event::Data(data))),
                    Content::Boundary(then) => {
                        self.state = then;
                        return Ok(Some(Event::PartEnd));
                    }
                    Content::More => return Ok(None),
                },
                State::Headers => return Ok(self.headers()?.map(Event::Part)),
                State::Closing if self.parts == 0 && self.preamble => {
                    return Err(Malformed::NoPart);
                }
                State::Closing => {
                    self.state = State::Epilogue;
                    return Ok(Some(Event::End));
                }
                State::Epilogue => {
                    self.chunk.clear();
                    return Ok(None);
                }
            }
        }
    }

    /// To be called when the body is over.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        match self.state {
            State::Epilogue => Ok(()),
            _ => Err(Malformed::Unclosed),
        }
    }

    fn content(&mut self) -> Result<Content, Malformed> {
        if !self.held.is_empty() {
            return self.held_content();
        }
        let mut from = 0;
        while let Some(at) = self.candidate(from) {
            let (before, line) = self.chunk.split_at(at);
            match boundary_line(line, self.delimiter.needle())? {
                Line::Other => from = at + 1,
                _ if !before.is_empty() => return Ok(Content::Data(self.chunk.split_to(at))),
                Line::Boundary { len, then } => {
                    self.chunk.advance(len);
                    return Ok(Content::Boundary(then));
                }
                Line::Undecided => {
                    self.held.extend_from_slice(line);
                    self.chunk.clear();
                    return Ok(Content::More);
                }
            }
        }
        if self.chunk.is_empty() {
            return Ok(Content::More);
        }
        Ok(Content::Data(std::mem::take(&mut self.chunk)))
    }

    /// Where in the chunk a delimiter is, or may begin at its end.
    fn candidate(&self, from: usize) -> Option<usize> {
        let rest = self.chunk.get(from..)?;
        if let Some(at) = self.delimiter.find(rest) {
            return Some(from + at);
        }
        let tail = rest.len().saturating_sub(self.delimiter.needle().len() - 1);
        memchr::memrchr(b'\r', rest.get(tail..)?).map(|at| from + tail + at)
    }

    /// As `content`, for what begins before the chunk.
    fn held_content(&mut self) -> Result<Content, Malformed> {
        let held = self.held.len();
        let window = self.delimiter.needle().len() + MAX_PADDING + 2;
        self.held.extend(self.chunk.iter().take(window));
        for at in memchr::memchr_iter(b'\r', &self.held).take_while(|at| *at < held) {
            let (before, line) = self.held.split_at(at);
            match boundary_line(line, self.delimiter.needle())? {
                Line::Other => {}
                _ if !before.is_empty() => {
                    let data = Bytes::copy_from_slice(before);
                    self.held.truncate(held);
                    self.held.drain(..at);
                    return Ok(Content::Data(data));
                }
                Line::Boundary { len, then } => {
                    self.chunk.advance(len - held);
                    self.held.clear();
                    return Ok(Content::Boundary(then));
                }
                Line::Undecided => {
                    self.chunk.clear();
                    return Ok(Content::More);
                }
            }
        }
        self.held.truncate(held);
        Ok(Content::Data(std::mem::take(&mut self.held).into()))
    }

    fn headers(&mut self) -> Result<Option<PartHead>, Malformed> {
        while let Some(at) = memchr::memchr(b'\n', &self.chunk) {
            self.hold_header(at + 1)?;
            let line = self.held.strip_suffix(b"\r\n").ok_or(Malformed::BareLf)?;
            if !line.is_empty() {
                self.headers.read(line)?;
                self.held.clear();
                continue;
            }
            self.held.clear();
            self.parts += 1;
            if self.parts > MAX_PARTS {
                return Err(Malformed::TooManyParts);
            }
            self.state = State::Part;
            return std::mem::take(&mut self.headers).head().map(Some);
        }
        self.hold_header(self.chunk.len())?;
        Ok(None)
    }

    fn hold_header(&mut self, len: usize) -> Result<(), Malformed> {
        self.headers.bytes += len;
        if self.headers.bytes > MAX_HEADER_BYTES {
            return Err(Malformed::HeadersTooLarge);
        }
        self.held.extend_from_slice(&self.chunk.split_to(len));
        Ok(())
    }
}

/// The headers of one part.
#[derive(Default)]
struct Headers {
    bytes: usize,
    lines: usize,
    disposition: Option<Disposition>,
}

impl Headers {
    fn read(&mut self, line: &[u8]) -> Result<(), Malformed> {
        self.lines += 1;
        if self.lines > MAX_HEADER_LINES {
            return Err(Malformed::HeadersTooLarge);
        }
        let colon = memchr::memchr(b':', line).ok_or(Malformed::Header)?;
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) || value.contains(&b'\r') {
            return Err(Malformed::Header);
        }
        if name.eq_ignore_ascii_case(b"content-disposition") {
            let read = Disposition::parse(value).filter(|read| read.kind == "form-data");
            // Two of them: which one the app believes can't be known.
            if read.is_none() || std::mem::replace(&mut self.disposition, read).is_some() {
                return Err(Malformed::Disposition);
            }
        }
        Ok(())
    }

    fn head(self) -> Result<PartHead, Malformed> {
        let disposition = self.disposition.ok_or(Malformed::Disposition)?;
        let name = disposition.name.ok_or(Malformed::Disposition)?;
        Ok(PartHead { name, file_name: disposition.file_name })
    }
}

#[derive(Clone, Copy)]
enum State {
    Preamble,
    Headers,
    Part,
    Closing,
    Epilogue,
}

enum Content {
    Data(Bytes),
    Boundary(State),
    More,
}

enum Line {
    /// `len` bytes, line breaks included.
    Boundary {
        len: usize,
        then: State,
    },
    /// Content that looked like a boundary at first.
    Other,
    Undecided,
}

/// What `line`, which begins at the line break before it, turns out to be. Decided at the latest by
/// the delimiter, [`MAX_PADDING`] and two bytes more.
fn boundary_line(line: &[u8], delimiter: &[u8]) -> Result<Line, Malformed> {
    let Some(rest) = line.strip_prefix(delimiter) else {
        let cut_short = delimiter.starts_with(line);
        return Ok(if cut_short { Line::Undecided } else { Line::Other });
    };
    if rest.starts_with(b"--") {
        return Ok(Line::Boundary { len: delimiter.len() + 2, then: State::Closing });
    }
    let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    if padding > MAX_PADDING {
        return Err(Malformed::Padding);
    }
    Ok(match rest.get(padding..).unwrap_or_default() {
        [b'\r', b'\n', ..] => {
            Line::Boundary { len: delimiter.len() + padding + 2, then: State::Headers }
        }
        [b'\n', ..] => return Err(Malformed::BareLf),
        [] | [b'\r'] => Line::Undecided,
        [b'-'] if padding == 0 => Line::Undecided,
        _ => Line::Other,
    })
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const MAX_PARTS: usize = 1000;
const MAX_HEADER_LINES: usize = 32;
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// RFC 2046 sets no limit to the blanks after a boundary; nobody is known to send any.
const MAX_PADDING: usize = 64;

#[cfg(test)]
mod tests;
