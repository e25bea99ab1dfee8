//! Apps that are not simply behind a TCP address with HTTP/1.1.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::PrivateKeyDer;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config::{AppConfig, AppTls};
use crate::proxy::testing::{App, PATIENT, Peer, Proxy};

async fn before(app: &AppConfig) -> Proxy {
    Proxy::around(app, PATIENT, |entrance| entrance).await
}

/// Says what it was asked, in the words of HTTP/1.1, and echoes body and trailers.
async fn echo(
    mut request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, hyper::Error>>, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let mut reply =
        Response::builder().header("x-asked", format!("{:?} {}", request.version(), request.uri()));
    for (name, value) in request.headers() {
        reply = reply.header(format!("x-asked-{name}"), value);
    }
    if request.headers().contains_key("upgrade") {
        tokio::spawn(async move {
            let mut tunnel = TokioIo::new(upgrade.await.unwrap());
            tokio::io::AsyncWriteExt::write_all(&mut tunnel, b"tunnel").await.unwrap();
        });
        reply = reply.status(101).header("connection", "upgrade").header("upgrade", "websocket");
        return Ok(reply
            .body(Full::default().map_err(|never| match never {}).boxed_unsync())
            .unwrap());
    }
    Ok(reply.body(request.into_body().boxed_unsync()).unwrap())
}

/// An app that speaks HTTP/1.1 and HTTP/2, over TLS if there is an acceptor.
async fn speaks_both(tls: Option<TlsAcceptor>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = format!("localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let service = service_fn(echo);
                let _ = match tls {
                    None => server.serve_connection_with_upgrades(TokioIo::new(tcp), service).await,
                    Some(tls) => match tls.accept(tcp).await {
                        Ok(stream) => {
                            server
                                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                                .await
                        }
                        Err(_) => Ok(()),
                    },
                };
            });
        }
    });
    authority
}

/// A CA of its own and a server with a certificate for `localhost` that it signed.
fn own_ca(alpn: &[&str]) -> (RootCertStore, TlsAcceptor) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = ca.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::from_params(&ca, &key);
    let leaf_key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(leaf_key.serialize_der()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    (roots, TlsAcceptor::from(Arc::new(config)))
}

fn trusting(roots: RootCertStore) -> AppTls {
    AppTls { roots: Some(Arc::new(roots)), server_name: None }
}

async fn get(proxy: &Proxy) -> String {
    let mut client = proxy.connect().await;
    client.say("GET /x HTTP/1.1\r\nHost: docs.example\r\nConnection: close\r\n\r\n").await;
    client.hear_all().await
}

#[cfg(unix)]
#[tokio::test]
async fn an_app_behind_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let app =
        AppConfig { socket: Some(path), ..AppConfig::at("http://localhost/base".parse().unwrap()) };
    let proxy = before(&app).await;
    let mut client = proxy.connect().await;
    client.say("GET /x HTTP/1.1\r\nHost: docs.example\r\n\r\n").await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut at_app = Peer(stream);
    let head = at_app.hear("\r\n\r\n").await;
    assert!(
        head.starts_with("GET /base/x HTTP/1.1\r\n") && head.contains("host: docs.example\r\n"),
        "{head}"
    );
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    client.hear("ok").await;
}

