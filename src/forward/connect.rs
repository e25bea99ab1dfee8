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
pub(crate) struct Connector {
    https: HttpsConnector<HttpConnector>,
    within: Duration,
}

impl Connector {
    /// # Errors
    /// The TLS library refuses to be set up.
    pub(crate) fn new(within: Duration) -> Result<Self, BoxError> {
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
        Ok(Self { https, within })
    }
}

impl Service<Uri> for Connector {
    type Response = AppStream<MaybeHttpsStream<TokioIo<TcpStream>>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, app: Uri) -> Self::Future {
        let (connecting, within) = (self.https.call(app), self.within);
        Box::pin(async move {
            let connected = tokio::time::timeout(within, connecting).await;
            let late = |_| {
                let message = format!("no connection within {within:?} (app.limits.connect)");
                io::Error::new(io::ErrorKind::TimedOut, message)
            };
            Ok(AppStream::new(connected.map_err(late)??))
        })
    }
}

/// Finds out about an app that vanished without a word, under a reply that may take forever.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
