//! curl against the binary, as its users know it.

use std::net::SocketAddr;
use std::process::Output;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::support::app::{App, reply};
use crate::support::{CONFIG, Form, World, files, tokens};

/// Its output, after what it was told to write: status, HTTP version and the bytes that it uploaded.
async fn curl(arguments: &[&str]) -> (String, String) {
    let Output { stdout, stderr, .. } = Command::new("curl")
        .args(["-sv", "-o", "-", "-w", "\n%{http_code} %{http_version} %{size_upload}"])
        .args(arguments)
        .output()
        .await
        .expect("curl is installed");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(stdout), text(stderr))
}

/// An app that answers each request's head with this, whatever may follow.
async fn hasty(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_head(stream, answer));
        }
    });
    address
}

async fn answer_head(stream: TcpStream, answer: &str) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    // Until the proxy has had enough.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// As apps with a limit on uploads do: takes some of the body, answers, closes.
async fn answer_midway(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut taken = vec![0; 300_000];
        if stream.read_exact(&mut taken).await.is_ok() {
            let no = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
            let _ = stream.write_all(no).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_refuses_an_upload_at_once_spares_curl_the_body() {
    let refusal = "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
    let world = World::with(CONFIG).app_at(hasty(refusal).await).start(Form::Binary).await;
    let file = world.dir().join("large.pdf");
    std::fs::write(&file, files::pdf(&"x".repeat(5 << 20))).unwrap();
    let form = format!("file=@{}", file.display());
    let bearer = format!("Authorization: Bearer {}", tokens::for_user("ann"));
    // On a route with an upload rule, and on none.
    for path in ["/api/files", "/elsewhere"] {
        let url = world.url(path);
        let expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "20"];
        let arguments = [&expect[..], &["-H", &bearer, "-F", &form, &url]].concat();
        let (told, log) = curl(&arguments).await;
        assert_eq!(told, "no\n413 1.1 0", "{path}: {log}");
        assert!(!log.contains("100 Continue"), "{path}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_the_app_expects_is_captured_as_ever() {
    let world = World::usual().start(Form::Binary).await;
    let file = world.dir().join("large.pdf");
    std::fs::write(&file, files::pdf(&"x".repeat(2 << 20))).unwrap();
    let form = format!("file=@{}", file.display());
    let bearer = format!("Authorization: Bearer {}", tokens::for_user("ann"));
    let url = world.url("/api/files");
    let expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "20"];
    let (told, log) = curl(&[&expect[..], &["-H", &bearer, "-F", &form, &url]].concat()).await;
    assert!(told.contains("\n201 1.1 "), "{told}\n{log}");
    assert_eq!(log.matches("< HTTP/1.1 100 Continue").count(), 1, "{log}");
    world.dws.has_documents(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_refused_midway_gets_its_refusal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::with("").app_at(listener.local_addr().unwrap()).start(Form::Binary).await;
    tokio::spawn(answer_midway(listener));
    let file = world.dir().join("large");
    std::fs::write(&file, vec![b'x'; 50 << 20]).unwrap();
    let data = format!("@{}", file.display());
    for more in [&["-H", "Expect:"][..], &["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]] {
        let url = world.url("/");
        let (told, log) = curl(&[more, &["--data-binary", &data, &url]].concat()).await;
        assert!(told.starts_with("no\n413 1.1 "), "{more:?}: {told}\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_hints_and_trailers_reach_curl() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
        HTTP/1.1 200 \r\nConnection: close\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let world = World::with("").app_at(hasty(answer).await).start(Form::Binary).await;
    for (option, version) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
        let (told, log) = curl(&[option, "-i", "-H", "TE: trailers", &world.url("/")]).await;
        let end = format!("\r\n\r\nokx-sum: 7\r\n\n200 {version} 0");
        assert!(told.ends_with(&end), "{told:?}");
        let hints = log.find(&format!("< HTTP/{version} 103 ")).expect(&log);
        let reply = log.find(&format!("< HTTP/{version} 200 ")).expect(&log);
        assert!(hints < reply && log.contains("< link: </a.css>"), "{log}");
        // The app gave no reason, and so do we.
        let status = log.split_at(reply).1.lines().next().unwrap();
        assert!(status.trim_end().ends_with("200"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_ends_with_its_connection_is_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::with("").app_at(listener.local_addr().unwrap()).start(Form::Binary).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1000]).await;
            let body = "x".repeat(1 << 20);
            let reply = format!("HTTP/1.0 200 OK\r\nServer: old\r\n\r\n{body}");
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    for version in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
        let (told, log) = curl(&[version, &world.url("/")]).await;
        let (body, rest) = told.split_once('\n').unwrap();
        assert_eq!(body.len(), 1 << 20, "{version}: {log}");
        assert!(rest.starts_with("200 "), "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_and_answered_passes_as_it_is() {
    let app = App::answering(|_, seen| {
        let has = |name| seen.headers.contains_key(name);
        match seen.method.as_str() {
            "PROPFIND" | "LOCK" | "SEARCH" => {
                reply(207, &[("x-method", seen.method.as_str())], "<x/>")
            }
            _ if has("range") => {
                let range = [("content-range", "bytes 1-2/4"), ("accept-ranges", "bytes")];
                reply(206, &range, "bc")
            }
            _ if has("if-none-match") => reply(304, &[("etag", "\"v1\"")], ""),
            _ => {
                let lines = [
                    ("set-cookie", "a=1"),
                    ("set-cookie", "b=2"),
                    ("vary", "accept"),
                    ("vary", "cookie"),
                ];
                reply(200, &lines, "abcd")
            }
        }
    });
    let world = World::with("").app(app).start(Form::Binary).await;
    let url = world.url("/x");
    for method in ["PROPFIND", "LOCK", "SEARCH"] {
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let (told, log) = curl(&["-X", method, version, &url]).await;
            assert!(told.starts_with("<x/>\n207 "), "{method}: {told}");
            assert!(log.contains(&format!("< x-method: {method}")), "{log}");
        }
    }
    let (told, log) = curl(&["-r", "1-2", &url]).await;
    assert_eq!(told, "bc\n206 1.1 0");
    assert!(log.contains("< content-range: bytes 1-2/4"), "{log}");
    let (told, log) = curl(&["-H", "If-None-Match: \"v1\"", &url]).await;
    assert_eq!(told, "\n304 1.1 0");
    assert!(log.contains("< etag: \"v1\""), "{log}");
    let (told, log) = curl(&["-I", &url]).await;
    assert!(told.ends_with("\n200 1.1 0"), "{told}");
    assert!(log.contains("< content-length: 4"), "{log}");
    let (told, log) = curl(&[&url]).await;
    assert_eq!(told, "abcd\n200 1.1 0");
    let lines: Vec<_> = log.lines().filter_map(|line| line.strip_prefix("< ")).collect();
    for line in ["set-cookie: a=1", "set-cookie: b=2", "vary: accept", "vary: cookie"] {
        assert_eq!(lines.iter().filter(|seen| seen.trim() == line).count(), 1, "{line}: {log}");
    }
    let (told, _) = curl(&["--http2-prior-knowledge", "-T", "-", &url]).await;
    assert!(told.starts_with("abcd\n200 2 "), "{told}");
    let (told, _) = curl(&["-X", "OPTIONS", "--request-target", "*", &world.url("/")]).await;
    assert!(told.starts_with("abcd\n200 1.1"), "{told}");
    assert_eq!(world.app.seen().last().unwrap().uri, "*");
    let absolute = format!("{}?q", world.url("/abs"));
    let (told, _) = curl(&["--request-target", &absolute, &world.url("/")]).await;
    assert!(told.starts_with("abcd\n200 1.1"), "{told}");
    assert_eq!(world.app.seen().last().unwrap().uri, "/abs?q");
    let (told, log) = curl(&["-X", "CONNECT", "--request-target", "d:443", &world.url("/")]).await;
    assert!(log.contains("< HTTP/1.1 405 "), "{told}\n{log}");
}
