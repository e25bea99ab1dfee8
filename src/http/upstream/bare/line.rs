//! One connection to the app.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::super::pool::Reusable;
use super::super::stream::AppStream;
use super::head::{self, Framed};
use super::{Asked, BareError};

pub(super) struct Line {
    stream: AppStream,
    /// How much of the request the connection has taken.
    written: usize,
    /// What has come in reply and is in no head yet.
    begun: Bytes,
    /// Something has come in reply to this request.
    heard: bool,
    /// A reply has come over it before.
    served: bool,
    /// Where pieces of a body come in, and how large the next such room is.
    room: BytesMut,
    size: usize,
    /// For how long the app keeps it, as it said last.
    pub(super) idle_limit: Option<Duration>,
}

impl Line {
    pub(super) fn new(stream: AppStream) -> Self {
        Self {
            stream,
            written: 0,
            begun: Bytes::new(),
            heard: false,
            served: false,
            room: BytesMut::new(),
            size: LEAST_ROOM,
            idle_limit: None,
        }
    }

    /// The reply, and what came behind its head.
    pub(super) fn poll_reply(
        &mut self,
        context: &mut Context<'_>,
        asked: &mut Asked,
    ) -> Poll<Result<(Response<Framed>, Bytes), BareError>> {
        // An app may answer what it does not read to its end.
        let sent = self.poll_send(context, &asked.head)?.is_ready();
        loop {
            ready!(self.poll_hear(context))?;
            while let Some(mut reply) = self.take_head(&mut asked.headers)? {
                if is_interim(reply.status()) {
                    if let Some(on_interim) = &asked.on_interim {
                        on_interim.hear(reply.status(), reply.headers());
                    }
                    continue;
                }
                let mut framed = head::frame(&mut reply, asked.without_body)?;
                framed.reusable &= sent;
                (self.written, self.heard, self.served) = (0, false, true);
                let ahead = std::mem::take(&mut self.begun);
                return Poll::Ready(Ok((reply.map(|()| framed), ahead)));
            }
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>, head: &[u8]) -> Poll<io::Result<()>> {
        while let Some(rest) = head.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Waits for more of a head. It comes in on the stack, as most replies fit there: a place of its own for each
    /// connection would be out of the processor's reach by the time that it is needed.
    fn poll_hear(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BareError>> {
        let mut space = [const { MaybeUninit::uninit() }; AT_ONCE];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
        let fresh = buffer.filled();
        if read.is_err() || fresh.is_empty() {
            return Poll::Ready(Err(match read {
                _ if self.served && !self.heard => BareError::Unanswered,
                Err(error) => error.into(),
                Ok(()) => BareError::CutShort,
            }));
        }
        self.heard = true;
        self.begun = match self.begun.is_empty() {
            true => Bytes::copy_from_slice(fresh),
            false => [&self.begun, fresh].concat().into(),
        };
        Poll::Ready(Ok(()))
    }

    /// A head that has come in full. `headers` is empty, and becomes the head's.
    fn take_head(&mut self, headers: &mut HeaderMap) -> Result<Option<Response<()>>, BareError> {
        if memchr(b'\n', &self.begun).is_none() && self.begun.len() <= AT_ONCE {
            return Ok(None);
        }
        let Some((reply, length)) = head::read(&self.begun, headers)? else { return Ok(None) };
        self.begun.advance(length);
        Ok(Some(reply))
    }

    /// More of a body; nothing at the connection's end.
    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.room.capacity() < LEAST_ROOM / 2 {
            self.room.reserve(self.size);
        }
        let room = self.room.capacity();
        let read = ready!(pin!(self.stream.read_buf(&mut self.room)).poll(context))?;
        if read == room {
            self.size = (self.size * 2).min(MOST_ROOM);
        }
        Poll::Ready(Ok(self.room.split().freeze()))
    }

    /// Holds nothing any more that the next reply would not need.
    pub(super) fn rest(&mut self) {
        (self.room, self.size) = (BytesMut::new(), LEAST_ROOM);
    }
}

impl Reusable for Box<Line> {
    /// Whatever comes unasked, the connection's end or more, is no reply to the next request.
    fn is_ready(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut space = [MaybeUninit::uninit()];
        let mut buffer = ReadBuf::uninit(&mut space);
        Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer).is_pending()
    }

    fn idle_limit(&self) -> Option<Duration> {
        self.idle_limit
    }
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Bytes that are read of a reply before it is known how much there is to read.
const AT_ONCE: usize = 8192;
/// Bytes of a body that are read at once; twice as many as long as they all come.
const LEAST_ROOM: usize = 8192;
const MOST_ROOM: usize = 128 * 1024;
