//! Connections to the app.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use tokio::net::TcpStream;
use tower::Service;

use super::body::BoxError;
use super::stream::AppStream;

/// TCP, and TLS for an `https` app, within a time limit for both together.
#[derive(Clone, Debug)]
pub(crate) struct Connector(HttpsConnector<HttpConnector>);

impl Connector {
    /// # Errors
    /// The TLS library refuses to be set up.
    pub(crate) fn new() -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        let https = HttpsConnectorBuilder::new()
            // Named, since the process may hold no default or another one.
            .with_provider_and_webpki_roots(aws_lc_rs::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Self(https))
    }
}

impl Service<Uri> for Connector {
    type Response = AppStream<MaybeHttpsStream<TokioIo<TcpStream>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, app: Uri) -> Self::Future {
        let connecting = self.0.call(app);
        Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection within 10 s");
            Ok(AppStream::new(connected.map_err(late)??))
        })
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Finds out about an app that vanished without a word, under a reply that may take forever.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
