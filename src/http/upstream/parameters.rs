//! What this room is told of the upstream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;

/// Where the upstream is, and how it is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamParameters {
    /// Absolute, `http` or `https`. Its path is put before every path.
    pub(crate) url: Uri,
    /// The Unix socket that it listens on; `None` for TCP.
    pub(crate) socket: Option<PathBuf>,
    /// The CAs that are believed; `None`: those that browsers believe.
    pub(crate) roots: Option<Arc<RootCertStore>>,
    /// The name in its certificate, where that is not the host of `url`.
    pub(crate) server_name: Option<ServerName<'static>>,
    /// HTTP/2 where it is offered; over plain TCP it has to be known beforehand.
    pub(crate) http2: bool,
    /// For name, socket and TLS together.
    pub(crate) connect_timeout: Duration,
    /// Idle connections of each kind that are kept.
    pub(crate) max_idle: usize,
    /// Further origins under which it believes to be reached. In replies they become relative, as that of `url`;
    /// `None`: addresses stay as they are.
    pub(crate) origins: Option<Vec<String>>,
    /// `Host` is the authority of `url`, not the client's.
    pub(crate) rewrite_host: bool,
    /// The name that `Via` (RFC 9110 section 7.6.3) has for this hop; `None`: no `Via`.
    pub(crate) via: Option<&'static str>,
}

#[cfg(test)]
impl UpstreamParameters {
    pub(crate) fn at(url: Uri) -> Self {
        Self {
            url,
            socket: None,
            roots: None,
            server_name: None,
            http2: false,
            connect_timeout: Duration::from_secs(5),
            max_idle: 8,
            origins: Some(Vec::new()),
            rewrite_host: false,
            via: None,
        }
    }
}
