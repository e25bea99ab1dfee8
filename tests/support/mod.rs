//! One builder for every acceptance test: an app, a DWS, Transom in one of its two forms, a client.
//!
//! ```ignore
//! let world = World::with(CONFIG).start(Form::Binary).await;
//! let id = world.upload_as("ann", "report.pdf").await;
//! world.dws.has_documents(1).await;
//! ```
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

pub mod app;
pub mod dws;
pub mod files;
pub mod issuer;
pub mod missing;
pub mod process;
pub mod tokens;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transom::{Config, Transom};

use app::App;
use dws::Dws;
use process::Process;

/// The two forms that the engine comes in; what holds for one holds for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The `transom` command in front of the app.
    Binary,
    /// The layer around a service in the test's own process.
    Layer,
}

/// Runs a scenario against both forms.
#[macro_export]
macro_rules! in_both_forms {
    ($($(#[$meta:meta])* async fn $name:ident($form:ident: Form) $body:block)+) => {$(
        mod $name {
            use super::*;
            async fn scenario($form: Form) $body
            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn binary() { scenario(Form::Binary).await; }
            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn layer() { scenario(Form::Layer).await; }
        }
    )+};
}

/// What is to be built.
pub struct WorldBuilder {
    config: String,
    server_settings: String,
    app_settings: String,
    dws_settings: String,
    app: App,
    app_address: Option<SocketAddr>,
    dws: Option<Dws>,
    dir: Option<PathBuf>,
}

/// An app, a DWS and a Transom, all running.
pub struct World {
    pub app: App,
    pub dws: Dws,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub config_path: PathBuf,
    pub http: reqwest::Client,
    transom: Running,
    dir: Dir,
}

enum Running {
    Process(Process),
    Layer(Transom, tokio::task::JoinHandle<()>),
    Stopped,
}

struct Dir {
    path: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl World {
    /// Rules (`[documents.…]`, `[[identity]]`); the sections of addresses are added.
    pub fn with(config: &str) -> WorldBuilder {
        WorldBuilder {
            config: config.to_owned(),
            server_settings: String::new(),
            app_settings: String::new(),
            dws_settings: String::new(),
            app: App::files(),
            app_address: None,
            dws: None,
            dir: None,
        }
    }

    /// The usual rules: see [`CONFIG`].
    pub fn usual() -> WorldBuilder {
        Self::with(CONFIG)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// A request with the app's own token for this user.
    pub fn request_as(&self, user: &str, method: Method, path: &str) -> RequestBuilder {
        self.request(method, path).bearer_auth(tokens::for_user(user))
    }

    pub async fn get_as(&self, user: &str, path: &str) -> Response {
        self.request_as(user, Method::GET, path).send().await.expect("an answer")
    }

    /// Uploads a PDF as a form; the app's reply, which must be 201.
    pub async fn upload_as(&self, user: &str, name: &str) -> String {
        let reply = self.post_file_as(user, name, files::pdf(name)).await;
        assert_eq!(reply.status(), 201, "the app takes the upload");
        let json: serde_json::Value = reply.json().await.expect("the app's JSON");
        json["data"]["id"].to_string()
    }

    pub async fn post_file_as(&self, user: &str, name: &str, bytes: Vec<u8>) -> Response {
        self.post_file_request_as(user, name, bytes).send().await.expect("an answer")
    }

    pub fn post_file_request_as(&self, user: &str, name: &str, bytes: Vec<u8>) -> RequestBuilder {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new().text("note", "a note").part("file", part);
        self.request_as(user, Method::POST, "/api/files").multipart(form)
    }

    /// Waits until the outbox has nothing left to try.
    pub async fn settled(&self) {
        let mut text = String::new();
        for _ in 0..600 {
            text = self.metrics().await;
            let count = |state: &str| {
                let line = format!("transom_outbox_jobs{{state=\"{state}\"}} ");
                let value = text.lines().find_map(|text| text.strip_prefix(&line));
                value.and_then(|value| value.parse::<f64>().ok()).unwrap_or(1.0)
            };
            if count("due") + count("sending") == 0.0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the outbox never came to rest:\n{text}");
    }

    /// These bytes on a connection of their own; all that comes back until it ends, in lower case.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset has said what it had to say.
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("an end");
        String::from_utf8_lossy(&answer).to_ascii_lowercase()
    }

    /// `GET /.transom/session/files/{id}`: status and JSON.
    pub async fn session_as(&self, user: &str, id: &str) -> (u16, serde_json::Value) {
        let reply = self.get_as(user, &format!("/.transom/session/files/{id}")).await;
        let status = reply.status().as_u16();
        (status, reply.json().await.expect("JSON"))
    }

    /// Waits until this user gets a session for the document.
    pub async fn session_in_the_end(&self, user: &str, id: &str) -> serde_json::Value {
        let mut last = (0, serde_json::Value::Null);
        for _ in 0..300 {
            last = self.session_as(user, id).await;
            if last.0 == 200 {
                return last.1;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no session in the end: {last:?}");
    }

    /// What this user's viewer shows in the end, or the code of why it shows nothing.
    pub async fn shown_to(&self, user: &str, id: &str) -> Result<Vec<u8>, String> {
        let mut code = String::new();
        for _ in 0..200 {
            let (status, answer) = self.session_as(user, id).await;
            if status == 200 {
                return Ok(self.dws.content(answer["document_id"].as_str().unwrap()).await);
            }
            code = answer["code"].as_str().unwrap_or_default().to_owned();
            if code != "document_pending" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(code)
    }

    /// What lies in the spool.
    pub fn spooled(&self) -> Vec<String> {
        let dir = self.dir.path.join("data/spool");
        let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
        files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    pub async fn spool_is_empty_in_the_end(&self) {
        for _ in 0..200 {
            if self.spooled().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("left in the spool: {:?}", self.spooled());
    }

    pub fn dir(&self) -> &Path {
        &self.dir.path
    }

    /// The metrics text, of either form.
    pub async fn metrics(&self) -> String {
        match &self.transom {
            Running::Layer(transom, _) => transom.render_metrics(),
            _ => {
                let url = format!("http://{}/metrics", self.admin);
                self.http.get(url).send().await.unwrap().text().await.unwrap()
            }
        }
    }

    /// Waits until this outcome has been counted.
    pub async fn counted(&self, step: &str, reason: &str) {
        let wanted = format!("step=\"{step}\",reason=\"{reason}\"");
        let mut text = String::new();
        for _ in 0..100 {
            text = self.metrics().await;
            if text.contains(&wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let seen: Vec<_> = text.lines().filter(|line| line.contains("outcomes")).collect();
        panic!("{wanted} was never counted, but {seen:#?}");
    }

    /// `kill -9`, without a word. Binary form only.
    pub async fn kill(&mut self) {
        match std::mem::replace(&mut self.transom, Running::Stopped) {
            Running::Process(mut process) => process.kill().await,
            _ => panic!("only the binary can be killed"),
        }
    }

    /// SIGTERM and a clean end. Binary form only.
    pub async fn stop(&mut self) -> std::process::ExitStatus {
        match std::mem::replace(&mut self.transom, Running::Stopped) {
            Running::Process(mut process) => process.terminate().await,
            _ => panic!("only the binary has a process to stop"),
        }
    }

    /// The same with so many open files and no more, and under this umask.
    pub async fn start_again_confined(&mut self, files: u32, umask: &str) {
        let process = Process::run_confined(&self.config_path, self.address, files, umask).await;
        self.transom = Running::Process(process);
    }

    pub async fn start_again(&mut self) {
        self.transom = Running::Process(Process::run(&self.config_path, self.address).await);
    }

    /// The engine of the layer form.
    pub fn transom(&self) -> &Transom {
        match &self.transom {
            Running::Layer(transom, _) => transom,
            _ => panic!("only the layer's engine is in this process"),
        }
    }

    /// Changes the configuration file and nothing else.
    pub fn rewrite_config(&self, edit: impl FnOnce(String) -> String) {
        let text = edit(std::fs::read_to_string(&self.config_path).unwrap());
        std::fs::write(&self.config_path, text).unwrap();
    }

    /// Changes the configuration file and has it taken into use.
    pub async fn reconfigure(&self, edit: impl FnOnce(String) -> String) {
        let taken = self.figure(RELOADS_TAKEN).await;
        self.rewrite_config(edit);
        match &self.transom {
            Running::Process(process) => {
                process.signal("HUP").await;
                self.until_figure(RELOADS_TAKEN, |figure| figure > taken).await;
            }
            Running::Layer(transom, _) => {
                let config = Config::load(&self.config_path).expect("a good configuration");
                transom.reload(config).await.expect("a reload");
            }
            Running::Stopped => panic!("nothing runs"),
        }
    }

    /// SIGHUP. Binary form only.
    pub async fn hang_up(&self) {
        self.signal("HUP").await;
    }

    /// Binary form only.
    pub async fn signal(&self, name: &str) {
        match &self.transom {
            Running::Process(process) => process.signal(name).await,
            _ => panic!("only the binary takes signals"),
        }
    }

    /// Waits until the binary has ended by itself.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        match &mut self.transom {
            Running::Process(process) => process.ended().await,
            _ => panic!("only the binary has a process that ends"),
        }
    }

    /// One figure of the metrics; 0 while it is not counted.
    pub async fn figure(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    pub async fn until_figure(&self, name: &str, reached: impl Fn(f64) -> bool) {
        for _ in 0..400 {
            if reached(self.figure(name).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} never came so far:\n{}\n{}", self.metrics().await, self.log());
    }

    /// Its log comes here through a pipe, a little later than what it tells of. Binary form only.
    pub async fn logged(&self, part: &str) {
        self.logged_times(part, 1).await;
    }

    pub async fn logged_times(&self, part: &str, times: usize) {
        for _ in 0..200 {
            if self.log().matches(part).count() >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{part:?} was not logged {times} times:\n{}", self.log());
    }

    pub fn log(&self) -> String {
        match &self.transom {
            Running::Process(process) => process.log(),
            _ => String::new(),
        }
    }

    /// Of the binary.
    pub fn process_id(&self) -> u32 {
        match &self.transom {
            Running::Process(process) => process.id(),
            _ => panic!("the layer has no process of its own"),
        }
    }
}

impl WorldBuilder {
    pub fn app(mut self, app: App) -> Self {
        self.app = app;
        self
    }

    /// An app that a test plays itself. Binary form only.
    pub fn app_at(mut self, address: SocketAddr) -> Self {
        self.app_address = Some(address);
        self
    }

    /// Lines of `[server]` besides its addresses.
    pub fn server_settings(mut self, lines: &str) -> Self {
        self.server_settings = lines.to_owned();
        self
    }

    /// Lines of `[app]` besides its address.
    pub fn app_settings(mut self, lines: &str) -> Self {
        self.app_settings = lines.to_owned();
        self
    }

    /// A DWS that was made before, so that it can be in trouble from the start.
    /// More lines of `[dws]`.
    pub fn dws_settings(mut self, lines: &str) -> Self {
        self.dws_settings.push_str(lines);
        self.dws_settings.push('\n');
        self
    }

    pub fn dws(mut self, dws: Dws) -> Self {
        self.dws = Some(dws);
        self
    }

    pub async fn start(self, form: Form) -> World {
        let dws = match self.dws {
            Some(dws) => dws,
            None => Dws::start().await,
        };
        let own = tempfile::tempdir().expect("a temporary directory");
        let dir = Dir { path: own.path().to_owned(), _own: Some(own) };
        let (address, admin) = (process::free_address(), process::free_address());
        let app_address = match (form, self.app_address) {
            (Form::Binary, Some(address)) => address,
            (Form::Binary, None) => self.app.serve().await,
            // The layer calls its inner service; this address is never used.
            (Form::Layer, _) => process::free_address(),
        };
        let text = format!(
            "[server]\nlisten = \"{address}\"\nadmin = \"{admin}\"\n{}\n[app]\nurl = \"http://{app_address}\"\n{}\n\
             [dws]\nurl = \"http://{}/viewer\"\napi_key = \"{}\"\n{}\n[store]\npath = \"{}\"\n\n\
             [viewer]\nsdk = \"http://{}/nutrient-viewer.js\"\n\n{}",
            self.server_settings,
            self.app_settings,
            dws.address,
            dws::KEY,
            self.dws_settings,
            dir.path.join("data").display(),
            dws.address,
            self.config
        );
        let config_path = dir.path.join("config.toml");
        std::fs::write(&config_path, text).expect("the configuration is written");
        let transom = match form {
            Form::Binary => Running::Process(Process::run(&config_path, address).await),
            Form::Layer => {
                let config = Config::load(&config_path).unwrap_or_else(|error| panic!("{error}"));
                let transom = Transom::start(config).await.expect("the engine starts");
                let served = self.app.serve_behind(&transom, address).await;
                Running::Layer(transom, served)
            }
        };
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        World { app: self.app, dws, address, admin, config_path, http, transom, dir }
    }
}

pub const RELOADS_TAKEN: &str = "transom_reloads_total{what=\"config\",result=\"taken\"}";
pub const RELOADS_REFUSED: &str = "transom_reloads_total{what=\"config\",result=\"refused\"}";

/// The usual rules of the tests: a JSON API with uploads as forms.
pub const CONFIG: &str = r#"
[[identity]]
name = "app"
tokens = [{ bearer = true }, { cookie = "access_token" }]
algorithms = ["HS256"]
key = { secret = "a secret of thirty-two bytes or so" }
issuer = "my-app"
audience = ["my-app"]

[documents.files]
source = "GET /files/{id}/content"
probe = "GET /api/files/{id}"

[[documents.files.upload]]
route = "POST /api/files"
file = { part = "file" }
id = { json = "$.data.id" }
max_size = "8 MiB"

[[documents.files.replace]]
route = "PUT /api/files/{id}/content"
file = { body = true }

[[documents.files.delete]]
route = "DELETE /api/files/{id}"

[[documents.files.view]]
route = "GET /api/files/{id}"
session = [{ json = "/data/viewer_session" }, { response_header = "X-Viewer-Session" }]

[[documents.files.view]]
route = "GET /files/{id}/content"
session = { page = true }
"#;
