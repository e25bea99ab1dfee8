//! What stands in for an app that does not answer: a page where a browser shows it to a person, and a problem for
//! everybody else.

use reqwest::Response;

use crate::support::{Form, World, process};

const NAVIGATION: &[(&str, &str)] = &[
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
];

/// By a browser that sends no Fetch Metadata.
const OLDER: &[(&str, &str)] = &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];

const OTHERS: [&[(&str, &str)]; 4] = [
    &[],
    &[("accept", "*/*")],
    &[("accept", "application/json")],
    &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "*/*, text/html")],
];

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = world.http.get(world.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn is_told(world: &World, path: &str, status: u16, code: &str) {
    for headers in [NAVIGATION, OLDER] {
        let reply = get(world, path, headers).await;
        assert_eq!(reply.status(), status, "{path}");
        assert_eq!(reply.headers()["content-type"], "text/html; charset=utf-8", "{path}");
        assert_eq!(reply.headers()["cache-control"], "no-store");
        assert!(reply.headers().contains_key("content-security-policy"));
        let page = reply.text().await.unwrap();
        for part in ["The application does not answer right now", code] {
            assert!(page.contains(part), "{path}: {page}");
        }
    }
    for headers in OTHERS {
        let reply = get(world, path, headers).await;
        assert_eq!(reply.status(), status, "{path} {headers:?}");
        assert_eq!(reply.headers()["content-type"], "application/problem+json", "{headers:?}");
        let problem: serde_json::Value = reply.json().await.unwrap();
        assert_eq!(problem["code"], code, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_down() {
    for app_settings in ["", "http2 = true"] {
        let world = World::usual().app_settings(app_settings).app_at(process::free_address());
        let world = world.start(Form::Binary).await;
        for path in ["/", "/files/7/content", "/api/files/7", "/any?download"] {
            is_told(&world, path, 502, "app_unavailable").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_takes_too_long() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::usual()
        .app_settings("limits = { first_byte = \"300ms\" }")
        .app_at(silent.local_addr().unwrap())
        .start(Form::Binary)
        .await;
    is_told(&world, "/", 504, "app_timeout").await;
}
