//! Finds the parts of a multipart/form-data body (RFC 7578, RFC 2046 section 5.1) as it passes.
//!
//! Readers differ in what they take for a boundary: PHP and Python's `email` take one after a lone
//! LF, `email` after a lone CR too, Django and Rack 2 in the middle of a line, and PHP also one that
//! goes on with other text. So `--boundary` anywhere but in a boundary line as RFC 2046 writes it,
//! without padding, is an error: the app could find other parts there.
//!
//! Chunks go in, events come out, in the same order however the body is cut. Content is handed on
//! as slices of the chunks; only what may be the beginning of a boundary is copied, from the end of
//! a chunk. No I/O happens here.

mod epilogue;
mod head;

use bytes::{Buf, Bytes};
use memchr::memmem::Finder;

pub(crate) use self::epilogue::Epilogue;
use self::head::Headers;
pub(super) use self::head::{IsFile, PartHead};

/// What a body is made of, in order: `Part`, any number of `Data`, `PartEnd`, …, `End`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Part(PartHead),
    Data(Bytes),
    PartEnd,
    /// The closing boundary went by; [`Scanner::epilogue`] watches what follows.
    End,
}

/// Why a body is not multipart/form-data that all readers read alike, or more than is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::extract) enum Malformed {
    #[error("a line ends with LF alone")]
    BareLf,
    #[error("the boundary stands where some readers take it for one and others do not")]
    Boundary,
    #[error("a part header is not `name: value`, or stands there twice")]
    Header,
    #[error("the headers of a part exceed {} lines or {} bytes", head::MAX_LINES, head::MAX_BYTES)]
    HeadersTooLarge,
    #[error("a Content-Disposition that readers read differently")]
    Disposition,
    #[error("a part that is a multipart body itself")]
    Nested,
    #[error("more than {MAX_PARTS} parts")]
    TooManyParts,
    #[error("text before the closing boundary, but no part")]
    NoPart,
    #[error("the body ends without the closing boundary")]
    Unclosed,
}

/// The scanner: [`push`](Self::push) a chunk, then take [`next`](Self::next) until it is `None`.
pub(super) struct Scanner {
    /// Of the line break and [`Self::dashes`].
    delimiter: Vec<u8>,
    /// `--boundary`
    dashes: Finder<'static>,
    state: State,
    chunk: Bytes,
    /// Undecided bytes from before `chunk`: the beginning of a delimiter, or of a header line.
    held: Vec<u8>,
    headers: Headers,
    parts: usize,
    preamble: bool,
}

impl Scanner {
    pub(super) fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            dashes: Finder::new(&format!("--{boundary}")).into_owned(),
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
    pub(super) fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty());
        self.chunk = chunk;
    }

    /// The next event in what was pushed; `None` if it takes more. An error is final.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Malformed> {
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
                State::Epilogue => return Ok(None),
            }
        }
    }

    /// What follows the closing boundary; to be asked once, after [`Event::End`]. An app may not
    /// even read it.
    pub(super) fn epilogue(&mut self) -> Result<Epilogue, Malformed> {
        let mut epilogue = Epilogue::new(self.dashes.clone());
        epilogue.watch(&std::mem::take(&mut self.chunk))?;
        Ok(epilogue)
    }

    /// To be called when the body is over.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        match self.state {
            State::Epilogue => Ok(()),
            _ => Err(Malformed::Unclosed),
        }
    }

    fn content(&mut self) -> Result<Content, Malformed> {
        if !self.held.is_empty() {
            return self.held_content();
        }
        let Some(at) = self.dashes.find(&self.chunk) else {
            let rest = self.chunk.split_off(self.undecided(&self.chunk));
            if self.chunk.is_empty() {
                self.held.extend_from_slice(&rest);
                return Ok(Content::More);
            }
            return Ok(Content::Data(std::mem::replace(&mut self.chunk, rest)));
        };
        let before = line_break_before(&self.chunk, at)?;
        if before > 0 {
            return Ok(Content::Data(self.chunk.split_to(before)));
        }
        let Some((len, then)) = boundary_line(&self.chunk, self.delimiter.len())? else {
            self.held.extend_from_slice(&self.chunk);
            self.chunk.clear();
            return Ok(Content::More);
        };
        self.chunk.advance(len);
        Ok(Content::Boundary(then))
    }

    /// As `content`, for what begins before the chunk.
    fn held_content(&mut self) -> Result<Content, Malformed> {
        let held = self.held.len();
        self.held.extend(self.chunk.iter().take(self.delimiter.len() + 2));
        let from = match self.dashes.find(&self.held) {
            Some(at) => line_break_before(&self.held, at)?,
            None => self.undecided(&self.held),
        };
        if from > 0 {
            self.held.truncate(held);
            let undecided = self.held.split_off(from.min(held));
            return Ok(Content::Data(std::mem::replace(&mut self.held, undecided).into()));
        }
        let line = match self.held.len() < self.delimiter.len() {
            true => None,
            false => boundary_line(&self.held, self.delimiter.len())?,
        };
        let Some((len, then)) = line else {
            self.chunk.clear();
            return Ok(Content::More);
        };
        self.chunk.advance(len - held);
        self.held.clear();
        Ok(Content::Boundary(then))
    }

    /// Where the end of `content` begins that may be the beginning of a boundary.
    fn undecided(&self, content: &[u8]) -> usize {
        let first = content.len().saturating_sub(self.delimiter.len() - 1);
        let may_begin = |at: &usize| {
            let tail = content.get(*at..).unwrap_or_default();
            self.delimiter.starts_with(tail) || self.dashes.needle().starts_with(tail)
        };
        (first..content.len()).find(may_begin).unwrap_or(content.len())
    }

    fn headers(&mut self) -> Result<Option<PartHead>, Malformed> {
        while let Some(at) = memchr::memchr(b'\n', &self.chunk) {
            self.hold_header(at + 1)?;
            let line = self.held.strip_suffix(b"\r\n").ok_or(Malformed::BareLf)?;
            if self.dashes.find(line).is_some() {
                return Err(Malformed::Boundary);
            }
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
        self.headers.grow(len)?;
        self.held.extend_from_slice(&self.chunk.split_to(len));
        Ok(())
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

/// How long the boundary line is that begins with a delimiter, and what follows it. `None` if that
/// takes more bytes.
fn boundary_line(line: &[u8], delimiter: usize) -> Result<Option<(usize, State)>, Malformed> {
    match line.get(delimiter..).unwrap_or_default() {
        [b'-', b'-', ..] => Ok(Some((delimiter + 2, State::Closing))),
        [b'\r', b'\n', ..] => Ok(Some((delimiter + 2, State::Headers))),
        [] | [b'\r' | b'-'] => Ok(None),
        _ => Err(Malformed::Boundary),
    }
}

/// Where the line break begins that `content` must have before `at`.
fn line_break_before(content: &[u8], at: usize) -> Result<usize, Malformed> {
    let before = content.get(..at).and_then(|before| before.strip_suffix(b"\r\n"));
    before.map(<[u8]>::len).ok_or(Malformed::Boundary)
}

const MAX_PARTS: usize = 1000;

#[cfg(test)]
#[path = "../../../../tests/fuzz/multipart.rs"]
mod fuzz;
#[cfg(test)]
mod tests;
