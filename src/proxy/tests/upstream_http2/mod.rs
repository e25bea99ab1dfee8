//! An app that speaks HTTP/2 and nothing else, frame by frame.
#![allow(clippy::unwrap_used)]

mod replies;
mod requests;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::config::AppConfig;
use crate::proxy::testing::{PATIENCE, PATIENT, Peer, Proxy};

struct Http2App(TcpListener);

type Asked = (Request<h2::RecvStream>, SendResponse<Bytes>);

impl Http2App {
    async fn start() -> (Self, Proxy, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = AppConfig { http2: true, ..AppConfig::at(url.parse().unwrap()) };
        let proxy = Proxy::around(&app, PATIENT, |entrance| entrance).await;
        let client = proxy.connect().await;
        (Self(listener), proxy, client)
    }

    /// For one request at a time.
    async fn accept(&self) -> Connection<TcpStream, Bytes> {
        self.accept_for(1).await
    }

    async fn accept_for(&self, requests: u32) -> Connection<TcpStream, Bytes> {
        let (stream, _) = timeout(PATIENCE, self.0.accept()).await.unwrap().unwrap();
        let mut settings = h2::server::Builder::new();
        settings.max_concurrent_streams(requests).handshake(stream).await.unwrap()
    }
}

/// The next request.
async fn asked(connection: &mut Connection<TcpStream, Bytes>) -> Asked {
    timeout(PATIENCE, connection.accept()).await.unwrap().unwrap().unwrap()
}

fn answer(mut reply: SendResponse<Bytes>, text: &'static str) {
    let mut body = reply.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
}

/// Serves what was asked already.
fn run(mut connection: Connection<TcpStream, Bytes>) {
    tokio::spawn(async move { connection.accept().await.is_none() });
}

/// A request that a client has made and the app has before it, on a connection that is served on.
async fn begun(request: &str) -> ((Http2App, Proxy), Peer, Asked) {
    let (app, proxy, mut client) = Http2App::start().await;
    client.say(request).await;
    let mut connection = app.accept().await;
    let asked = asked(&mut connection).await;
    run(connection);
    ((app, proxy), client, asked)
}
