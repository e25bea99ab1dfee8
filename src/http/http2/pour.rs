//! A body on its way into a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;

use crate::http::BoxError;

/// Hears how a stream takes a body.
pub(crate) trait Notes<B> {
    /// It took this much more, and with `is_last` the end.
    fn taken(&self, body: Pin<&mut B>, bytes: usize, is_last: bool);

    /// It takes nothing until the peer opens its window.
    fn held_up(&self);
}

/// Why a body did not get to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error("the body broke off")]
    Body(#[source] BoxError),
    /// The peer takes no more of it, or is gone.
    #[error(transparent)]
    Stream(#[from] h2::Error),
}

/// Sends a body as fast as the peer takes it.
///
/// # Errors
/// The body fails, and the stream is to be reset, or the peer wants none of it.
pub(crate) async fn pour<B>(
    stream: &mut SendStream<Bytes>,
    mut body: Pin<&mut B>,
    notes: &impl Notes<B>,
) -> Result<(), Cut>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    loop {
        let frame = poll_fn(|context| {
            if let Poll::Ready(reset) = stream.poll_reset(context) {
                return Poll::Ready(Err(Cut::Stream(reset.map_or_else(|e| e, h2::Error::from))));
            }
            let frame = body.as_mut().poll_frame(context);
            frame.map(|frame| frame.transpose().map_err(|error| Cut::Body(error.into())))
        });
        let Some(frame) = frame.await? else {
            stream.send_data(Bytes::new(), true)?;
            notes.taken(body, 0, true);
            return Ok(());
        };
        match frame.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                give(stream, data, is_last, body.as_mut(), notes).await?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    stream.send_trailers(trailers)?;
                    notes.taken(body, 0, true);
                    return Ok(());
                }
            }
        }
    }
}

/// Sends as much at a time as the peer has opened its window for.
async fn give<B>(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    is_last: bool,
    mut body: Pin<&mut B>,
    notes: &impl Notes<B>,
) -> Result<(), h2::Error> {
    loop {
        let room = if data.is_empty() { 0 } else { room(stream, data.len(), notes).await? };
        let piece = data.split_to(room.min(data.len()));
        let (bytes, is_last) = (piece.len(), is_last && data.is_empty());
        stream.send_data(piece, is_last)?;
        notes.taken(body.as_mut(), bytes, is_last);
        if data.is_empty() {
            return Ok(());
        }
    }
}

/// How many bytes may be sent now, once any may.
async fn room<B>(
    stream: &mut SendStream<Bytes>,
    wanted: usize,
    notes: &impl Notes<B>,
) -> Result<usize, h2::Error> {
    // Asked for with data at hand only: what is granted counts against all streams of the connection.
    stream.reserve_capacity(wanted);
    poll_fn(|context| {
        loop {
            match stream.capacity() {
                0 => {}
                room => return Poll::Ready(Ok(room)),
            }
            match stream.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Err(Reason::CANCEL.into())),
                Poll::Pending => {
                    notes.held_up();
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}