#[tokio::test]
async fn an_app_with_a_ca_of_its_own_is_believed_only_by_it() {
    let (roots, tls) = own_ca(&[]);
    let url = format!("https://{}", speaks_both(Some(tls)).await);
    let believing = AppConfig { tls: trusting(roots), ..AppConfig::at(url.parse().unwrap()) };
    let reply = get(&before(&believing).await).await;
    assert!(
        reply.contains("x-asked: HTTP/1.1 /x\r\n") && reply.contains("x-asked-host: docs.example"),
        "{reply}"
    );

    let stranger = AppConfig { tls: trusting(own_ca(&[]).0), ..believing.clone() };
    let elsewhere = AppConfig::at(url.parse().unwrap());
    let mut misnamed = believing.clone();
    misnamed.tls.server_name = Some("app.example".try_into().unwrap());
    for app in [stranger, elsewhere, misnamed] {
        let reply = get(&before(&app).await).await;
        assert!(reply.starts_with("HTTP/1.1 502 ") && reply.contains("app_unavailable"), "{reply}");
    }

    let by_number = url.replace("localhost", "127.0.0.1");
    let mut named = AppConfig { url: Some(by_number.parse().unwrap()), ..believing };
    named.tls.server_name = Some("localhost".try_into().unwrap());
    assert!(get(&before(&named).await).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn http2_is_used_where_it_is_spoken() {
    let (roots, tls) = own_ca(&["h2", "http/1.1"]);
    let secure = format!("https://{}", speaks_both(Some(tls)).await);
    let (other_roots, tls) = own_ca(&["http/1.1"]);
    let old = format!("https://{}", speaks_both(Some(tls)).await);
    let plain = format!("http://{}", speaks_both(None).await);
    for (url, roots, expected) in [
        (secure, Some(roots), "x-asked: HTTP/2.0 https://docs.example/x\r\n"),
        (old, Some(other_roots), "x-asked: HTTP/1.1 /x\r\n"),
        (plain, None, "x-asked: HTTP/2.0 http://docs.example/x\r\n"),
    ] {
        let tls = roots.map(trusting).unwrap_or_default();
        let app = AppConfig { http2: true, tls, ..AppConfig::at(url.parse().unwrap()) };
        let proxy = before(&app).await;
        for _ in 0..2 {
            let reply = get(&proxy).await;
            assert!(reply.contains(expected), "{url}: {reply}");
            assert!(reply.contains("x-asked-x-forwarded-host: docs.example\r\n"), "{reply}");
            assert!(!reply.contains("x-asked-connection"), "{reply}");
        }
        // A WebSocket goes over HTTP/1.1 in any case.
        let mut client = proxy.connect().await;
        client
            .say("GET /ws HTTP/1.1\r\nHost: d\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        let head = client.hear("\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 101 ") && head.contains("x-asked: HTTP/1.1 /ws\r\n"),
            "{head}"
        );
        client.hear("tunnel").await;
    }
}

#[tokio::test]
async fn bodies_and_trailers_stream_over_http2() {
    let url = format!("http://{}", speaks_both(None).await);
    let proxy = before(&AppConfig { http2: true, ..AppConfig::at(url.parse().unwrap()) }).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let (send, receive) = tokio::sync::mpsc::channel::<Frame<Bytes>>(1);
    let frames = stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|frame| (Ok::<_, Infallible>(frame), receive))
    });
    let request = Request::post(format!("http://{}/x", proxy.address))
        .header("te", "trailers")
        .body(StreamBody::new(Box::pin(frames)))
        .unwrap();
    let reply = client.request(request).await.unwrap();
    assert_eq!(reply.headers()["x-asked-te"], "trailers");
    assert!(!reply.headers().contains_key("x-asked-transfer-encoding"));
    let mut body = reply.into_body();
    for part in ["one", "two"] {
        send.send(Frame::data(Bytes::from(part))).await.unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), part);
    }
    let trailers =
        HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("7"))]);
    send.send(Frame::trailers(trailers.clone())).await.unwrap();
    drop(send);
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
}

#[tokio::test]
async fn an_app_may_want_its_own_name_and_the_names_of_hops() {
    let app = App::start().await;
    let url = app.url();
    let config = AppConfig { rewrite_host: true, via: true, ..AppConfig::at(url.parse().unwrap()) };
    let proxy = before(&config).await;
    let mut client = proxy.connect().await;
    client.say("GET / HTTP/1.0\r\nHost: docs.example\r\nVia: 1.1 edge\r\nConnection: keep-alive\r\n\r\n").await;
    let mut at_app = app.accept().await;
    let head = at_app.hear("\r\n\r\n").await;
    let authority = app.authority();
    for line in [
        &format!("host: {authority}"),
        "x-forwarded-host: docs.example",
        "via: 1.1 edge, 1.0 transom",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
    }
    at_app
        .say(&format!("HTTP/1.1 302 Found\r\nVia: 1.1 app\r\nLocation: {url}/login\r\nContent-Length: 0\r\n\r\n"))
        .await;
    let head = client.hear("\r\n\r\n").await;
    assert!(head.contains("via: 1.1 app, 1.1 transom\r\n"), "{head}");
    assert!(head.contains("location: /login\r\n"), "{head}");
}
