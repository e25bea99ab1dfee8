//! Connections to the app.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tower::ServiceExt;

use super::parameters::UpstreamParameters;

use super::stream::UpstreamStream;
use crate::http::BoxError;

/// TCP or a Unix socket, and TLS for an `https` app, within a time limit for all of it. Clones are the same.
#[derive(Clone)]
pub(crate) struct Connector(Arc<ConnectorInner>);

struct ConnectorInner {
    app: Endpoint,
    tls: Option<Tls>,
    within: Duration,
}

enum Endpoint {
    Tcp(HttpConnector, Uri),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

struct Tls {
    http1: TlsConnector,
    /// Offers HTTP/2, and HTTP/1.1 besides.
    both: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    /// # Errors
    /// The app's address names no host, or the TLS library refuses to be set up.
    pub(crate) fn new(upstream: &UpstreamParameters) -> Result<Self, BoxError> {
        let tls = upstream.url.scheme_str() == Some("https");
        let tls = tls.then(|| Tls::new(upstream)).transpose()?;
        let inner =
            ConnectorInner { app: Endpoint::of(upstream), tls, within: upstream.connect_timeout };
        Ok(Self(Arc::new(inner)))
    }

    /// # Errors
    /// There is none to be had in time.
    pub(crate) async fn connect_http1(&self) -> Result<UpstreamStream, BoxError> {
        Ok(self.0.connect(|tls| &tls.http1).await?.0)
    }

    /// A connection for HTTP/2, and whether the app speaks it there; over plain TCP nobody can know.
    ///
    /// # Errors
    /// There is none to be had in time.
    pub(crate) async fn connect_http2(&self) -> Result<(UpstreamStream, bool), BoxError> {
        self.0.connect(|tls| &tls.both).await
    }
}

impl ConnectorInner {
    async fn connect(
        &self,
        offer: fn(&Tls) -> &TlsConnector,
    ) -> Result<(UpstreamStream, bool), BoxError> {
        let connected = tokio::time::timeout(self.within, self.connect_slowly(offer)).await;
        connected.map_err(|_| ConnectTimedOut(self.within))?
    }

    async fn connect_slowly(
        &self,
        offer: fn(&Tls) -> &TlsConnector,
    ) -> Result<(UpstreamStream, bool), BoxError> {
        let tcp = match &self.app {
            Endpoint::Tcp(connector, app) => {
                connector.clone().oneshot(app.clone()).await?.into_inner()
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let socket = tokio::net::UnixStream::connect(path).await;
                let named = |error| format!("{}: {error}", path.display());
                return Ok((UpstreamStream::new(socket.map_err(named)?), true));
            }
        };
        let Some(tls) = &self.tls else { return Ok((UpstreamStream::new(tcp), true)) };
        let stream = offer(tls).connect(tls.name.clone(), tcp).await;
        let stream = stream.map_err(TlsFailed)?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok((UpstreamStream::new(stream), http2))
    }
}

impl Endpoint {
    fn of(upstream: &UpstreamParameters) -> Self {
        #[cfg(unix)]
        if let Some(path) = &upstream.socket {
            return Self::Unix(path.clone());
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        Self::Tcp(tcp, upstream.url.clone())
    }
}

impl Tls {
    fn new(upstream: &UpstreamParameters) -> Result<Self, BoxError> {
        let roots = upstream.roots.clone().unwrap_or_else(|| {
            let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>();
            Arc::new(roots)
        });
        // Named, since the process may hold no default or another one.
        let http1 = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut both = http1.clone();
        both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = match &upstream.server_name {
            Some(name) => name.clone(),
            None => {
                let host = upstream.url.host().unwrap_or_default();
                ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?
            }
        };
        let connector = |config| TlsConnector::from(Arc::new(config));
        Ok(Self { http1: connector(http1), both: connector(both), name })
    }
}

/// There was no connection in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(crate) struct ConnectTimedOut(pub(crate) Duration);

/// A handshake failed. What caused it is part of the message.
#[derive(Debug, thiserror::Error)]
#[error("no TLS with the upstream: {0}")]
pub(crate) struct TlsFailed(io::Error);

/// Why a certificate is not accepted, where the operator's settings or the clock may be the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateProblem {
    UnknownIssuer,
    OtherName,
}

impl TlsFailed {
    pub(crate) fn certificate_problem(&self) -> Option<CertificateProblem> {
        match self.0.get_ref()?.downcast_ref()? {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                Some(CertificateProblem::UnknownIssuer)
            }
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Some(CertificateProblem::OtherName),
            _ => None,
        }
    }
}

/// Finds out about an app that vanished without a word, under a reply that may take forever.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
