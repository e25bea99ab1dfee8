//! Health, metrics, drain, check.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{CONFIG, Form, World, dws::Dws, files, process};

async fn admin(world: &World, path: &str) -> (u16, String) {
    let reply = world.http.get(format!("http://{}{path}", world.admin)).send().await.unwrap();
    (reply.status().as_u16(), reply.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_dependencies_apart() {
    let world = World::usual().start(Form::Binary).await;
    assert_eq!(admin(&world, "/healthz").await.0, 200);
    let mut text = String::new();
    for _ in 0..100 {
        let (status, json) = admin(&world, "/readyz").await;
        assert_eq!(status, 200);
        text = json;
        if !text.contains("unknown") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(text.contains("\"dws\"") && text.contains("\"store\""), "{text}");
    assert_eq!(admin(&world, "/elsewhere").await.0, 404);
}

#[tokio::test]
#[cfg(unix)]
async fn the_settings_of_the_allocator_are_in_the_binary() {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_transom"))
        .arg("--version")
        .env("_RJEM_MALLOC_CONF", "stats_print:true")
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    for setting in ["opt.narenas: 4", "opt.dirty_decay_ms: 1000", "opt.muzzy_decay_ms: 0"] {
        assert!(told.contains(setting), "{setting} is not in {told:.3000}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_and_stops_nothing() {
    for (key, word) in [("no such key", "401"), ("sandbox-wrong-product", "403")] {
        let dws = Dws::start().await;
        let mut world = World::usual().dws(dws).start(Form::Binary).await;
        world.stop().await;
        let text = std::fs::read_to_string(&world.config_path).unwrap();
        let text = text.replace(
            &format!("api_key = \"{}\"", crate::support::dws::KEY),
            &format!("api_key = \"{key}\""),
        );
        std::fs::write(&world.config_path, text).unwrap();
        world.start_again().await;
        let mut ready = String::new();
        for _ in 0..100 {
            ready = admin(&world, "/readyz").await.1;
            if ready.contains("degraded") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(ready.contains("degraded") && ready.contains(word), "{ready}");
        assert!(!world.log().contains(key), "the key is in the log");
        world.upload_as("ann", "a.pdf").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let world = World::usual().start(Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    world.session_in_the_end("ann", &id).await;
    let text = world.metrics().await;
    for line in [
        "transom_requests_total{lane=\"capture\"} 1",
        "transom_captured_files_total 1",
        "transom_outcomes_total{step=\"deliver\",reason=\"delivered\"} 1",
        "transom_sessions_minted_total 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_process_lets_uploads_finish() {
    let mut world = World::usual().start(Form::Binary).await;
    let body = [
        b"--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"slow.pdf\"\r\n\r\n"
            .as_slice(),
        &files::large_pdf("slow", 200_000),
        b"\r\n--B--\r\n",
    ]
    .concat();
    let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /api/files HTTP/1.1\r\nhost: app\r\nconnection: close\r\nauthorization: Bearer {}\r\ncontent-type: multipart/form-data; boundary=B\r\ncontent-length: {}\r\n\r\n",
        crate::support::tokens::for_user("ann"),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..100_000]).await.unwrap();
    // The request is under way, however busy the machine is.
    while !world.metrics().await.contains("transom_requests_total{lane=\"capture\"} 1") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rest = async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        stream.write_all(&body[100_000..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (status, answer) = tokio::join!(world.stop(), rest);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(status.success(), "{status}");
    world.start_again().await;
    world.dws.has_documents(1).await;
}

#[tokio::test]
async fn check_lists_every_problem_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let text = format!(
        "[server]\nlisen = \"127.0.0.1:1\"\n\n[app]\nurl = \"http://127.0.0.1:3000\"\n\n[dws]\napi_key = {{ env = \"NO_SUCH_VARIABLE\" }}\n\n{}",
        CONFIG
            .replace("id = { json = \"$.data.id\" }", "id = { path = \"nothing\" }")
            .replace(
                "max_size = \"8 MiB\"",
                "max_size = \"8 parsecs\"\nwhen = \"form.action = 'x'\""
            )
            .replace(
                "route = \"PUT /api/files/{id}/content\"",
                "route = \"POST /api/files\"\nid = { query = \"id\" }"
            )
            .replace("session = { page = true }", "session = { html = \"#viewer\" }")
    );
    std::fs::write(&path, text).unwrap();
    let output = process::run(&["check", "--config", &path.display().to_string()]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{told}");
    for needle in [
        "lisen",
        "listen",
        "NO_SUCH_VARIABLE",
        "nothing",
        "8 parsecs",
        "form.action",
        "not available yet",
        "config.toml:2:1",
        "^",
    ] {
        assert!(told.contains(needle), "{needle:?} in\n{told}");
    }
}

#[tokio::test]
async fn check_reads_the_certificate_that_a_start_would_need() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let text = "app = { url = \"http://127.0.0.1:3000\" }
dws = { api_key = \"a key\" }
server = { tls = { cert = \"c.pem\", key = \"k.pem\" } }";
    std::fs::write(&path, text).unwrap();
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let check = async || {
        let output = process::run(&["check", "--config", &path.display().to_string()]).await;
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    std::fs::write(dir.path().join("c.pem"), made.cert.pem()).unwrap();
    let (status, told) = check().await;
    assert_eq!(status, Some(64), "{told}");
    for part in ["error: the certificate can't be used", "config.toml:3:18", "can't read ", "k.pem"]
    {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
    std::fs::write(dir.path().join("k.pem"), made.signing_key.serialize_pem()).unwrap();
    let (status, told) = check().await;
    assert_eq!(status, Some(0), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_gone_is_a_502_that_tells_nothing() {
    let mut world = World::usual().start(Form::Binary).await;
    world.stop().await;
    let text = std::fs::read_to_string(&world.config_path).unwrap();
    let start = text.find("[app]\nurl = \"").unwrap() + 13;
    let end = start + text[start..].find('"').unwrap();
    let gone = format!("{}http://{}{}", &text[..start], process::free_address(), &text[end..]);
    std::fs::write(&world.config_path, gone).unwrap();
    world.start_again().await;
    let reply = world.request(Method::GET, "/anything").send().await.unwrap();
    assert_eq!(reply.status(), 502);
    let problem: serde_json::Value = reply.json().await.unwrap();
    assert_eq!(problem["code"], "app_unavailable");
    assert!(!problem.to_string().contains("127.0.0.1"), "{problem}");
}
