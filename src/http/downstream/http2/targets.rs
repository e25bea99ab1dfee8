//! The targets of HTTP/2 requests as they are sent.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hpack::DynamicTable;

/// A client's connection, in which requests are noted whose target has a fragment: h2 gives it without.
pub(super) struct Targets<I> {
    inner: I,
    position: Position,
    table: DynamicTable,
    fragments: Fragments,
}

/// Streams whose requests have such a target, until they are asked for. Clones are of the same connection.
#[derive(Clone, Default)]
pub(super) struct Fragments(Arc<Mutex<Vec<u32>>>);

/// Where the next byte belongs.
enum Position {
    /// So many bytes are left of the preface (RFC 9113 section 3.4), or of a frame that tells nothing here.
    Skipped(usize),
    FrameHead(Vec<u8>),
    /// Of a frame with headers, and what came in those before it.
    Headers {
        left: usize,
        flags: u8,
        stream: u32,
        payload: Vec<u8>,
        block: Vec<u8>,
    },
    /// Only a frame that goes on with these may come.
    Between {
        block: Vec<u8>,
        head: Vec<u8>,
    },
    /// Nothing that h2 goes on with.
    Broken,
}

impl<I> Targets<I> {
    pub(super) fn new(inner: I) -> Self {
        let (table, fragments) = (DynamicTable::default(), Fragments::default());
        Self { inner, position: Position::Skipped(PREFACE), table, fragments }
    }

    pub(super) fn fragments(&self) -> Fragments {
        self.fragments.clone()
    }

    fn see(&mut self, mut bytes: &[u8]) {
        let mut take = |most: usize| {
            let (taken, rest) = bytes.split_at(most.min(bytes.len()));
            bytes = rest;
            taken
        };
        loop {
            self.position = match mem::replace(&mut self.position, Position::Broken) {
                Position::Broken => return,
                Position::Skipped(left) => match left - take(left).len() {
                    0 => Position::FrameHead(Vec::new()),
                    left => {
                        self.position = Position::Skipped(left);
                        return;
                    }
                },
                Position::FrameHead(mut head) => {
                    head.extend_from_slice(take(FRAME_HEAD - head.len()));
                    let Ok(frame) = <[u8; FRAME_HEAD]>::try_from(&*head) else {
                        self.position = Position::FrameHead(head);
                        return;
                    };
                    begin(frame, None)
                }
                Position::Between { block, mut head } => {
                    head.extend_from_slice(take(FRAME_HEAD - head.len()));
                    let Ok(frame) = <[u8; FRAME_HEAD]>::try_from(&*head) else {
                        self.position = Position::Between { block, head };
                        return;
                    };
                    begin(frame, Some(block))
                }
                Position::Headers { left, flags, stream, mut payload, block } => {
                    let taken = take(left);
                    payload.extend_from_slice(taken);
                    let left = left - taken.len();
                    if left > 0 {
                        self.position = Position::Headers { left, flags, stream, payload, block };
                        return;
                    }
                    self.end(flags, stream, &payload, block)
                }
            }
        }
    }

    /// A frame with headers is here.
    fn end(&mut self, flags: u8, stream: u32, payload: &[u8], mut block: Vec<u8>) -> Position {
        let Some(fragment) = without_padding(flags, payload) else { return Position::Broken };
        block.extend_from_slice(fragment);
        if flags & END_HEADERS == 0 {
            return match block.len() {
                ..=LONGEST_BLOCK => Position::Between { block, head: Vec::new() },
                _ => Position::Broken,
            };
        }
        match self.table.has_fragment(&block) {
            Some(true) => self.fragments.note(stream),
            Some(false) => {}
            None => return Position::Broken,
        }
        Position::FrameHead(Vec::new())
    }
}

/// `block` is what has come of one whose end has not.
fn begin(head: [u8; FRAME_HEAD], block: Option<Vec<u8>>) -> Position {
    let [a, b, c, kind, flags, stream @ ..] = head;
    let left = u32::from_be_bytes([0, a, b, c]) as usize;
    let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
    let payload = Vec::new();
    match (kind, block) {
        (HEADERS, None) => Position::Headers { left, flags, stream, payload, block: Vec::new() },
        // Neither padding nor a priority of its own.
        (CONTINUATION, Some(block)) => {
            Position::Headers { left, flags: flags & END_HEADERS, stream, payload, block }
        }
        (_, None) => Position::Skipped(left),
        (_, Some(_)) => Position::Broken,
    }
}

/// RFC 9113 section 6.2.
fn without_padding(flags: u8, mut payload: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    if flags & PADDED != 0 {
        let (length, rest) = payload.split_first()?;
        (padding, payload) = (usize::from(*length), rest);
    }
    if flags & PRIORITY != 0 {
        payload = payload.get(5..)?;
    }
    payload.get(..payload.len().checked_sub(padding)?)
}

impl Fragments {
    /// Whether this stream's request is one, of which there is one.
    pub(super) fn has(&self, stream: u32) -> bool {
        let mut streams = self.streams();
        // Those before it were refused by h2 itself.
        streams.retain(|noted| *noted >= stream);
        streams.contains(&stream)
    }

    fn note(&self, stream: u32) {
        let mut streams = self.streams();
        if streams.len() < MOST_NOTED && !streams.contains(&stream) {
            streams.push(stream);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Vec<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Targets<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(context, buffer);
        self.see(buffer.filled().get(before..).unwrap_or_default());
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Targets<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// RFC 9113 sections 4.1, 6.2 and 6.10.
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 32;
/// Bytes of `PRI * HTTP/2.0` and what follows it.
const PREFACE: usize = 24;
/// Bytes; h2 gives up before.
const LONGEST_BLOCK: usize = 4 << 20;
/// Far more than a connection may have open.
const MOST_NOTED: usize = 4096;
