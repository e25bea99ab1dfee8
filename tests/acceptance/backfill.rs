//! Documents that the app had before Transom came.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::app::{App, Seen, reply};
use crate::support::{CONFIG, Form, World, files, process};

const SERVICE: &str = "Authorization: Bearer service";

/// An app with this many documents, which it shows to its service account alone, in pages of ten.
fn archive(documents: usize) -> App {
    App::answering(move |_, seen: &Seen| {
        if seen.headers.get("authorization").is_none_or(|value| value != "Bearer service") {
            return reply(401, &[], "who are you?");
        }
        let path = seen.uri.path().to_owned();
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match segments.as_slice() {
            ["files", id, "content"] => match id.parse::<usize>() {
                Ok(number) if (1..=documents).contains(&number) => {
                    let pdf = files::pdf(&format!("document {id}"));
                    reply(200, &[("content-type", "application/pdf")], pdf)
                }
                _ => reply(404, &[], "no such file"),
            },
            ["api", "files"] => {
                let query = seen.uri.query().unwrap_or_default();
                let page: usize = query.rsplit('=').next().unwrap().parse().unwrap();
                let ids = (page * 10 - 9)..=(page * 10).min(documents);
                let data: Vec<Value> = ids.map(|id| json!({ "id": id })).collect();
                let more = page * 10 < documents;
                let next = more.then(|| format!("/api/files?page={}", page + 1));
                crate::support::app::json(200, &json!({ "data": data, "next": next }))
            }
            _ => reply(404, &[], "nothing here"),
        }
    })
}

/// With ids of the file.
fn json_lines(world: &World, ids: impl Iterator<Item = usize>) -> String {
    let path = world.dir().join("ids.jsonl");
    let lines: String = ids.map(|id| format!("{{\"id\":\"{id}\"}}\n")).collect();
    std::fs::write(&path, lines).unwrap();
    path.display().to_string()
}

fn command(world: &World, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_transom"));
    command.arg("backfill").args(line).arg("--config").arg(&world.config_path);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Exit code, what it says of itself as JSON, and its complaints.
async fn backfill(world: &World, line: &[&str]) -> (i32, Value, String) {
    let output = command(world, line).output().await.unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), serde_json::from_str(&out).unwrap_or_default(), told)
}

async fn started(documents: usize, more: &str) -> World {
    let config = CONFIG.replace("[documents.files]", &format!("[documents.files]\n{more}"));
    World::with(&config).app(archive(documents)).start(Form::Binary).await
}

