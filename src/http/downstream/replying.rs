//! A request of a client's that the stack is at work on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::{HeaderValue, Response, StatusCode, Version};
use hyper::body::Body;
use pin_project_lite::pin_project;

use super::expect::Expectation;
use super::interim::Interim;
use super::watch::{Answered, Answering};
use crate::proxy::access_log::Visitor;

pin_project! {
    /// Ends with the reply, once what the app has said before it is on its way.
    ///
    /// Written out, as an async block would move the stack's future several times.
    pub(super) struct Replying<F, B> {
        #[pin]
        stack: F,
        // It is here, and interim replies are to be written first.
        held: Option<Response<B>>,
        // Of HTTP/1.1.
        interim: Option<Interim>,
        asked: Option<Asked>,
    }
}

/// What the reply's body is followed by.
pub(super) struct Asked {
    pub(super) version: Version,
    pub(super) answering: Answering,
    pub(super) expectation: Option<Expectation>,
    /// Where there is an access log.
    pub(super) visitor: Option<Box<Visitor>>,
}

impl<F, B> Replying<F, B> {
    pub(super) fn new(stack: F, interim: Option<Interim>, asked: Asked) -> Self {
        if let Some(interim) = &interim {
            interim.begin();
        }
        Self { stack, held: None, interim, asked: Some(asked) }
    }
}

impl<F, B, E> Future for Replying<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
{
    type Output = Result<Response<Answered<B>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let reply = match this.held.take() {
            Some(reply) => reply,
            None => {
                let polled = this.stack.poll(context);
                if let Some(interim) = this.interim {
                    match &polled {
                        Poll::Pending => interim.register(context),
                        Poll::Ready(_) => interim.end(),
                    }
                }
                ready!(polled)?
            }
        };
        if this.interim.as_ref().is_some_and(|interim| interim.waits(context)) {
            *this.held = Some(reply);
            return Poll::Pending;
        }
        // It is not polled again.
        this.asked.take().map_or(Poll::Pending, |asked| Poll::Ready(Ok(asked.answer(reply))))
    }
}

impl Asked {
    fn answer<B: Body>(self, mut reply: Response<B>) -> Response<Answered<B>> {
        let Self { version, answering, expectation, mut visitor } = self;
        let without_body = expectation.and_then(|expected| expected.replied(reply.status()));
        if without_body.is_some() {
            // Whether the client sends it nevertheless can't be known (RFC 9110 section 10.1.1).
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
            answering.switches();
        }
        if let Some(visitor) = &mut visitor {
            visitor.answered(&reply);
        }
        reply.map(|body| Answered::new(body, answering, version, without_body, visitor))
    }
}
