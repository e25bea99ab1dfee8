//! What a listener knows of a client.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// Request extension set by whoever accepted the connection. The binary's listener sets it; a service that
/// mounts the layer may, so that cookies get `Secure` and forwarded headers name the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Whether this connection is encrypted. Behind a trusted proxy, `X-Forwarded-Proto` tells more.
    pub tls: bool,
}

impl ClientInfo {
    /// The client at `peer`, over TLS or not.
    #[must_use]
    pub fn new(peer: SocketAddr, tls: bool) -> Self {
        Self { peer, tls }
    }
}

/// The client that trusted proxies speak for: in `X-Forwarded-For` as our listener leaves it, the last address that
/// is not one of theirs.
pub(crate) fn first_client(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |client: &IpAddr| trusted.iter().any(|net| net.contains(client));
    let mut client = peer.to_canonical();
    // Nearly always, and the lines need not be read then.
    if !is_trusted(&client) {
        return client;
    }
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter().rev();
    let lines = lines.filter_map(|line| line.to_str().ok());
    for address in lines.flat_map(|line| line.rsplit(',')) {
        let Ok(before) = address.trim().parse::<IpAddr>() else { break };
        client = before.to_canonical();
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
