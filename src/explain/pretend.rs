//! Stand-ins for what an explanation must not touch.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower::Service;

use crate::body::RequestBody;
use crate::config::{Action, Config};
use crate::document::DocumentKey;
use crate::store::{
    Applied, Batch, BoxFuture, DocId, Document, DocumentStore, Job, JobId, Mapping, StoreError,
};

/// Answers everything with the same status, and a body that could take a session.
#[derive(Clone, Debug)]
pub(super) struct App {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

/// Reads from another store, or knows every document; writes nothing.
pub(super) enum Store {
    Read(Arc<dyn DocumentStore>),
    /// The document that every name points at, at this moment.
    Assumed(Mutex<Option<Box<Document>>>),
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

impl DocumentStore for Store {
    fn get<'a>(
        &'a self,
        key: &'a DocumentKey,
    ) -> BoxFuture<'a, Result<Option<Arc<Mapping>>, StoreError>> {
        match self {
            Self::Read(store) => store.get(key),
            Self::Assumed(mapping) => {
                let document = mapping.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mapping =
                    document.map(|document| Mapping { key: key.clone(), document: *document });
                Box::pin(ready(Ok(mapping.map(Arc::new))))
            }
        }
    }

    fn document(&self, _: DocId) -> BoxFuture<'_, Result<Option<Arc<Document>>, StoreError>> {
        Box::pin(ready(Ok(None)))
    }

    fn apply(&self, _: Batch) -> BoxFuture<'_, Result<Applied, StoreError>> {
        let refusal = "an explanation writes nothing".to_owned();
        Box::pin(ready(Err(StoreError::Stopped(refusal))))
    }

    fn list<'a>(
        &'a self,
        _: Option<&'a DocumentKey>,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Mapping>, StoreError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    /// No job of another store is done from here.
    fn jobs(&self, _: Option<JobId>, _: usize) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn next_job(&self) -> JobId {
        JobId(1)
    }
}
