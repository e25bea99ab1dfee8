//! Bodiless requests over real sockets, and replies in every shape.
#![allow(clippy::unwrap_used)]

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::parameters::UpstreamParameters;
use crate::http::interim::OnInterim;
use crate::http::testing::{App, PATIENCE, Peer};

use super::super::body::UpstreamBody;
use super::super::connect::Connector;
use super::{BodilessClient, BodilessError, BodilessRequest};

type Answer = Result<Response<UpstreamBody>, BodilessError>;

struct Chain {
    app: App,
    bodiless: Arc<BodilessClient>,
}

impl Chain {
    async fn new() -> Self {
        let app = App::start().await;
        let config = UpstreamParameters::at(app.url().parse().unwrap());
        let bodiless = Arc::new(BodilessClient::new(Connector::new(&config).unwrap(), PATIENCE, 8));
        Self { app, bodiless }
    }

    fn ask(&self, method: Method) -> JoinHandle<Answer> {
        let request = Request::builder().method(method).uri("/a?b").header("host", "d");
        self.ask_this(request.body(()).unwrap())
    }

    fn ask_this(&self, request: Request<()>) -> JoinHandle<Answer> {
        let bodiless = Arc::clone(&self.bodiless);
        tokio::spawn(async move { bodiless.ask(&mut BodilessRequest::of(request)).await })
    }

    /// What is made of a reply, its body read to the end; and the app's side of the connection.
    async fn answered(&self, method: Method, said: &str) -> (Read, Peer) {
        let asked = self.ask(method);
        let mut at_app = self.app.accept().await;
        at_app.hear("\r\n\r\n").await;
        at_app.say(said).await;
        (read(asked).await, at_app)
    }

    /// Whether the connection is used for the next request.
    async fn is_kept(&self, at_app: &mut Peer) -> bool {
        let next = self.ask(Method::GET);
        let kept = tokio::select! {
            heard = at_app.is_left() => !heard,
            _ = self.app.accept() => false,
        };
        next.abort();
        kept
    }
}

/// A reply, its body, and its trailers; or why there is none or no end of it.
type Read = Result<(Response<()>, Bytes, Option<http::HeaderMap>), String>;

async fn read(asked: JoinHandle<Answer>) -> Read {
    let reply = timeout(PATIENCE, asked).await.unwrap().unwrap().map_err(|e| e.to_string())?;
    let (head, body) = reply.into_parts();
    let body = timeout(PATIENCE, body.collect()).await.unwrap().map_err(|e| e.to_string())?;
    let trailers = body.trailers().cloned();
    Ok((Response::from_parts(head, ()), body.to_bytes(), trailers))
}

#[tokio::test]
async fn a_head_is_written_as_it_was_asked() {
    let chain = Chain::new().await;
    let request = Request::builder().method("PROPFIND").uri("/a%20b//?c=%2F");
    let request = request.header("host", "d").header("x-two", "1").header("x-two", "2");
    let _asked = chain.ask_this(request.header("x-empty", "").body(()).unwrap());
    let heard = chain.app.accept().await.hear("\r\n\r\n").await;
    let expected =
        "PROPFIND /a%20b//?c=%2F HTTP/1.1\r\nhost: d\r\nx-two: 1\r\nx-two: 2\r\nx-empty: \r\n\r\n";
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn where_a_reply_ends_and_whether_another_may_follow() {
    for (method, said, body, kept) in [
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", true),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nContent-Length: 02\r\n\r\nok",
            "ok",
            true,
        ),
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
        (Method::GET, "HTTP/1.1 204 No Content\r\n\r\n", "", true),
        (Method::GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "", true),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "", true),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", true),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=\"y\"\r\nk\r\n0\r\n\r\n",
            "ok",
            true,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        (
            Method::GET,
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        (
            Method::GET,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        // Not to be followed by anything.
        (Method::GET, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", "ok", false),
        (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "", false),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "ok",
            false,
        ),
        (
            Method::GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1",
            "ok",
            false,
        ),
    ] {
        let chain = Chain::new().await;
        let (read, mut at_app) = chain.answered(method, said).await;
        assert_eq!(read.unwrap().1, body, "{said}");
        assert_eq!(chain.is_kept(&mut at_app).await, kept, "{said}");
    }
}

#[tokio::test]
async fn a_reply_may_end_with_its_connection() {
    for head in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"] {
        let chain = Chain::new().await;
        let asked = chain.ask(Method::GET);
        let mut at_app = chain.app.accept().await;
        at_app.hear("\r\n\r\n").await;
        at_app.say(&format!("{head}\r\nall of it")).await;
        drop(at_app);
        assert_eq!(read(asked).await.unwrap().1, "all of it");
    }
}

