//! The lanes that a request can take, other than straight through.

mod behalf;
mod capture;
mod document;
mod fetch;
mod future;
mod grant;
mod looked_at;
mod own;
mod policy;
mod probe;
mod tell;
mod uploader;
mod view;
mod writing;

pub(crate) use capture::capture;
pub(crate) use fetch::{ToFetch, fetch_by, source_of};
pub use future::ResponseFuture;
pub(crate) use own::{is_own, own};
pub(crate) use probe::Probe;
pub(crate) use view::{Viewed, view};
pub(crate) use writing::{meant, write};

use std::net::IpAddr;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, header};
use http_body::Body;
use tower::Service;

use crate::body::{RequestBody, ResponseBody};
use crate::engine::Engine;
use crate::http::{ClientInfo, first_client};

/// An inner service as the lanes see it; says once what every lane needs of it.
pub(crate) trait Inner<B>: Clone + Send + 'static {
    type Reply: Body<Data = Bytes, Error: Send> + Send + 'static;
    type Error: Send + 'static;
    type Future: Future<Output = Result<Response<Self::Reply>, Self::Error>> + Send + 'static;

    /// Calls the instance at hand, which has been polled ready.
    fn forward(&mut self, request: Request<RequestBody<B>>) -> Self::Future;

    /// Calls a fresh instance, waiting until it is ready.
    fn ask(
        &mut self,
        request: Request<RequestBody<B>>,
    ) -> impl Future<Output = Result<Response<Self::Reply>, Self::Error>> + Send;
}

impl<S, B, R> Inner<B> for S
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes, Error: Send> + Send + 'static,
{
    type Reply = R;
    type Error = S::Error;
    type Future = S::Future;

    fn forward(&mut self, request: Request<RequestBody<B>>) -> S::Future {
        self.call(request)
    }

    fn ask(
        &mut self,
        request: Request<RequestBody<B>>,
    ) -> impl Future<Output = Result<Response<R>, S::Error>> + Send {
        tower::ServiceExt::oneshot(self.clone(), request)
    }
}

/// An answer that somebody has to be waited for.
pub(crate) type LaneFuture<R, E> =
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static>>;

/// Whether the app compressed its reply all the same.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The title of a raw body without another name: the last segment of its address.
fn last_segment(uri: &Uri) -> Option<String> {
    let segment = uri.path().rsplit('/').find(|segment| !segment.is_empty())?;
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

/// The address that a request came from in the first place, as far as proxies are trusted to tell;
/// `None` where a service mounts the layer and gives no [`ClientInfo`].
fn client_address(
    engine: &Engine,
    extensions: &http::Extensions,
    headers: &HeaderMap,
) -> Option<IpAddr> {
    let peer = extensions.get::<ClientInfo>()?.peer.ip();
    let trusted = &engine.config.server.trusted_proxies;
    Some(first_client(headers, peer, trusted))
}
