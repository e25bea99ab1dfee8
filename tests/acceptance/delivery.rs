//! Once the client has seen the app's success, the document reaches DWS once, whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::support::{CONFIG, Form, World, files, process};

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_the_apps_reply_and_the_delivery_loses_and_doubles_nothing() {
    let mut world = World::usual().start(Form::Binary).await;
    world.dws.fault("upload", json!({ "fault": "status", "status": 429 })).await;
    let mut ids = Vec::new();
    for round in 0..3 {
        for n in 0..4 {
            ids.push(world.upload_as("ann", &format!("{round}-{n}.pdf")).await);
        }
        world.kill().await;
        world.start_again().await;
    }
    assert_eq!(world.dws.documents().await.len(), 0);
    world.dws.clear_faults().await;
    world.dws.has_documents(ids.len()).await;
    for id in &ids {
        world.session_in_the_end("ann", id).await;
    }
    world.spool_is_empty_in_the_end().await;
    assert_eq!(world.dws.documents().await.len(), ids.len());
}

/// Kills at any moment, DWS answering as always: what the client saw accepted is at DWS once. It is never lost, never
/// there twice, and never left to an operator.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_and_double_nothing() {
    let mut world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
    let mut accepted = Vec::new();
    for round in 0..8_u64 {
        let heads = Arc::new(AtomicU64::new(0));
        let uploads = (0..12).map(|n| {
            let (heads, name) = (heads.clone(), format!("{round}-{n}.pdf"));
            let request = world.post_file_request_as("ann", &name, files::large_pdf(&name, 50_000));
            async move {
                let reply = request.send().await.ok().filter(|reply| reply.status() == 201)?;
                heads.fetch_add(1, Ordering::Relaxed);
                // The head streams; only the end of the reply is the promise.
                reply.bytes().await.is_ok().then_some(name)
            }
        });
        let uploads = tokio::spawn(futures_util::future::join_all(uploads.collect::<Vec<_>>()));
        // However slow the machine is: from before the first reply to after the last, and a bit.
        while heads.load(Ordering::Relaxed) < round * 2 && !uploads.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(7 * round % 20)).await;
        world.kill().await;
        accepted.extend(uploads.await.unwrap().into_iter().flatten());
        world.start_again().await;
    }
    world.dws.has_documents_at_least(accepted.len()).await;
    world.spool_is_empty_in_the_end().await;
    world.stop().await;
    let config = world.config_path.display().to_string();
    let left = process::run(&["outbox", "--config", &config, "list"]).await;
    assert_eq!(String::from_utf8(left.stdout).unwrap(), "", "nothing is left to anybody");
    let titles: Vec<_> = world.dws.documents().await.into_iter().filter_map(|d| d.title).collect();
    for name in accepted {
        let there = titles.iter().filter(|title| **title == name).count();
        assert_eq!(there, 1, "{name}");
    }
    assert!(!titles.is_empty());
    let distinct: std::collections::BTreeSet<_> = titles.iter().collect();
    assert_eq!(distinct.len(), titles.len(), "something is there twice: {titles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_outcome_settles_itself() {
    for (fault, ids) in [("reset_after", true), ("reset_after", false), ("no_id", false)]
        .into_iter()
        .chain([("reset_before", true), ("reset_before", false)])
    {
        let world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
        world.dws.quirks(json!({ "honour_document_id": ids })).await;
        world.upload_as("ann", "before.pdf").await;
        world.dws.has_documents(1).await;
        world.dws.fault("upload", json!({ "fault": fault, "times": 1 })).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.counted("deliver", "delivery_unclear").await;
        let session = world.session_in_the_end("ann", &id).await;
        let documents = world.dws.documents().await;
        assert_eq!(documents.len(), 2, "{fault}, ids heeded: {ids}");
        let bytes = world.dws.content(session["document_id"].as_str().unwrap()).await;
        assert!(bytes == files::pdf("a.pdf"));
        world.spool_is_empty_in_the_end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_upload_of_what_the_app_deleted_meanwhile_is_removed() {
    let world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
    world.dws.fault("upload", json!({ "fault": "reset_after", "times": 1 })).await;
    world.dws.fault("list", json!({ "fault": "status", "status": 503, "times": 2 })).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.counted("deliver", "delivery_unclear").await;
    world.request_as("ann", Method::DELETE, &format!("/api/files/{id}")).send().await.unwrap();
    world.dws.has_documents(0).await;
    world.spool_is_empty_in_the_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_settled_is_told_to_the_operator() {
    let mut world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
    world.dws.fault("list", json!({ "fault": "status", "status": 403 })).await;
    world.dws.fault("upload", json!({ "fault": "reset_after", "times": 1 })).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.counted("deliver", "outcome_unknown").await;
    assert_eq!(world.dws.documents().await.len(), 1, "stored once, and not sent again");
    let (status, problem) = world.session_as("ann", &id).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("document_parked")));
    world.stop().await;
    let config = world.config_path.display().to_string();
    let listed = process::run(&["outbox", "--config", &config, "list"]).await;
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(text.contains("outcome_unknown") && text.contains("right to read"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_store_is_told_so() {
    let world = World::usual().start(Form::Binary).await;
    let store = world.dir().join("data").display().to_string();
    let second = process::run(&["mappings", "--store", &store, "list"]).await;
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains("another process"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_can_be_listed_exported_removed_and_imported() {
    let mut world = World::usual().start(Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    world.stop().await;
    let config = world.config_path.display().to_string();
    let run = async |arguments: &[&str]| {
        let mut all = vec!["mappings", "--config", config.as_str()];
        all.extend_from_slice(arguments);
        let output = process::run(&all).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["list"]).await.contains("a.pdf"));
    let file = world.dir().join("export.jsonl").display().to_string();
    run(&["export", &file]).await;
    run(&["remove", "--keep-document", "files", &id]).await;
    assert!(!run(&["list"]).await.contains("a.pdf"));
    run(&["import", &file]).await;
    assert!(run(&["show", "files", &id]).await.contains("a.pdf"));
    world.start_again().await;
    world.session_in_the_end("ann", &id).await;
}

in_both_forms! {
    async fn a_dws_that_is_down_delays_and_fails_nothing(form: Form) {
        let world = World::usual().start(form).await;
        world.dws.fault("any", json!({ "fault": "status", "status": 503, "retry_after": 1 })).await;
        let id = world.upload_as("ann", "a.pdf").await;
        let (status, problem) = world.session_as("ann", &id).await;
        assert_eq!((status, problem["code"].as_str()), (202, Some("document_pending")));
        let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
        assert_eq!(reply.status(), 200);
        world.dws.clear_faults().await;
        world.session_in_the_end("ann", &id).await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn a_document_that_dws_refuses_is_not_tried_for_ever(form: Form) {
        let world = World::usual().dws_settings("refused_keep = \"0s\"").start(form).await;
        world.dws.fault("upload", json!({ "fault": "status", "status": 422 })).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.counted("deliver", "delivery_refused").await;
        let (status, problem) = world.session_as("ann", &id).await;
        assert_eq!((status, problem["code"].as_str()), (404, Some("document_unknown")));
        world.spool_is_empty_in_the_end().await;
    }

    async fn what_is_sent_to_dws_is_what_the_contract_says(form: Form) {
        let world = World::with(CONFIG).start(form).await;
        let id = world.upload_as("ann", "Bericht Ü \"1\".pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.request_as("ann", Method::DELETE, &format!("/api/files/{id}")).send().await.unwrap();
        world.dws.has_documents(0).await;
        let journal = world.dws.journal().await;
        let sent = |method: &str, path: &str| {
            let found = journal.iter().find(|e| e["method"] == method && e["path"].as_str().unwrap().starts_with(path));
            found.unwrap_or_else(|| panic!("{method} {path} in {journal:#?}")).clone()
        };
        for (method, path) in [("POST", "/viewer/documents"), ("POST", "/viewer/sessions"), ("DELETE", "/viewer/documents/"), ("GET", "/viewer/documents")] {
            let headers = sent(method, path)["headers"].clone();
            assert_eq!(headers["accept"], "application/json", "{method} {path}");
        }
        let upload = sent("POST", "/viewer/documents");
        assert!(upload["headers"]["content-length"].is_string(), "{upload}");
        assert!(upload["headers"]["content-type"].as_str().unwrap().starts_with("multipart/form-data"));
        assert!(upload["headers"]["transfer-encoding"].is_null());
        assert!(!journal.iter().any(|entry| entry.to_string().contains(crate::support::dws::KEY)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_title_is_the_name_that_the_browser_gave() {
    let world = World::usual().start(Form::Layer).await;
    world.upload_as("ann", "Bericht Ü 1.pdf").await;
    world.dws.has_documents(1).await;
    assert_eq!(world.dws.documents().await[0].title.as_deref(), Some("Bericht Ü 1.pdf"));
    assert!(
        world.dws.content(&world.dws.documents().await[0].id).await
            == files::pdf("Bericht Ü 1.pdf")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_a_refused_document_are_kept_and_can_be_sent_again() {
    let mut world = World::usual().start(Form::Binary).await;
    world.dws.fault("upload", json!({ "fault": "status", "status": 415, "times": 1 })).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.counted("deliver", "delivery_refused").await;
    world.stop().await;
    let config = world.config_path.display().to_string();
    let run = async |arguments: &[&str]| {
        let all = [&["outbox", "--config", &config], arguments].concat();
        String::from_utf8(process::run(&all).await.stdout).unwrap()
    };
    let listed: serde_json::Value = serde_json::from_str(&run(&["list"]).await).unwrap();
    assert_eq!(listed["state"], "refused", "{listed}");
    run(&["retry", &listed["id"].to_string()]).await;
    world.start_again().await;
    world.session_in_the_end("ann", &id).await;
    world.spool_is_empty_in_the_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dws_lost_is_found_by_settle_while_it_runs_and_while_it_does_not() {
    let mut world = World::usual().start(Form::Binary).await;
    for name in ["a.pdf", "b.pdf"] {
        let id = world.upload_as("ann", name).await;
        world.session_in_the_end("ann", &id).await;
    }
    let lost = world.dws.documents().await.remove(0).id;
    world.dws.loses(&lost).await;
    let config = world.config_path.display().to_string();
    let settle = async |dry_run: &[&str]| {
        let output = process::run(&[&["settle", "--config", &config], dry_run].concat()).await;
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect::<Vec<serde_json::Value>>()
    };
    for runs in [true, false] {
        if !runs {
            world.stop().await;
        }
        let found = settle(&["--dry-run"]).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["finding"], "gone");
        assert_eq!((&found[0]["document_id"], &found[0]["done"]), (&json!(lost), &json!(false)));
    }
    assert_eq!(settle(&[]).await[0]["done"], true);
    assert_eq!(settle(&[]).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateways_4xx_throws_no_document_away() {
    let world = World::usual().start(Form::Binary).await;
    for status in [400, 405, 406, 407, 409, 411, 421, 425, 431, 451] {
        world.dws.fault("upload", json!({ "fault": "status", "status": status, "times": 1 })).await;
    }
    let ids = ["a.pdf", "b.pdf"].map(|name| world.upload_as("ann", name));
    let ids = futures_util::future::join_all(ids).await;
    world.counted("deliver", "delivery_retried").await;
    world.dws.clear_faults().await;
    for id in ids {
        world.session_in_the_end("ann", &id).await;
    }
    assert_eq!(world.dws.documents().await.len(), 2);
}

/// What was not found is looked for again after two seconds.
pub(crate) const SETTLE_SOON: &str = "upload_idle = \"1s\"";
