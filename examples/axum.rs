//! An axum service that gains document viewing by one line: `transom.around(router)`.
//!
//! ```text
//! transom sandbox &          # a local DWS
//! cargo run --example axum
//! curl -F file=@report.pdf http://127.0.0.1:3000/files      # {"id":1}
//! curl http://127.0.0.1:3000/files/1                        # … "viewer_session": "eyJ…"
//! ```
//!
//! Other rules and another address: `cargo run --example axum -- transom.toml 127.0.0.1:4000`.

use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Extension, Multipart, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use transom::{Config, Transom, ViewerSession};

/// The rules of this service. In production they live in a file: `Config::load("transom.toml")`.
const RULES: &str = r#"
[dws]
url = "http://127.0.0.1:8090/viewer"    # the sandbox
api_key = "sandbox-key"

[store]
path = "transom-data"

[documents.files]
probe = "GET /files/{id}/allowed"       # the handler below needs its session before it answers

[[documents.files.upload]]
route = "POST /files"
file = { part = "file" }
id = { json = "$.id" }

[[documents.files.view]]
route = "GET /files/{id}"
session = { request_header = "X-Viewer-Session" }
"#;

type Names = Arc<Mutex<Vec<String>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let config = match arguments.next() {
        Some(path) => Config::load(path)?,
        None => Config::parse(RULES, FilePath::new("transom.toml"))?,
    };
    let transom = Transom::start(config).await?;

    let router = Router::new()
        .route("/files", post(upload))
        .route("/files/{id}", get(show))
        .route("/files/{id}/allowed", get(allowed))
        .with_state(Names::default());
    // Around the whole router, which is asked who may see what. `router.layer(transom.layer())` would wrap each
    // route by itself.
    let app = Router::new().fallback_service(transom.around(router));

    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    transom.stop(Duration::from_secs(10)).await;
    Ok(())
}

async fn upload(
    State(names): State<Names>,
    mut form: Multipart,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    while let Some(field) = form.next_field().await.map_err(|_| StatusCode::BAD_REQUEST)? {
        let Some(name) = field.file_name().map(str::to_owned) else { continue };
        field.bytes().await.map_err(|_| StatusCode::BAD_REQUEST)?;
        let mut names = names.lock().expect("no handler panics with the lock");
        names.push(name);
        return Ok((StatusCode::CREATED, Json(json!({ "id": names.len() }))));
    }
    Err(StatusCode::BAD_REQUEST)
}

/// The session is an extension of the request; a document that is still on its way has none yet.
async fn show(
    State(names): State<Names>,
    Path(id): Path<usize>,
    session: Option<Extension<ViewerSession>>,
) -> Result<Json<Value>, StatusCode> {
    let name = name_of(&names, id).ok_or(StatusCode::NOT_FOUND)?;
    let viewer_session = session.as_ref().map(|session| session.token());
    Ok(Json(json!({ "name": name, "viewer_session": viewer_session })))
}

/// Where a real service would look at who is asking.
async fn allowed(State(names): State<Names>, Path(id): Path<usize>) -> StatusCode {
    name_of(&names, id).map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT)
}

fn name_of(names: &Names, id: usize) -> Option<String> {
    let names = names.lock().expect("no handler panics with the lock");
    names.get(id.checked_sub(1)?).cloned()
}
