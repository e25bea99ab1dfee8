//! Documents that DWS no longer has.

use http::Method;
use serde_json::{Value, json};

use crate::support::process::run;
use crate::support::{CONFIG, Form, World, files};

/// A world that got its document long ago: one that DWS has just stored is not looked for.
async fn long_ago(config: &str) -> (World, String, String) {
    let mut world = World::with(config).start(Form::Binary).await;
    let id = world.upload_as("ann", "Contract.pdf").await;
    let session = world.session_in_the_end("ann", &id).await;
    assert!(world.stop().await.success());
    let mappings = async |arguments: &[&str]| {
        let config = world.config_path.display().to_string();
        let output = run(&[&["mappings", "--config", &config], arguments].concat()).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let exported = mappings(&["export"]).await;
    let aged: Vec<String> = exported.lines().map(aged).collect();
    let file = world.dir().join("aged.jsonl");
    std::fs::write(&file, aged.join("\n") + "\n").unwrap();
    mappings(&["remove", "--keep-document", "files", &id]).await;
    mappings(&["import", &file.display().to_string()]).await;
    world.start_again().await;
    (world, id, session["document_id"].as_str().unwrap().to_owned())
}

fn aged(line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    if let Some(at) = line.get("updated_at").and_then(Value::as_u64) {
        line["updated_at"] = json!(at - 3_600_000);
    }
    line.to_string()
}

fn without_source() -> String {
    CONFIG.replace("source = \"GET /files/{id}/content\"\n", "")
}

fn fetches(world: &World, id: &str) -> usize {
    let path = format!("/files/{id}/content");
    world.app.seen().iter().filter(|seen| seen.uri.path() == path).count()
}

async fn the_only_document(world: &World) -> String {
    let documents = world.dws.documents().await;
    assert_eq!(documents.len(), 1, "{documents:?}");
    documents[0].id.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dws_has_lost_is_fetched_from_the_app_once_more_and_only_once() {
    let (world, id, old) = long_ago(CONFIG).await;
    world.dws.loses(&old).await;
    let answers =
        futures_util::future::join_all((0..100).map(|_| world.session_as("ann", &id))).await;
    for (status, answer) in &answers {
        assert!(matches!(status, 200 | 202), "{answer}");
        assert_ne!(answer["document_id"], old.as_str(), "no session for what is gone");
    }
    let session = world.session_in_the_end("ann", &id).await;
    let new = the_only_document(&world).await;
    assert_eq!(session["document_id"], new.as_str());
    assert_ne!(new, old);
    assert_eq!(fetches(&world, &id), 1);
    world.counted("deliver", "document_lost").await;
    world.settled().await;
    assert_eq!(the_only_document(&world).await, new);
    assert_eq!(world.dws.documents().await[0].title.as_deref(), Some("Contract.pdf"));
    assert_eq!(world.session_as("bob", &id).await.0, 403, "a stranger still gets nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_is_refused_brings_it_to_light() {
    let (world, id, old) = long_ago(CONFIG).await;
    assert_eq!(world.session_in_the_end("ann", &id).await["document_id"], old.as_str());
    world.dws.loses(&old).await;
    let address = format!("/.transom/session/files/{id}?fresh");
    for _ in 0..300 {
        let answer: Value = world.get_as("ann", &address).await.json().await.unwrap();
        if answer["document_id"].as_str().is_some_and(|new| new != old) {
            assert_eq!(answer["document_id"], the_only_document(&world).await.as_str());
            assert_eq!(fetches(&world, &id), 1);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the old session is handed out for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apps_own_reply_comes_in_any_case() {
    let (world, id, old) = long_ago(&without_source()).await;
    world.dws.loses(&old).await;
    let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
    assert_eq!(reply.status(), 200);
    assert!(!reply.headers().contains_key("x-viewer-session"));
    assert_eq!(reply.headers()["etag"], "\"v1\"");
    world.counted("session", "document_lost").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_source_the_caller_is_told_until_there_is_another_upload() {
    let (world, id, old) = long_ago(&without_source()).await;
    world.dws.loses(&old).await;
    for _ in 0..3 {
        let (status, problem) = world.session_as("ann", &id).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (410, Some("document_lost")),
            "{problem} {}",
            world.log()
        );
    }
    world.logged("DWS no longer has a document").await;
    assert!(world.dws.sessions_minted().await <= 2, "one before the loss, one that showed it");
    let put = world.request_as("ann", Method::PUT, &format!("/api/files/{id}/content"));
    let put = put.header("content-type", "application/pdf").body(files::pdf("again"));
    assert!(put.send().await.unwrap().status().is_success());
    let session = world.session_in_the_end("ann", &id).await;
    assert_eq!(session["document_id"], the_only_document(&world).await.as_str());
}

/// What the documented service does not do, and an older or newer one might.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_404_for_a_session_is_believed_only_where_the_document_is_really_gone() {
    let (world, id, old) = long_ago(CONFIG).await;
    world.dws.fault("session", json!({ "fault": "status", "status": 404 })).await;
    let (status, problem) = world.session_as("ann", &id).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("dws_unavailable")));
    assert_eq!(fetches(&world, &id), 0);

    world.dws.loses(&old).await;
    let (status, problem) = world.session_as("ann", &id).await;
    assert!(matches!(status, 202 | 503), "the fault is still there: {problem}");
    world.dws.clear_faults().await;
    world.session_in_the_end("ann", &id).await;
    assert_eq!(fetches(&world, &id), 1);
    assert_ne!(the_only_document(&world).await, old);
}

/// Another address or another key, where nothing is found: no reason to upload everything again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dws_that_knows_nothing_at_all_is_not_believed() {
    let (world, id, old) = long_ago(CONFIG).await;
    world.dws.fault("any", json!({ "fault": "status", "status": 404 })).await;
    let (status, problem) = world.session_as("ann", &id).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("dws_unavailable")));
    world.dws.clear_faults().await;
    let session = world.session_in_the_end("ann", &id).await;
    assert_eq!((session["document_id"].as_str(), fetches(&world, &id)), (Some(&*old), 0));
}

in_both_forms! {
    async fn what_was_stored_a_moment_ago_is_not_looked_for(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let looked = world.dws.journal().await;
        assert!(!looked.iter().any(|seen| seen["path"].as_str().unwrap().ends_with("/properties")));
    }
}
