//! What a listener knows of a client.

use std::net::SocketAddr;

/// Request extension set by whoever accepted the connection. The binary's listener sets it; a service that
/// mounts the layer may, so that cookies get `Secure` and forwarded headers name the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Whether this connection is encrypted. Behind a trusted proxy, `X-Forwarded-Proto` tells more.
    pub tls: bool,
}
