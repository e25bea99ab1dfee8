//! A change of protocol (RFC 9110 section 7.8), as WebSocket makes it: bytes both ways, unread.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io;

/// A client's wish to change the protocol, taken out of its request.
#[derive(Debug)]
pub(crate) struct Upgrade {
    protocols: HeaderValue,
    client: OnUpgrade,
}

impl Upgrade {
    /// Takes the wish out of a request that carries one. Call it while the hop's headers are still there.
    ///
    /// A change to HTTP/2 or TLS is no wish that is passed on: it would let requests by that Transom
    /// does not see. With a body, it depends on the app's reading where the tunnel's bytes begin. Such
    /// requests go on as ordinary ones (RFC 9110 section 7.8 allows it).
    pub(crate) fn take<B: Body>(request: &mut Request<B>) -> Option<Self> {
        let plain = request.version() == Version::HTTP_11 && request.body().is_end_stream();
        if !plain || !asks_for_upgrade(request.headers()) {
            return None;
        }
        let protocols = request.headers().get(UPGRADE)?.clone();
        let client = request.extensions_mut().remove::<OnUpgrade>()?;
        Some(Self { protocols, client })
    }

    /// The protocols that the client offers, in its order.
    pub(crate) fn protocols(&self) -> &HeaderValue {
        &self.protocols
    }

    /// The app agreed with this reply: tunnels until both sides are done. Returns the agreed protocol.
    pub(crate) fn follow<B>(self, reply: &mut Response<B>) -> HeaderValue {
        let app = hyper::upgrade::on(&mut *reply);
        tokio::spawn(async move {
            let (client, app) = match tokio::try_join!(self.client, app) {
                Ok(both) => both,
                Err(error) => return tracing::debug!(%error, "upgrade did not come about"),
            };
            let (mut client, mut app) = (TokioIo::new(client), TokioIo::new(app));
            if let Err(error) = io::copy_bidirectional(&mut client, &mut app).await {
                tracing::debug!(%error, "tunnel broke off");
            }
        });
        reply.headers().get(UPGRADE).cloned().unwrap_or(self.protocols)
    }
}

/// Writes the two headers of an upgrade, which every hop writes anew.
pub(crate) fn announce(headers: &mut HeaderMap, protocols: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocols);
}

fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    let named = tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let one_line = headers.get_all(UPGRADE).iter().count() == 1;
    named && one_line && !tokens(headers, &UPGRADE).any(hides_requests)
}

fn hides_requests(protocol: &[u8]) -> bool {
    let name = protocol.split(|b| *b == b'/').next().unwrap_or_default();
    [b"h2c".as_slice(), b"h2", b"http", b"tls"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_protocols_that_hide_no_requests_are_passed_on() {
        for (connection, upgrade, expected) in [
            ("Upgrade", "websocket", true),
            ("keep-alive, upgrade", "websocket", true),
            ("keep-alive", "websocket", false),
            ("upgrade, http2-settings", "h2c", false),
            ("upgrade", "websocket, H2C", false),
            ("upgrade", "TLS/1.2", false),
            ("upgrade", "HTTP/2.0", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONNECTION, HeaderValue::from_static(connection));
            headers.insert(UPGRADE, HeaderValue::from_static(upgrade));
            assert_eq!(asks_for_upgrade(&headers), expected, "{connection}: {upgrade}");
        }
    }
}
