//! What operators see and decide: at the Transom that is running, and in the store when none is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::delivery::SETTLE_SOON;
use crate::support::{Form, World, process};

/// A command of `transom` with the world's configuration: exit code, standard output and standard error.
async fn command(world: &World, line: &[&str]) -> (i32, String, String) {
    let config = world.config_path.display().to_string();
    let mut arguments = line.to_vec();
    arguments.extend(["--config", &config]);
    let output = process::run(&arguments).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The same for one that has to go well, and its lines of JSON.
async fn lines(world: &World, line: &[&str]) -> Vec<Value> {
    let (status, out, told) = command(world, line).await;
    assert_eq!(status, 0, "{line:?}: {told}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A document whose upload is parked, as its bytes are not in the spool any more: the app's id, the job's number,
/// where the file was, and what was in it.
async fn parked(world: &World) -> (String, String, PathBuf, Vec<u8>) {
    world.spool_is_empty_in_the_end().await;
    lines(world, &["outbox", "pause"]).await;
    let id = world.upload_as("ann", "a.pdf").await;
    let name = world.spooled().into_iter().find(|name| name.len() == 32).unwrap();
    let file = world.dir().join("data/spool").join(name);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    lines(world, &["outbox", "resume"]).await;
    for _ in 0..150 {
        let jobs = lines(world, &["outbox", "list"]).await;
        if let Some(job) = jobs.iter().find(|job| job["state"] == "parked") {
            assert_eq!((&job["kind"], &job["document"]), (&json!("files"), &json!(id)), "{job}");
            return (id, job["id"].as_u64().unwrap().to_string(), file, bytes);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let jobs = lines(world, &["outbox", "list"]).await;
    panic!("it was never parked: {jobs:?}\n{}", world.log());
}

async fn post(world: &World, path: &str, headers: &[(&str, &str)]) -> u16 {
    let mut request = world.http.post(format!("http://{}{path}", world.admin)).body("{}");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_upload_is_sent_again_while_transom_runs() {
    let world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
    let (id, job, file, bytes) = parked(&world).await;
    let shown = lines(&world, &["outbox", "show", &job]).await;
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0]["reason"], "spool_lost", "{}", shown[0]);
    assert_eq!(shown[0]["title"], "a.pdf");
    std::fs::write(&file, bytes).unwrap();
    let done = lines(&world, &["outbox", "retry", &job]).await;
    assert_eq!(done, [json!({ "id": job.parse::<u64>().unwrap(), "outcome": "retried" })]);
    world.session_in_the_end("ann", &id).await;
    assert!(lines(&world, &["outbox", "list"]).await.is_empty());
    let (status, _, told) = command(&world, &["outbox", "retry", &job, "999999"]).await;
    assert_eq!(status, 1);
    assert!(told.contains(&format!("no job {job}")) && told.contains("no job 999999"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_upload_is_given_up_while_transom_runs() {
    let world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
    let (id, job, ..) = parked(&world).await;
    lines(&world, &["outbox", "drop", &job]).await;
    assert!(lines(&world, &["outbox", "list"]).await.is_empty());
    // It is as one that never came by: the app has it.
    world.session_in_the_end("ann", &id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_upload_that_was_found_at_dws_is_bound_to_it() {
    let world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
    let other = world.upload_as("ann", "b.pdf").await;
    let found = world.session_in_the_end("ann", &other).await["document_id"].clone();
    let found = found.as_str().unwrap();
    let (id, job, ..) = parked(&world).await;
    let (status, _, told) = command(&world, &["outbox", "bind", &job, found]).await;
    assert_eq!(status, 1);
    assert!(told.contains(&format!("of files/{other} already")), "{told}");
    let (status, _, told) = command(&world, &["outbox", "bind", &job, "no-such-document"]).await;
    assert_eq!(status, 1);
    assert!(told.contains("DWS has no document"), "{told}");
    command(&world, &["mappings", "remove", "--keep-document", "files", &other]).await;
    lines(&world, &["outbox", "bind", &job, found]).await;
    let session = world.session_in_the_end("ann", &id).await;
    assert_eq!(session["document_id"], found);
    assert!(lines(&world, &["outbox", "list"]).await.is_empty());
    assert_eq!(world.dws.documents().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_document_says_so_everywhere() {
    let mut world = World::usual().dws_settings(SETTLE_SOON).start(Form::Binary).await;
    let (id, job, ..) = parked(&world).await;
    let (status, problem) = world.session_as("ann", &id).await;
    assert_eq!((status, &problem["code"]), (503, &json!("document_parked")), "{problem}");
    let page = world
        .request_as("ann", Method::GET, &format!("/.transom/view/files/{id}"))
        .header("accept", "text/html");
    let page = page.send().await.unwrap();
    assert_eq!(page.status(), 503);
    assert!(page.text().await.unwrap().contains("It is kept safely"));
    let url = format!("http://{}/readyz", world.admin);
    let ready = world.http.get(url).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    let ready: Value = ready.json().await.unwrap();
    assert_eq!(ready["status"], "degraded");
    assert!(ready.to_string().contains("1 job is parked"), "{ready}");
    let metrics = world.metrics().await;
    assert!(metrics.contains("transom_outbox_jobs{state=\"parked\"} 1"), "{metrics}");

    let token = format!("authorization: Bearer {}", crate::support::tokens::for_user("ann"));
    let target = format!("/api/files/{id}");
    let admin = format!("http://{}", world.admin);
    let asked = ["explain", "GET", &target, "-H", &token, "--admin", &admin];
    let (status, told, error) = command(&world, &asked).await;
    assert_eq!(status, 0, "{error}");
    assert!(told.contains("document_parked") && told.contains(&format!("job {job}")), "{told}");
    world.stop().await;
    let (_, told, _) = command(&world, &["explain", "GET", &target, "-H", &token]).await;
    assert!(told.contains("document_parked") && told.contains(&format!("job {job}")), "{told}");
    world.start_again().await;
    assert_eq!(world.session_as("ann", &id).await.1["code"], "document_parked");
    lines(&world, &["outbox", "drop", &job]).await;
    let ready = world.http.get(format!("{admin}/readyz")).send().await.unwrap();
    assert_eq!(ready.json::<Value>().await.unwrap()["status"], "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_paused_across_a_restart_until_they_are_resumed() {
    let mut world = World::usual().start(Form::Binary).await;
    assert_eq!(lines(&world, &["outbox", "pause"]).await, [json!({ "paused": true })]);
    let first = world.upload_as("ann", "a.pdf").await;
    assert_eq!(world.session_as("ann", &first).await.1["code"], "document_pending");
    let status = &lines(&world, &["status"]).await[0];
    assert_eq!(
        (&status["status"], &status["outbox"]["paused"]),
        (&json!("degraded"), &json!(true))
    );
    world.stop().await;
    world.start_again().await;
    world.upload_as("ann", "b.pdf").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.dws.documents().await.len(), 0);
    assert_eq!(lines(&world, &["outbox", "list"]).await.len(), 2);
    lines(&world, &["outbox", "resume"]).await;
    world.dws.has_documents(2).await;
    world.session_in_the_end("ann", &first).await;

    world.stop().await;
    lines(&world, &["outbox", "pause"]).await;
    let status = command(&world, &["status"]).await;
    let report: Value = serde_json::from_str(&status.1).unwrap();
    assert_eq!((status.0, &report["status"]), (1, &json!("stopped")));
    assert_eq!(report["outbox"]["paused"], true);
    world.start_again().await;
    world.upload_as("ann", "c.pdf").await;
    lines(&world, &["outbox", "resume"]).await;
    world.dws.has_documents(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mappings_are_shown_moved_and_removed_while_transom_runs() {
    let world = World::usual().start(Form::Binary).await;
    let mut ids = Vec::new();
    for name in ["a.pdf", "b.pdf"] {
        let id = world.upload_as("ann", name).await;
        world.session_in_the_end("ann", &id).await;
        ids.push(id);
    }
    let listed = lines(&world, &["mappings", "list"]).await;
    let listed: Vec<_> = listed.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids);
    assert!(lines(&world, &["mappings", "list", "--kind", "other"]).await.is_empty());
    let shown = lines(&world, &["mappings", "show", "files", &ids[1]]).await;
    assert_eq!((&shown[0]["title"], &shown[0]["state"]), (&json!("b.pdf"), &json!("ready")));

    let file = world.dir().join("export.jsonl").display().to_string();
    let (status, _, told) = command(&world, &["mappings", "export", &file]).await;
    assert_eq!(status, 0, "{told}");
    assert!(told.contains("exported 2 mappings"), "{told}");
    command(&world, &["mappings", "remove", "--keep-document", "files", &ids[0]]).await;
    let (status, _, told) = command(&world, &["mappings", "remove", "files", &ids[0]]).await;
    assert_eq!(status, 1);
    assert!(told.contains("no mapping for"), "{told}");
    let (status, _, told) = command(&world, &["mappings", "import", &file]).await;
    assert_eq!(status, 0, "{told}");
    assert!(told.contains("imported 1 mappings; 1 were there already"), "{told}");
    world.session_in_the_end("ann", &ids[0]).await;
    std::fs::write(&file, "{}\n").unwrap();
    let (status, _, told) = command(&world, &["mappings", "import", &file]).await;
    assert_eq!(status, 1);
    assert!(told.contains("line 1"), "{told}");

    command(&world, &["mappings", "remove", "files", &ids[0]]).await;
    world.dws.has_documents(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_store_than_that_of_the_running_transom_is_not_taken_for_it() {
    let world = World::usual().start(Form::Binary).await;
    let data = world.dir().join("data").display().to_string();
    let other = world.dir().join("other").display().to_string();
    world.rewrite_config(|text| text.replace(&data, &other));
    let (status, _, told) = command(&world, &["outbox", "list"]).await;
    assert_eq!(status, 64);
    assert!(told.contains(&data) && told.contains(&other), "{told}");
    let admin = format!("http://{}", world.admin);
    assert!(lines(&world, &["outbox", "list", "--admin", &admin]).await.is_empty());
    let output = process::run(&["outbox", "list", "--store", &data]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another process"));
}

/// A page in the operator's browser can send requests to the admin listener. None of them changes anything.
#[tokio::test(flavor = "multi_thread")]
async fn web_pages_change_nothing() {
    let world = World::usual().start(Form::Binary).await;
    let json = ("content-type", "application/json");
    for path in ["/outbox/pause", "/outbox/1/drop", "/mappings/remove"] {
        let text = [("content-type", "text/plain")];
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let foreign = [json, ("origin", "http://evil.example")];
        let own = format!("http://{}", world.admin);
        let own = [json, ("origin", own.as_str())];
        let site = [json, ("sec-fetch-site", "cross-site")];
        let renamed = [json, ("host", "evil.example")];
        for (headers, expected) in [
            (&text[..], 415),
            (&form[..], 415),
            (&[], 415),
            (&foreign[..], 403),
            (&own[..], 403),
            (&site[..], 403),
            (&renamed[..], 421),
        ] {
            assert_eq!(post(&world, path, headers).await, expected, "{path} {headers:?}");
        }
        let url = format!("http://{}{path}", world.admin);
        let got = world.http.get(url).send().await.unwrap().status();
        assert!(got == 404 || got == 405, "{path}: {got}");
    }
    assert_eq!(post(&world, "/mappings/import", &[json]).await, 415);
    assert_eq!(post(&world, "/outbox/pause", &[json]).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_ends_with_64() {
    let dir = tempfile::tempdir().unwrap();
    let none = |name: &str| Path::new(dir.path()).join(name).display().to_string();
    for line in [["outbox", "list"], ["mappings", "list"]] {
        let config = none("none.toml");
        let output = process::run(&[line[0], line[1], "--config", &config]).await;
        assert_eq!(output.status.code(), Some(64), "{line:?}");
        let output = process::run(&[line[0], line[1], "--store", &none("store")]).await;
        assert_eq!(output.status.code(), Some(64), "{line:?}");
    }
}