#[tokio::test]
async fn a_reply_that_is_none_is_an_error() {
    for (said, why) in [
        ("nonsense\r\n\r\n", "can't be read"),
        ("HTTP/1.1 99 What\r\n\r\n", "can't be read"),
        ("HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\nok", "can't be read"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "can't be read"),
        ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", "can't be read"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", "can't be read"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "can't be read"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "can't be read"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n", "can't be read"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "can't be read"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "can't be read"),
    ] {
        let chain = Chain::new().await;
        let (read, mut at_app) = chain.answered(Method::GET, said).await;
        let error = read.unwrap_err();
        assert!(error.contains(why), "{said}: {error}");
        assert!(at_app.is_left().await, "{said}");
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_an_error() {
    for said in [
        "",
        "HTTP/1.1 200 O",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let chain = Chain::new().await;
        let asked = chain.ask(Method::GET);
        let mut at_app = chain.app.accept().await;
        at_app.hear("\r\n\r\n").await;
        at_app.say(said).await;
        drop(at_app);
        let error = read(asked).await.unwrap_err();
        assert!(error.contains("before the end of its reply"), "{said}: {error}");
    }
}

#[tokio::test]
async fn what_an_app_says_without_end_is_not_kept() {
    for endless in ["x", "X: y\r\n"] {
        let chain = Chain::new().await;
        let asked = chain.ask(Method::GET);
        let mut at_app = chain.app.accept().await;
        at_app.hear("\r\n\r\n").await;
        at_app.say("HTTP/1.1 200 OK\r\n").await;
        let endless = endless.repeat(100_000);
        let error = tokio::select! {
            read = read(asked) => read.unwrap_err(),
            () = talk(&mut at_app, &endless) => unreachable!(),
        };
        assert!(error.contains("can't be read"), "{error}");
    }
}

/// For ever, whether it is heard or not.
async fn talk(at_app: &mut Peer, words: &str) {
    while at_app.0.write_all(words.as_bytes()).await.is_ok() {}
    pending::<()>().await;
}

#[tokio::test]
async fn interim_replies_are_heard_in_their_order() {
    let chain = Chain::new().await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut request = Request::get("/").header("host", "d").body(()).unwrap();
    let hearing = Arc::clone(&heard);
    request.extensions_mut().insert(OnInterim::new(move |status, headers| {
        hearing.lock().unwrap().push((status.as_u16(), headers.len()));
    }));
    let asked = chain.ask_this(request);
    let mut at_app = chain.app.accept().await;
    at_app.hear("\r\n\r\n").await;
    at_app.say("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n").await;
    at_app.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").await;
    let (reply, _, _) = read(asked).await.unwrap();
    assert_eq!(reply.status(), 101);
    assert_eq!(*heard.lock().unwrap(), [(102, 0), (103, 1)]);
    assert!(at_app.is_left().await);
}

#[tokio::test]
async fn trailers_and_unusual_words_come_through() {
    let chain = Chain::new().await;
    let said = "HTTP/1.1 299 Fine, really\r\nSet-Cookie: a\r\nset-cookie: b\r\nTransfer-Encoding: chunked\r\n\r\n\
                2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let (read, mut at_app) = chain.answered(Method::GET, said).await;
    let (reply, body, trailers) = read.unwrap();
    let reason = reply.extensions().get::<hyper::ext::ReasonPhrase>().unwrap();
    assert_eq!(reason.as_bytes(), b"Fine, really");
    assert_eq!(reply.headers().get_all("set-cookie").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(body, "ok");
    assert_eq!(trailers.unwrap()["x-sum"], "7");
    assert!(chain.is_kept(&mut at_app).await);
}

#[tokio::test]
async fn what_is_said_between_requests_is_nobodys_reply() {
    let chain = Chain::new().await;
    let (read_first, mut at_app) =
        chain.answered(Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(read_first.is_ok());
    at_app.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
    // Until it has come.
    while at_app.0.writable().await.is_err() {}
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let (read, _at_app) =
        chain.answered(Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
    assert_eq!(read.unwrap().1, "good");
}

/// tokio gives each turn of a task a budget of 128 steps.
#[tokio::test]
async fn a_task_whose_turn_is_used_up_still_gets_its_reply() {
    for used in 118..128 {
        let chain = Chain::new().await;
        let bodiless = Arc::clone(&chain.bodiless);
        // A task of its own, which nothing else here has polled again.
        let task = tokio::spawn(async move {
            let request = Request::get("/").header("host", "d").body(()).unwrap();
            let mut asked = BodilessRequest::of(request);
            let mut asking = pin!(bodiless.ask(&mut asked));
            let spent = poll_fn(|context| {
                for _ in 0..used {
                    let _ = pin!(tokio::task::consume_budget()).poll(context);
                }
                asking.as_mut().poll(context)
            });
            spent.await
        });
        let mut at_app = chain.app.accept().await;
        at_app.hear("\r\n\r\n").await;
        // More than is read before somebody takes it.
        at_app.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: 32000\r\n\r\n{:32000}", "")).await;
        assert_eq!(read(task).await.unwrap().1.len(), 32000, "{used}");
    }
}
