//! The app's interim replies (1xx, RFC 9110 section 15.2) on their way to one stream.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};

use crate::http::headers;
use crate::http::interim::OnInterim;
use crate::http::nominated;

/// What the app has said before its reply to one request, and the client was not told yet.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    interim: Vec<Response<()>>,
    /// Bytes, of all that was ever said: h2 keeps what the connection does not take at once.
    said: usize,
    stream: Option<Waker>,
}

impl Said {
    /// What of a request for the app leads here what the app says before its reply.
    pub(super) fn listener(&self) -> OnInterim {
        let said = self.clone();
        OnInterim::new(move |status, headers| said.push(status, headers))
    }

    fn push(&self, status: StatusCode, headers: &HeaderMap) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD);
        waiting.said += bytes.sum::<usize>() + FIELD;
        if status == StatusCode::SWITCHING_PROTOCOLS || waiting.said > MOST_SAID {
            return tracing::debug!(%status, "not passed on to the client");
        }
        let mut interim = Response::new(());
        *interim.status_mut() = status;
        *interim.headers_mut() = headers.clone();
        nominated::remove(interim.headers_mut());
        headers::strip_hop_by_hop(interim.headers_mut());
        interim.headers_mut().remove(CONTENT_LENGTH);
        waiting.interim.push(interim);
        if let Some(stream) = waiting.stream.take() {
            stream.wake();
        }
    }

    /// The task that asks hears of more.
    pub(super) fn take(&self, context: &Context<'_>) -> Vec<Response<()>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.stream.as_ref().is_some_and(|stream| stream.will_wake(context.waker())) {
            waiting.stream = Some(context.waker().clone());
        }
        mem::take(&mut waiting.interim)
    }
}

/// Bytes of interim replies to one request.
const MOST_SAID: usize = 64 << 10;
/// What a field costs beyond its name and value (RFC 9113 section 6.5.2).
const FIELD: usize = 32;
