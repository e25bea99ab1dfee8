//! The plainest forwarder that hyper makes: what Transom's pass lane is measured against.
//!
//! It has the same allocator, the same pool of connections and one thread, and does nothing to a request
//! but give it its address: no limits, no headers, no routes, no metrics.

use std::error::Error;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// `plain LISTEN APP`, both as `host:port`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listener = TcpListener::bind(arguments.next().ok_or("where to listen?")?).await?;
    let app = arguments.next().ok_or("where is the app?")?.parse::<Uri>()?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Incoming>();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, authority) = (client.clone(), app.authority().cloned());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            (parts.scheme, parts.authority) = (Some("http".parse().unwrap()), authority.clone());
            *request.uri_mut() = Uri::from_parts(parts).unwrap();
            client.request(request)
        });
        let http = auto::Builder::new(TokioExecutor::new());
        tokio::spawn(async move { http.serve_connection(TokioIo::new(stream), service).await });
    }
}
