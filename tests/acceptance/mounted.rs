//! The layer in real axum services of several routes, nested and with state: where it gives sessions, and where
//! it only says what is wrong with its place.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder};
use tracing::subscriber::DefaultGuard;
use transom::{ClientInfo, Config, Transom, ViewerSession};

use crate::support::dws::{self, Dws};
use crate::support::files;

/// Who may see which document; the app's own state.
#[derive(Clone, Default)]
struct Desk {
    allowed: Arc<Mutex<BTreeSet<(String, usize)>>>,
    count: Arc<Mutex<usize>>,
}

/// The user whom the app's own middleware has recognised.
#[derive(Clone)]
struct User(String);

type Known = Option<Extension<User>>;

async fn recognise(mut request: Request, next: Next) -> Response {
    let cookie = request.headers().get("cookie").and_then(|cookie| cookie.to_str().ok());
    if let Some(user) = cookie.and_then(|cookie| cookie.strip_prefix("user=")) {
        let user = User(user.to_owned());
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

async fn upload(State(desk): State<Desk>, _file: Bytes) -> (StatusCode, Json<Value>) {
    let mut count = desk.count.lock().unwrap();
    *count += 1;
    (StatusCode::CREATED, Json(json!({ "id": *count })))
}

/// Answers everybody: who may have a session is for `allowed` to say.
async fn show(session: Option<Extension<ViewerSession>>) -> Json<Value> {
    Json(json!({ "session": session.map(|session| session.token().to_owned()) }))
}

async fn allowed(State(desk): State<Desk>, user: Known, Path(id): Path<usize>) -> StatusCode {
    let Some(Extension(User(user))) = user else { return StatusCode::UNAUTHORIZED };
    match desk.allowed.lock().unwrap().contains(&(user, id)) {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::FORBIDDEN,
    }
}

fn files(show: MethodRouter<Desk>) -> Router<Desk> {
    Router::new().route("/", post(upload)).route("/{id}", show).route("/{id}/allowed", get(allowed))
}

fn desk_router(files: Router<Desk>, desk: Desk) -> Router {
    Router::new()
        .route("/", get(|| async { "the start page" }))
        .route(
            "/view",
            get(|query: Query<Value>, session| async move {
                drop(query);
                show(session).await
            }),
        )
        .nest("/api/files", files)
        .with_state(desk)
}

/// The whole app.
fn app(desk: Desk) -> Router {
    desk_router(files(get(show)), desk).layer(from_fn(recognise))
}

const RULES: &str = r#"
[documents.files]
probe = "GET /api/files/{id}/allowed"

[[documents.files.upload]]
route = "POST /api/files"
file = { body = true }
id = { json = "$.id" }

[[documents.files.view]]
route = "GET /api/files/{id}"
session = { request_header = "X-Viewer-Session" }

[[documents.files.view]]
route = "GET /view?id={id}"
session = { request_header = "X-Viewer-Session" }
"#;

/// A Transom, an app of one document that ann may see, and all that was logged. Everything runs on the thread of
/// the test, whose log it is.
struct Service {
    dws: Dws,
    transom: Transom,
    desk: Desk,
    http: reqwest::Client,
    log: Log,
    _logging: DefaultGuard,
    _dir: tempfile::TempDir,
}

impl Service {
    async fn start(rules: &str) -> Self {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let logging = tracing::subscriber::set_default(subscriber.finish());
        let (dws, dir) = (Dws::start().await, tempfile::tempdir().unwrap());
        let text = format!(
            "[dws]\nurl = \"http://{}/viewer\"\napi_key = \"{}\"\n\
             [store]\npath = \"data\"\n{rules}",
            dws.address,
            dws::KEY
        );
        let config = Config::parse(&text, &dir.path().join("transom.toml")).unwrap();
        let transom = Transom::start(config).await.unwrap();
        let (desk, http) = (Desk::default(), reqwest::Client::new());
        desk.allowed.lock().unwrap().insert(("ann".to_owned(), 1));
        Self { dws, transom, desk, http, log, _logging: logging, _dir: dir }
    }

    /// With a document that DWS has. It came through a right mount.
    async fn with_a_document() -> Self {
        let service = Self::start(RULES).await;
        let right = serve(mounted(&service.transom, app(service.desk.clone()))).await;
        service.upload(right, "/api/files").await;
        assert_eq!(service.session(right, "", "ann").await.0, 200);
        assert_eq!(service.errors(), Vec::<String>::new());
        service
    }

    async fn upload(&self, at: SocketAddr, path: &str) {
        let request = self.http.post(format!("http://{at}{path}"));
        let request = request.header("content-type", "application/pdf");
        let reply = request.body(files::pdf("a")).send().await.unwrap();
        assert_eq!(reply.status(), 201, "the app takes the upload");
        self.dws.has_documents(1).await;
    }

    async fn get(&self, at: SocketAddr, path: &str, user: &str) -> (u16, Value) {
        let request = self.http.get(format!("http://{at}{path}"));
        let reply = request.header("cookie", format!("user={user}")).send().await.unwrap();
        let (status, text) = (reply.status().as_u16(), reply.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// What the endpoint says of the document.
    async fn session(&self, at: SocketAddr, prefix: &str, user: &str) -> (u16, Value) {
        self.get(at, &format!("{prefix}/.transom/session/files/1"), user).await
    }

    /// What the app finds in the request of a view.
    async fn viewed(&self, at: SocketAddr, path: &str, user: &str) -> Value {
        let (status, reply) = self.get(at, path, user).await;
        assert_eq!(status, 200, "the app's own reply comes as ever: {reply}");
        reply["session"].clone()
    }

    fn errors(&self) -> Vec<String> {
        let log = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        log.lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect()
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// As the README writes it.
fn mounted(transom: &Transom, router: Router) -> Router {
    Router::new().fallback_service(transom.around(router))
}

/// The line that this file mounts by.
#[test]
fn readme_documentation_and_example_teach_the_same_mount() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["README.md", "src/lib.rs", "examples/axum.rs"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let line = "let app = Router::new().fallback_service(transom.around(router));";
        assert!(text.contains(line), "{file}");
    }
}

#[tokio::test]
async fn a_service_can_tell_how_those_are_that_it_depends_on() {
    let service = Service::with_a_document().await;
    let told = service.transom.health();
    for name in ["store", "spool", "keys"] {
        let dependency = told.iter().find(|dependency| dependency.name == name);
        assert_eq!(dependency.map(|it| it.status), Some(transom::Status::Ok), "{name}: {told:?}");
    }
}

#[tokio::test]
async fn operators_ask_a_mounted_layer_what_they_ask_the_proxy() {
    let service = Service::with_a_document().await;
    let app = app(service.desk.clone());
    let admin =
        serve(Router::new().fallback_service(service.transom.admin_service().explaining(app)))
            .await;
    let (status, ready) = service.get(admin, "/readyz", "").await;
    assert_eq!((status, &ready["status"]), (200, &json!("ready")));
    assert_eq!(service.get(admin, "/healthz", "").await.0, 200);

    let asked =
        json!({ "method": "GET", "target": "/api/files/1", "headers": [["cookie", "user=ann"]] });
    let explain =
        |asked: Value| service.http.post(format!("http://{admin}/explain")).json(&asked).send();
    let told: Value = explain(asked).await.unwrap().json().await.unwrap();
    assert_eq!(
        (&told["lane"], &told["decision"]),
        (&json!("view"), &json!("session_given")),
        "{told}"
    );
    let stranger = json!({ "method": "GET", "target": "/api/files/1" });
    let told: Value = explain(stranger).await.unwrap().json().await.unwrap();
    assert_eq!(told["decision"], "denied_by_app", "{told}");
    let posted = json!({ "method": "POST", "target": "/api/files" });
    explain(posted).await.unwrap();
    assert_eq!(*service.desk.count.lock().unwrap(), 1, "nothing is changed by a question");

    let other = service.http.get(format!("http://{admin}/metrics")).header("host", "evil.example");
    assert_eq!(other.send().await.unwrap().status(), 421);
    let metrics = service.http.get(format!("http://{admin}/metrics")).send().await.unwrap();
    assert!(
        metrics.text().await.unwrap().contains("transom_dependency_up{dependency=\"store\"} 1")
    );

    assert_eq!(service.transom.outbox().jobs(None, 10).await.unwrap(), []);
    let live = service.http.get(format!("http://{admin}/events")).send().await.unwrap();
    service.transom.stop(std::time::Duration::from_secs(1)).await;
    // It has an end, which a graceful shutdown of the service's own server waits for.
    assert!(live.text().await.unwrap().starts_with(":\n\n"));
    assert_eq!(service.get(admin, "/readyz", "").await.0, 503, "it takes no more");
}

#[tokio::test]
async fn the_apps_no_by_another_route_is_a_no() {
    let service = Service::with_a_document().await;
    let at = serve(mounted(&service.transom, app(service.desk.clone()))).await;
    for path in ["/api/files/1", "/view?id=1"] {
        assert!(service.viewed(at, path, "ann").await.is_string(), "{path}");
        assert_eq!(service.viewed(at, path, "bob").await, Value::Null, "{path}");
    }
    let (status, problem) = service.session(at, "", "bob").await;
    assert_eq!((status, &problem["code"]), (403, &json!("denied_by_app")));
    service.desk.allowed.lock().unwrap().insert(("bob".to_owned(), 1));
    assert!(service.viewed(at, "/api/files/1", "bob").await.is_string());
    assert_eq!(service.session(at, "", "bob").await.0, 200);
    assert_eq!(service.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_layer_around_the_whole_app_gives_sessions_however_it_is_written() {
    let service = Service::with_a_document().await;
    let (transom, app) = (&service.transom, || app(service.desk.clone()));
    let unchanged = || from_fn(|request: Request, next: Next| next.run(request));
    let boxed = BoxCloneSyncService::new(transom.around(app()));
    let stack = ServiceBuilder::new()
        .map_request(|request: Request| request)
        .layer(transom.layer())
        .map_response(|response: Response| response);
    let outer = Router::new().route("/outside", get(|| async { "outside" }));
    let around_another = Router::new().fallback_service(app().layer(unchanged()));
    let mounts = [
        ("around", Router::new().fallback_service(transom.around(app()))),
        ("layer", Router::new().fallback_service(transom.layer().layer(app()))),
        ("among layers", Router::new().fallback_service(stack.service(app()))),
        ("boxed", Router::new().fallback_service(boxed)),
        ("what is boxed", mounted_boxed(transom, app())),
        ("layers outside", mounted(transom, app()).layer(unchanged())),
        ("layers inside", mounted(transom, app().layer(unchanged()))),
        ("routes outside", outer.fallback_service(transom.around(app()))),
        ("a router in a router", mounted(transom, around_another)),
        ("merged", Router::new().merge(mounted(transom, app()))),
        ("twice", mounted(transom, mounted(transom, app()))),
    ];
    for (name, mount) in mounts {
        let at = serve(mount).await;
        assert_eq!(service.session(at, "", "ann").await.0, 200, "{name}");
        assert_eq!(service.session(at, "", "bob").await.0, 403, "{name}");
        assert!(service.viewed(at, "/api/files/1", "ann").await.is_string(), "{name}");
        assert_eq!(service.viewed(at, "/api/files/1", "bob").await, Value::Null, "{name}");
        assert_eq!(service.errors(), Vec::<String>::new(), "{name}");
    }
}

fn mounted_boxed(transom: &Transom, app: Router) -> Router {
    let app = BoxCloneSyncService::new(app);
    Router::new().fallback_service(transom.around(app))
}

/// A service without routes of its own is the whole app, too.
#[tokio::test]
async fn one_handler_may_be_the_whole_app() {
    async fn any(request: Request) -> StatusCode {
        match request.uri().path().ends_with("/allowed") {
            true => StatusCode::NO_CONTENT,
            false => StatusCode::OK,
        }
    }
    let service = Service::with_a_document().await;
    for (name, mount) in [
        ("handler", Router::new().fallback_service(service.transom.around(any.with_state(())))),
        ("method router", Router::new().fallback_service(service.transom.around(get(any)))),
    ] {
        let at = serve(mount).await;
        assert_eq!(service.session(at, "", "ann").await.0, 200, "{name}");
        assert_eq!(service.errors(), Vec::<String>::new(), "{name}");
    }
}

fn around_single_routes(transom: &Transom, desk: &Desk) -> [(&'static str, Router); 10] {
    let (desk, layer) = (|| desk.clone(), transom.layer());
    let app = || app(desk());
    let nested = files(get(show)).layer(layer.clone());
    let layers = ServiceBuilder::new().layer(from_fn(recognise)).layer(layer.clone());
    let on_route = |show| desk_router(files(show), desk());
    let service = transom.around(show.with_state(()));
    [
        ("layer", app().layer(layer.clone())),
        ("route_layer", app().route_layer(layer.clone())),
        ("among layers", on_route(get(show)).layer(layers)),
        ("inside", Router::new().fallback_service(app().layer(layer.clone()))),
        ("merged", Router::new().merge(app().layer(layer.clone()))),
        ("a nested router's", desk_router(nested, desk())),
        ("a route's", on_route(get(show).layer(layer.clone()))),
        ("a route's route_layer", on_route(get(show).route_layer(layer.clone()))),
        ("a handler's", on_route(get(show.layer(layer)))),
        ("a handler's service", Router::new().route_service("/api/files/{id}", service)),
    ]
}

#[tokio::test]
async fn a_layer_around_single_routes_gives_no_session_and_says_what_to_write() {
    for index in 0.. {
        // Each is told of by a Transom of its own.
        let service = Service::with_a_document().await;
        let wrong = around_single_routes(&service.transom, &service.desk);
        let Some((name, mount)) = wrong.into_iter().nth(index) else { return };
        let at = serve(mount).await;
        for user in ["ann", "bob"] {
            assert_eq!(service.viewed(at, "/api/files/1", user).await, Value::Null, "{name}");
            let (status, problem) = service.session(at, "", user).await;
            assert!([404, 500].contains(&status), "{name}: {status} {problem}");
        }
        let errors = service.errors();
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
        for part in ["layer_misplaced", "Router::new().fallback_service(transom.around(router))"] {
            assert!(errors[0].contains(part), "{name}: {errors:?}");
        }
    }
}

#[tokio::test]
async fn a_layer_below_a_prefix_gives_no_session_and_says_what_to_write() {
    for rules in [RULES.to_owned(), RULES.replace(" /api", " /app/api")] {
        for name in ["nest", "nest_service", "nest in nest", "layer in nest"] {
            let service = Service::start(&rules).await;
            let (transom, app) = (&service.transom, app(service.desk.clone()));
            let mount = match name {
                "nest" => Router::new().nest("/app", mounted(transom, app)),
                "nest_service" => Router::new().nest_service("/app", transom.around(app)),
                "nest in nest" => {
                    let inner = Router::new().nest_service("/api", transom.around(app));
                    Router::new().nest("/app", inner)
                }
                _ => Router::new().nest("/app", app.layer(transom.layer())),
            };
            let at = serve(mount).await;
            let prefix = if name == "nest in nest" { "/app/api" } else { "/app" };
            service.get(at, &format!("{prefix}/view"), "ann").await;
            let errors = service.errors();
            assert_eq!(errors.len(), 1, "{name}: at the first request, whichever it is");
            assert!(errors[0].contains("layer_misplaced"), "{name}: {errors:?}");
            let view = format!("{prefix}/api/files/1");
            assert_eq!(service.viewed(at, &view, "ann").await, Value::Null, "{name}");
            let (status, problem) = service.session(at, prefix, "ann").await;
            match name {
                // axum nests no fallback that it has not been given.
                "layer in nest" => assert_eq!(status, 404),
                _ => assert_eq!(
                    (status, &problem["code"]),
                    (500, &json!("layer_misplaced")),
                    "{name}"
                ),
            }
            assert_eq!(service.errors().len(), 1, "{name}: once");
        }
    }
}

/// Nesting what is inside is what routers are for.
#[tokio::test]
async fn an_app_that_nests_its_own_routers_is_seen_with_whole_addresses() {
    let service = Service::start(&RULES.replace(" /api", " /app/api")).await;
    let router = Router::new().nest("/app", app(service.desk.clone()));
    let at = serve(mounted(&service.transom, router)).await;
    service.upload(at, "/app/api/files").await;
    assert_eq!(service.session(at, "", "ann").await.0, 200);
    assert!(service.viewed(at, "/app/api/files/1", "ann").await.is_string());
    assert_eq!(service.session(at, "", "bob").await.0, 403);
    assert_eq!(service.errors(), Vec::<String>::new());
}

#[tokio::test]
async fn a_layer_around_another_takes_an_upload_once() {
    let service = Service::start(RULES).await;
    let transom = &service.transom;
    let at = serve(mounted(transom, mounted(transom, app(service.desk.clone())))).await;
    service.upload(at, "/api/files").await;
    assert_eq!(service.session(at, "", "ann").await.0, 200);
    let figures = transom.render_metrics();
    let captured = figures.lines().find(|line| line.contains("reason=\"captured\""));
    assert!(captured.is_some_and(|line| line.ends_with(" 1")), "{captured:?}");
    assert!(!figures.contains("reason=\"replaced\""), "{figures}");
}

/// Uploads do not depend on the app's word, so they are not lost while the mount is wrong.
#[tokio::test]
async fn uploads_are_captured_even_so() {
    let service = Service::start(RULES).await;
    let wrong = app(service.desk.clone()).layer(service.transom.layer());
    service.upload(serve(wrong).await, "/api/files").await;
    let right = serve(mounted(&service.transom, app(service.desk.clone()))).await;
    assert_eq!(service.session(right, "", "ann").await.0, 200);
}

/// Whoever is recognised outside of the layer is a stranger inside of it, as far as Transom's own requests go.
#[tokio::test]
async fn probes_carry_no_extension_but_the_client() {
    async fn behind(request: Request, next: Next) -> Response {
        let seen = request.extensions();
        if request.uri().path().ends_with("/allowed") {
            assert!(seen.get::<ClientInfo>().is_some());
            assert!(seen.get::<Secret>().is_none(), "a probe carries what it should not");
        } else {
            assert!(seen.get::<Secret>().is_some());
        }
        next.run(request).await
    }
    #[derive(Clone)]
    struct Secret;
    let service = Service::with_a_document().await;
    let app = desk_router(files(get(show)), service.desk.clone());
    let client = ClientInfo { peer: SocketAddr::from(([192, 0, 2, 1], 1)), tls: true };
    let outside = mounted(&service.transom, app.clone().layer(from_fn(behind)))
        .layer(from_fn(recognise))
        .layer(Extension(Secret))
        .layer(Extension(client));
    let at = serve(outside).await;
    assert_eq!(service.session(at, "", "ann").await.1["code"], "denied_by_app");
    assert_eq!(service.viewed(at, "/api/files/1", "ann").await, Value::Null);

    let inside = mounted(&service.transom, app.layer(from_fn(behind)).layer(from_fn(recognise)))
        .layer(Extension(Secret))
        .layer(Extension(client));
    let at = serve(inside).await;
    assert_eq!(service.session(at, "", "ann").await.0, 200);
    assert!(service.viewed(at, "/api/files/1", "ann").await.is_string());
}
