//! Shared caches in front of the binary, which keep whatever they may, for everybody.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use http::HeaderMap;
use tokio::process::{Child, Command};

use crate::support::app::{App, reply, user};
use crate::support::missing::missing;
use crate::support::{CONFIG, Form, World, files, process, tokens};

struct Cache {
    address: SocketAddr,
    _dir: tempfile::TempDir,
    _process: Child,
}

impl Cache {
    /// `None` where it is not installed. Heeds what replies say of caching, and neither cookies nor credentials.
    async fn nginx(behind: SocketAddr) -> Option<Self> {
        Self::start("nginx", "nginx-light", |dir, address| {
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
            let temporary = temporary.map(|kind| format!("{kind}_temp_path {kind};"));
            let text = format!(
                "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{}\n\
                 proxy_cache_path cache keys_zone=all:1m;\n\
                 server {{ listen {address}; location / {{ proxy_pass http://{behind}; proxy_http_version 1.1;\n\
                 proxy_cache all; proxy_cache_key $request_uri; proxy_cache_valid any 10m;\n\
                 proxy_ignore_headers Set-Cookie; add_header X-Cache $upstream_cache_status always; }} }}\n}}\n",
                temporary.join("\n"),
            );
            std::fs::write(dir.join("nginx.conf"), text).unwrap();
            let mut nginx = Command::new("nginx");
            nginx.args(["-e", "stderr", "-p"]).arg(dir).arg("-c").arg(dir.join("nginx.conf"));
            nginx
        })
        .await
    }

    async fn varnish(behind: SocketAddr) -> Option<Self> {
        Self::start("varnishd", "varnish", |dir, address| {
            let text = format!(
                "vcl 4.1;\nbackend transom {{ .host = \"{}\"; .port = \"{}\"; }}\n\
                 sub vcl_recv {{ return (hash); }}\n\
                 sub vcl_hash {{ hash_data(req.url); return (lookup); }}\n\
                 sub vcl_deliver {{ if (obj.hits > 0) {{ set resp.http.X-Cache = \"HIT\"; }} }}\n",
                behind.ip(),
                behind.port(),
            );
            std::fs::write(dir.join("all.vcl"), text).unwrap();
            let mut varnish = Command::new("varnishd");
            varnish.args([
                "-F",
                "-j",
                "none",
                "-s",
                "malloc,16m",
                "-a",
                &address.to_string(),
                "-f",
            ]);
            varnish.arg(dir.join("all.vcl")).arg("-n").arg(dir.join("work"));
            varnish
        })
        .await
    }

    async fn start(
        program: &str,
        package: &str,
        command: impl FnOnce(&Path, SocketAddr) -> Command,
    ) -> Option<Self> {
        let mut asked = Command::new(program);
        asked.arg("-V").stdout(Stdio::null()).stderr(Stdio::null());
        if asked.status().await.is_err() {
            missing(&format!("{program} is not installed (Debian package {package})"));
            return None;
        }
        let (dir, address) = (tempfile::tempdir().unwrap(), process::free_address());
        let mut command = command(dir.path(), address);
        let process = command.stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        for _ in 0..400 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return Some(Self { address, _dir: dir, _process: process });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{program} never listened");
    }
}

/// It lets everybody keep everything, and shows its documents to all but mallory. What it gets in a request it
/// shows in its pages.
fn open_to_all() -> App {
    App::answering(|_, seen| {
        let public = ("cache-control", "public, max-age=600");
        let session = seen.headers.get("x-viewer-session").map(|v| v.to_str().unwrap().to_owned());
        let html = format!("<p>{}</p>", session.unwrap_or_default());
        match seen.uri.path() {
            _ if user(seen).as_deref() == Some("mallory") => reply(403, &[], "not yours"),
            "/app/7" => reply(
                200,
                &[("content-type", "text/html"), public, ("surrogate-control", "max-age=600")],
                html,
            ),
            "/files/7/content" => reply(
                200,
                &[("content-type", "application/pdf"), public, ("etag", "\"v1\"")],
                files::pdf("7"),
            ),
            _ => reply(
                200,
                &[("content-type", "application/json"), public, ("etag", "\"v1\"")],
                "{\"data\":{}}",
            ),
        }
    })
}

const MORE: &str = r#"
[[documents.files.view]]
route = "GET /app/{id}"
session = { request_header = "X-Viewer-Session" }

[[documents.files.view]]
route = "GET /cookie/{id}"
session = { cookie = "viewer" }
"#;

async fn whole(answer: reqwest::Response) -> (HeaderMap, Vec<u8>) {
    let headers = answer.headers().clone();
    (headers, answer.bytes().await.unwrap().to_vec())
}

/// Whether a token of DWS is anywhere in it.
fn has_session((headers, body): &(HeaderMap, Vec<u8>)) -> bool {
    format!("{headers:?}{}", String::from_utf8_lossy(body)).contains("eyJ")
        || headers.get("x-viewer-session").is_some()
}

async fn nothing_gets_mixed_up(world: &World, cache: &Cache) {
    let get = |path: &str, who: Option<&str>| {
        let request = world.http.get(format!("http://{}{path}", cache.address));
        who.into_iter().fold(request, |request, who| request.bearer_auth(tokens::for_user(who)))
    };
    let ask = async |path: &str, who| whole(get(path, who).send().await.unwrap()).await;
    for path in ["/app/7", "/api/files/7", "/cookie/7", "/.transom/session/files/7"] {
        let ann = ask(path, Some("ann")).await;
        assert!(has_session(&ann), "{path}: {ann:?}");
        for other in [Some("mallory"), None, Some("mallory")] {
            let stranger = ask(path, other).await;
            assert!(!has_session(&stranger), "{path} for {other:?}: {stranger:?}");
        }
    }

    let bytes = || {
        get("/files/7/content", Some("ann"))
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
    };
    let visit = || {
        let visit = get("/files/7/content", Some("ann")).header("accept", "text/html,*/*;q=0.8");
        visit.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document")
    };
    for round in 0..3 {
        let (headers, pdf) = whole(bytes().header("accept", "*/*").send().await.unwrap()).await;
        assert!(pdf.starts_with(b"%PDF"), "round {round}: {headers:?}");
        if round > 0 {
            assert_eq!(headers["x-cache"], "HIT", "the bytes are the app's to be kept");
        }
        let (headers, page) = whole(visit().send().await.unwrap()).await;
        assert!(page.starts_with(b"<!doctype html>"), "round {round}: {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_anns_stays_hers_behind_nginx() {
    let world =
        World::with(&format!("{CONFIG}{MORE}")).app(open_to_all()).start(Form::Binary).await;
    let Some(cache) = Cache::nginx(world.address).await else { return };
    world.session_in_the_end("ann", "7").await;
    nothing_gets_mixed_up(&world, &cache).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_anns_stays_hers_behind_varnish() {
    let world =
        World::with(&format!("{CONFIG}{MORE}")).app(open_to_all()).start(Form::Binary).await;
    let Some(cache) = Cache::varnish(world.address).await else { return };
    world.session_in_the_end("ann", "7").await;
    nothing_gets_mixed_up(&world, &cache).await;
}
