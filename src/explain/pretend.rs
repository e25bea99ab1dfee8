//! A stand-in for the app, which an explanation must not touch.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::Service;

use crate::body::RequestBody;
use crate::config::{Action, Config};

/// Answers everything with the same status, and a body that could take a session.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

/// An app whose answer could carry what the view's rule delivers.
pub(super) fn stand_in<B>(config: &Config, request: &Request<B>, status: StatusCode) -> App {
    let (uri, method) = (request.uri(), request.method());
    let views = config.routes.candidates(uri.path(), uri.query()).into_iter();
    let view = views.filter(|found| found.rule.method == *method).find_map(|found| {
        match &found.rule.action {
            Action::View(view) => Some(&**view),
            _ => None,
        }
    });
    let nothing = ("application/json", "{}".to_owned());
    let (content_type, body) =
        view.map_or(nothing, |view| view.session.stand_in(method, uri, request.headers()));
    App { status, content_type, body: body.into() }
}

impl App {
    pub(super) fn reply<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
        // What a probe insists on is what it gets.
        let insists = accept.and_then(|accept| accept.split([',', ';']).next());
        let content_type = insists
            .filter(|range| !range.contains('*') && *range != "text/html")
            .and_then(|range| HeaderValue::from_str(range.trim()).ok())
            .unwrap_or(HeaderValue::from_static(self.content_type));
        let mut reply = Response::new(Full::new(self.body.clone()));
        *reply.status_mut() = self.status;
        reply.headers_mut().insert(CONTENT_TYPE, content_type);
        reply
    }
}

impl<B> Service<Request<RequestBody<B>>> for App {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<B>>) -> Self::Future {
        ready(Ok(self.reply(&request)))
    }
}
