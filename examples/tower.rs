//! Bare hyper and tower: `transom.around(service)` for any `Service<Request<B>>` that is the whole app.
//!
//! ```text
//! transom sandbox &          # a local DWS
//! cargo run --example tower
//! curl --data-binary @report.pdf http://127.0.0.1:3000/documents/a    # stored as a
//! curl -i http://127.0.0.1:3000/documents/a                           # X-Viewer-Session: eyJ…
//! ```
//!
//! Other rules and another address: `cargo run --example tower -- transom.toml 127.0.0.1:4000`.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tower::service_fn;
use transom::{Config, Transom};

const RULES: &str = r#"
[dws]
url = "http://127.0.0.1:8090/viewer"
api_key = "sandbox-key"

[store]
path = "transom-data"

[documents.files]

[[documents.files.upload]]
route = "POST /documents/{id}"
file = { body = true }

[[documents.files.view]]
route = "GET /documents/{id}"
session = { response_header = "X-Viewer-Session" }
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let config = match arguments.next() {
        Some(path) => Config::load(path)?,
        None => Config::parse(RULES, Path::new("transom.toml"))?,
    };
    let transom = Transom::start(config).await?;
    // Among other layers: `ServiceBuilder::new().layer(transom.layer())`.
    let service = transom.around(service_fn(app));

    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            if let Err(error) =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}

/// The app: it takes anything under a name, and knows nothing of viewing.
async fn app<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: Body,
{
    let name = request.uri().path().trim_start_matches("/documents/").to_owned();
    let stores = request.method() == Method::POST;
    let complete = request.into_body().collect().await.is_ok();
    let text = match (stores, complete) {
        (true, true) => format!("stored as {name}\n"),
        (true, false) => return Ok(reply(400, "the body was cut short\n")),
        (false, _) => format!("this is {name}\n"),
    };
    Ok(reply(200, &text))
}

fn reply(status: u16, text: &str) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::from(text.to_owned()));
    *reply.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    reply
}