const LIST: &str =
    "list = { route = \"GET /api/files?page={page}\", ids = \"$.data[*].id\", next = \"$.next\" }";

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_a_file_are_brought_by_the_transom_that_runs() {
    let world = started(5, "").await;
    let csv = world.dir().join("ids.csv").display().to_string();
    std::fs::write(&csv, "name,id\nfirst,1\n\"2, second\",2\nnone,99\n").unwrap();
    let line = ["files", csv.as_str(), "--header", SERVICE, "--rate", "100"];
    let (status, told, _) = backfill(&world, &[&line[..], &["--dry-run"]].concat()).await;
    assert_eq!(status, 0);
    assert_eq!((&told["documents"], &told["known"]), (&json!(3), &json!(0)), "{told}");
    assert_eq!(told["costs"], json!({ "documents": 3, "uploads": 3 }));
    assert_eq!(world.dws.documents().await.len(), 0, "nothing is sent by looking");

    let (status, told, why) = backfill(&world, &line).await;
    assert_eq!(status, 1, "{why}");
    assert!(why.contains("99: document_unknown"), "{why}");
    assert_eq!((&told["sent"], &told["failed"]), (&json!(2), &json!(1)), "{told}");
    assert_eq!(world.dws.documents().await.len(), 2);
    let summary = std::fs::read_to_string(told["summary"].as_str().unwrap()).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["failures"], json!([{ "id": "99", "code": "document_unknown" }]));

    // What is there is not sent again, and costs nothing.
    std::fs::write(&csv, "id\n1\n2\n3\n3\n").unwrap();
    let (_, told, _) = backfill(&world, &[&line[..], &["--dry-run"]].concat()).await;
    assert_eq!(told["costs"], json!({ "documents": 1, "uploads": 1 }), "{told}");
    let (status, told, why) = backfill(&world, &line).await;
    assert_eq!(status, 0, "{why}");
    assert_eq!((&told["sent"], &told["known"]), (&json!(1), &json!(2)), "{told}");
    assert_eq!(world.dws.documents().await.len(), 3);
    let asked = |path: &str| world.app.seen().iter().filter(|seen| seen.uri.path() == path).count();
    assert_eq!(asked("/files/1/content"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_s_own_list_is_walked_page_by_page() {
    let world = started(25, LIST).await;
    let line = ["files", "--header", SERVICE, "--rate", "200"];
    let (status, told, why) = backfill(&world, &[&line[..], &["--dry-run"]].concat()).await;
    assert_eq!(status, 0, "{why}");
    assert_eq!(told["documents"], 25, "{told}");
    let (status, told, why) = backfill(&world, &line).await;
    assert_eq!(status, 0, "{why}");
    assert_eq!(told["sent"], 25, "{told}");
    assert_eq!(world.dws.documents().await.len(), 25);
    let (status, _, why) = backfill(&world, &["files"]).await;
    assert_eq!(status, 1, "without the service's credentials");
    assert!(why.contains("answers 401"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_transom_runs_the_command_brings_them_itself() {
    let mut world = started(12, LIST).await;
    world.stop().await;
    let line = ["files", "--header", SERVICE, "--rate", "200"];
    let (status, told, why) = backfill(&world, &[&line[..], &["--dry-run"]].concat()).await;
    assert_eq!(status, 0, "{why}");
    assert_eq!(told["costs"]["uploads"], 12, "{told}");
    let (status, told, why) = backfill(&world, &line).await;
    assert_eq!(status, 0, "{why}");
    assert_eq!(told["sent"], 12, "{told}");
    assert_eq!(world.dws.documents().await.len(), 12);
    assert!(world.spooled().is_empty());
}

/// The command is killed, then Transom is; each goes on where it was, and every document is there once.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_documents_arrive_once_through_kills_in_the_middle() {
    let mut world = started(500, "").await;
    let ids = json_lines(&world, 1..=500);
    let line = ["files", ids.as_str(), "-H", SERVICE, "--rate", "150"];
    let mut killed = command(&world, &line).spawn().unwrap();
    world.dws.has_documents_at_least(120).await;
    killed.kill().await.unwrap();
    let so_far = world.dws.documents().await.len() as u64;

    let going_on = command(&world, &line).spawn().unwrap();
    world.dws.has_documents_at_least(250).await;
    // Between attempts: what was being sent when a kill came is for an operator, or for a look at DWS.
    process::run(&["outbox", "pause", "--config", &world.config_path.display().to_string()]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.kill().await;
    world.start_again().await;
    process::run(&["outbox", "resume", "--config", &world.config_path.display().to_string()]).await;

    let output = going_on.wait_with_output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("going on after"), "{told}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["documents"], &summary["failed"]), (&json!(500), &json!(0)), "{summary}");
    let sent = summary["sent"].as_u64().unwrap() + summary["known"].as_u64().unwrap();
    assert!(sent == 500 && so_far < 500, "{summary}");
    assert_eq!(world.dws.documents().await.len(), 500);
    assert!(!world.dir().join("data/backfill-files.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_ends_with_64_and_sends_nothing() {
    let world = started(5, "").await;
    let ids = json_lines(&world, 1..=2);
    let none = world.dir().join("none").display().to_string();
    let bad = world.dir().join("bad.jsonl").display().to_string();
    std::fs::write(&bad, "{\"id\":\"1\"}\n{\"name\":\"x\"}\n").unwrap();
    let headless = world.dir().join("bad.csv").display().to_string();
    std::fs::write(&headless, "name\nx\n").unwrap();
    for (line, why) in [
        (&["others", &ids][..], "no kind `others`"),
        (&["files"], "has no `list`"),
        (&["files", &none], "No such file"),
        (&["files", &bad], "line 2"),
        (&["files", &headless], "no column `id`"),
        (&["files", &ids, "-H", "no header"], "expected `Name: value`"),
        (&["files", &ids, "-H", "a b: c"], "none that can be sent"),
        (&["files", &ids, "--rate", "0"], "rate"),
    ] {
        let (status, _, told) = backfill(&world, line).await;
        assert_eq!(status, 64, "{line:?}: {told}");
        assert!(told.contains(why), "{line:?}: {told}");
    }
    let output = process::run(&["backfill", "files", &ids, "--config", &none]).await;
    assert_eq!(output.status.code(), Some(64));
    world.rewrite_config(|text| text.replace("source = ", "# source = "));
    world.hang_up().await;
    world.until_figure(crate::support::RELOADS_TAKEN, |taken| taken > 0.0).await;
    let (status, _, told) = backfill(&world, &["files", &ids]).await;
    assert_eq!(status, 64, "{told}");
    assert!(told.contains("has no `source`"), "{told}");
    assert_eq!(world.dws.documents().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_app_does_not_take_end_it_early() {
    let world = started(100, "").await;
    let ids = json_lines(&world, 1..=100);
    let (status, _, told) = backfill(&world, &["files", &ids, "--rate", "1000"]).await;
    assert_eq!(status, 1);
    assert!(told.contains("see --header") && !told.contains("service"), "{told}");
    assert!(world.app.seen().len() < 40);
    // It is the same file, and the right header.
    let line = ["files", ids.as_str(), "-H", SERVICE, "--rate", "200"];
    let (status, told, why) = backfill(&world, &line).await;
    assert_eq!(status, 0, "{why}");
    assert_eq!((&told["documents"], &told["sent"]), (&json!(100), &json!(100)), "{told}");
}
