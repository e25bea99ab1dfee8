//! An app that knows nothing of Transom: it records what it gets, and answers as it is told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt;
use transom::{Transom, ViewerSession};

use super::tokens;

#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Vec<Seen>>,
    answer: Mutex<Answer>,
    files: Mutex<BTreeMap<String, Stored>>,
}

type Answer = Arc<dyn Fn(&App, &Seen) -> Response + Send + Sync>;

/// A request as the app got it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Empty when it broke off.
    pub body: Vec<u8>,
    pub complete: bool,
    pub trailers: Option<HeaderMap>,
    /// The token of the session that the layer put into the request.
    pub viewer_session: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Stored {
    pub owner: String,
    pub bytes: Vec<u8>,
}

impl Seen {
    /// The file of a form, or the body of anything else.
    pub fn file(&self) -> Vec<u8> {
        let content_type = self.headers.get("content-type").and_then(|value| value.to_str().ok());
        let boundary = content_type.and_then(|value| value.split_once("boundary="));
        let Some((_, boundary)) = boundary else { return self.body.clone() };
        let find = |from: usize, what: &[u8]| {
            let at = self.body[from..].windows(what.len()).position(|window| window == what);
            at.map(|at| from + at)
        };
        let file = find(0, b"filename=").and_then(|at| {
            let start = find(at, b"\r\n\r\n")? + 4;
            let end = find(start, format!("\r\n--{boundary}").as_bytes())?;
            Some(self.body[start..end].to_vec())
        });
        file.unwrap_or_default()
    }
}

impl App {
    /// The usual app: files that belong to whoever uploaded them.
    pub fn files() -> Self {
        Self::answering(files)
    }

    pub fn answering(answer: impl Fn(&App, &Seen) -> Response + Send + Sync + 'static) -> Self {
        let shared = Shared {
            seen: Mutex::default(),
            answer: Mutex::new(Arc::new(answer)),
            files: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on it answers so.
    pub fn answers(&self, answer: impl Fn(&App, &Seen) -> Response + Send + Sync + 'static) {
        *self.shared.answer.lock().unwrap() = Arc::new(answer);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The last request with this method and path.
    pub fn last(&self, method: &Method, path: &str) -> Seen {
        let seen = self.seen();
        let found = seen.iter().rev().find(|seen| seen.method == method && seen.uri.path() == path);
        found.unwrap_or_else(|| panic!("the app never saw {method} {path}")).clone()
    }

    pub async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    pub async fn serve_behind(
        &self,
        transom: &Transom,
        address: SocketAddr,
    ) -> tokio::task::JoinHandle<()> {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let app = Router::new().fallback_service(transom.around(self.router()));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() })
    }

    fn router(&self) -> Router {
        Router::new().fallback(record).with_state(self.clone())
    }
}

async fn record(State(app): State<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await;
    let seen = Seen {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        complete: body.is_ok(),
        trailers: body.as_ref().ok().and_then(|body| body.trailers().cloned()),
        body: body.map(|body| body.to_bytes().to_vec()).unwrap_or_default(),
        viewer_session: parts.extensions.get::<ViewerSession>().map(|s| s.token().to_owned()),
    };
    app.shared.seen.lock().unwrap().push(seen.clone());
    let answer = app.shared.answer.lock().unwrap().clone();
    answer(&app, &seen)
}

/// A reply with these parts.
pub fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

pub fn json(status: u16, value: &serde_json::Value) -> Response {
    reply(status, &[("content-type", "application/json")], value.to_string())
}

/// The user of the bearer token or cookie, as the app itself sees it.
pub fn user(seen: &Seen) -> Option<String> {
    let bearer = seen.headers.get("authorization").and_then(|v| v.to_str().ok());
    let cookies = seen.headers.get("cookie").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let cookie = cookies.split("; ").find_map(|pair| pair.strip_prefix("access_token="));
    let token = bearer.and_then(|v| v.strip_prefix("Bearer ")).or(cookie)?;
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    rules.validate_aud = false;
    let key = jsonwebtoken::DecodingKey::from_secret(tokens::SECRET.as_bytes());
    let claims = jsonwebtoken::decode::<serde_json::Value>(token, &key, &rules).ok()?.claims;
    claims["sub"].as_str().map(str::to_owned)
}

fn files(app: &App, seen: &Seen) -> Response {
    let Some(user) = user(seen) else { return reply(401, &[], "who are you?") };
    let path = seen.uri.path().to_owned();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let mut files = app.shared.files.lock().unwrap();
    match (seen.method.as_str(), segments.as_slice()) {
        ("POST", ["api", "files"]) => {
            if !seen.complete {
                return reply(400, &[], "cut short");
            }
            let id = (files.len() + 1).to_string();
            files.insert(id.clone(), Stored { owner: user, bytes: seen.file() });
            let id: u64 = id.parse().unwrap();
            json(201, &serde_json::json!({ "data": { "id": id } }))
        }
        (
            method,
            ["api", "files", id] | ["api", "files", id, "content"] | ["files", id, "content"],
        ) => {
            let Some(stored) = files.get_mut(*id) else { return reply(404, &[], "no such file") };
            if stored.owner != user {
                return reply(403, &[], "not yours");
            }
            match method {
                "GET" if segments.last() == Some(&"content") => {
                    reply(200, &[("content-type", "application/pdf")], stored.bytes.clone())
                }
                "GET" => reply(
                    200,
                    &[("content-type", "application/json"), ("etag", "\"v1\"")],
                    format!(
                        "{{ \"data\": {{\"id\": {id}, \"price\": 1.10, \"owner\":\"{user}\"}} }}"
                    ),
                ),
                "PUT" => {
                    stored.bytes = seen.body.clone();
                    reply(204, &[], "")
                }
                "DELETE" => {
                    files.remove(*id);
                    reply(204, &[], "")
                }
                _ => reply(405, &[], ""),
            }
        }
        _ => reply(404, &[], "nothing here"),
    }
}
