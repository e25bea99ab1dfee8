//! Raw sockets, so that tests see and say every byte.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::downstream::{ClientLimits, Limits};

/// Plays the app: takes connections and says what a test tells it to.
pub(crate) struct App {
    listener: TcpListener,
}

/// One end of a connection, of either side.
pub(crate) struct Peer<S = TcpStream>(pub(crate) S);

impl App {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn authority(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    pub(crate) async fn accept(&self) -> Peer {
        Peer(timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap().0)
    }
}

impl Peer {
    /// The same in TLS, once the handshake is done.
    pub(crate) async fn secured(self, trusting: &TlsConnector) -> Peer<TlsStream<TcpStream>> {
        let name = NAME.try_into().unwrap();
        Peer(timeout(PATIENCE, trusting.connect(name, self.0)).await.unwrap().unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything up to and with `end`; fails when it does not come.
    pub(crate) async fn hear(&mut self, end: &str) -> String {
        let mut heard = Vec::new();
        let listening = async {
            while !heard.ends_with(end.as_bytes()) {
                heard.push(self.0.read_u8().await?);
            }
            std::io::Result::Ok(())
        };
        let result = timeout(PATIENCE, listening).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(matches!(result, Ok(Ok(()))), "{end:?} did not follow {heard:?}: {result:?}");
        heard
    }

    /// Everything until the other end closes.
    pub(crate) async fn hear_all(&mut self) -> String {
        let mut heard = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut heard)).await.unwrap().unwrap();
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Whether the other end is gone, cleanly or not, before it says anything more.
    pub(crate) async fn is_left(&mut self) -> bool {
        timeout(PATIENCE, self.0.read_u8()).await.unwrap().is_err()
    }
}

/// What certificates are for.
pub(crate) const NAME: &str = "d.test";
/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const PATIENT: Limits = Limits { of_clients: ClientLimits::USUAL, drain: PATIENCE };
