//! The bodies that the forwarder sends and returns.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The app's own body, or the few bytes of our word in its stead.
pub(crate) type ReplyBody = Either<Incoming, Full<Bytes>>;

/// What goes to the app. One type for all bodies lets all requests share one connection pool.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, ClientGone>;

/// The client's side of a request body failed; the app is not to blame.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
pub(crate) struct ClientGone(#[source] BoxError);

pub(crate) fn request_body<B>(body: B) -> RequestBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    body.map_err(|error| ClientGone(error.into())).boxed_unsync()
}
