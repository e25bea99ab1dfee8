//! The examples, built as they are, and asked what their first lines say.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::dws::{self, Dws};
use crate::support::files;
use crate::support::missing::missing;
use crate::support::process::{Process, free_address};

/// A running example, by its own rules against a DWS that is not at its usual address.
struct Example {
    url: String,
    http: reqwest::Client,
    dws: Dws,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Example {
    /// `None`, and a word about it, where there is no cargo to build it with.
    async fn start(name: &str) -> Option<Self> {
        let Some(program) = built(name).await else {
            missing(&format!("cargo is not there to build the example {name}"));
            return None;
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(root.join(format!("examples/{name}.rs"))).unwrap();
        let rules = source.split("r#\"").nth(1).and_then(|rest| rest.split("\"#").next()).unwrap();
        let (dws, dir) = (Dws::start().await, tempfile::tempdir().unwrap());
        let rules = rules.replace("127.0.0.1:8090", &dws.address.to_string());
        let rules = rules.replace("sandbox-key", dws::KEY);
        std::fs::write(dir.path().join("transom.toml"), rules).unwrap();
        let address = free_address();
        let mut command = tokio::process::Command::new(program);
        command.args(["transom.toml", &address.to_string()]).current_dir(dir.path());
        let process = Process::listening(command, address).await;
        let (url, http) = (format!("http://{address}"), reqwest::Client::new());
        Some(Self { url, http, dws, _process: process, _dir: dir })
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }
}

/// Where cargo puts it, beside this test.
async fn built(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent()?.parent()?;
    let profile_name = match profile.file_name()?.to_str()? {
        "debug" => "dev",
        other => other,
    };
    let mut cargo = tokio::process::Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", name, "--profile", profile_name]);
    cargo.arg("--target-dir").arg(profile.parent()?).current_dir(env!("CARGO_MANIFEST_DIR"));
    assert!(cargo.status().await.ok()?.success(), "the example {name} is built");
    Some(profile.join("examples").join(name))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_axum_service_shows_what_was_uploaded() {
    let Some(example) = Example::start("axum").await else { return };
    let file = reqwest::multipart::Part::bytes(files::pdf("report")).file_name("report.pdf");
    let form = reqwest::multipart::Form::new().part("file", file);
    let request = example.http.post(format!("{}/files", example.url)).multipart(form);
    let reply: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(reply["id"], 1);
    example.dws.has_documents(1).await;

    let session = example.get("/.transom/session/files/1").await;
    assert_eq!(session.status(), 200);
    let shown: Value = example.get("/files/1").await.json().await.unwrap();
    assert_eq!(shown["name"], "report.pdf");
    assert!(shown["viewer_session"].as_str().unwrap().starts_with("eyJ"), "{shown}");
    // The probe's own route says no.
    assert_eq!(example.get("/.transom/session/files/2").await.status(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tower_service_shows_what_was_uploaded() {
    let Some(example) = Example::start("tower").await else { return };
    let request = example.http.post(format!("{}/documents/a", example.url));
    let request = request.header("content-type", "application/pdf").body(files::pdf("report"));
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "stored as a\n");
    example.dws.has_documents(1).await;

    let shown = example.get("/documents/a").await;
    let session = shown.headers()["x-viewer-session"].to_str().unwrap().to_owned();
    assert!(session.starts_with("eyJ"));
    assert_eq!(shown.text().await.unwrap(), "this is a\n");
}
