//! The store's disk stalls, fills up, becomes read-only, or is not there at the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::missing::missing;
use crate::support::{Form, World, process};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_stalls_holds_replies_as_long_as_it_may_and_loses_nothing() {
    let mut world = World::usual().start(Form::Binary).await;
    world.stop().await;
    world.rewrite_config(|text| text.replace("[store]\n", "[store]\nhold = \"1s\"\n"));
    world.start_again().await;
    let log = world.dir().join("data/sled/db");
    let stall = "inject=fdatasync:delay_enter=6000000";
    let Some(trouble) = Trouble::at(&log, &world, "fdatasync", stall).await else { return };
    let began = Instant::now();
    let uploads = (0..8).map(|number| {
        let name = format!("{number}.pdf");
        let world = &world;
        async move { world.upload_as("ann", &name).await }
    });
    let ids = futures_util::future::join_all(uploads).await;
    let held = began.elapsed();
    assert!(held > Duration::from_millis(900), "the replies wait for the disk: {held:?}");
    assert!(held < Duration::from_secs(5), "but not for ever: {held:?}");
    assert!(world.figure("transom_limits_reached_total{limit=\"store.hold\"}").await >= 8.0);
    trouble.ends().await;
    for id in ids {
        world.session_in_the_end("ann", &id).await;
    }
    assert_eq!(world.dws.documents().await.len(), 8);
    world.spool_is_empty_in_the_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_writes_for_a_while_delays_what_was_accepted_and_loses_nothing() {
    let world = World::usual().start(Form::Binary).await;
    let early = world.upload_as("ann", "early.pdf").await;
    world.session_in_the_end("ann", &early).await;
    world.settled().await;
    let log = world.dir().join("data/sled/db");
    let mut ids = Vec::new();
    for error in ["ENOSPC", "EROFS", "EIO"] {
        let inject = format!("inject=pwrite64:error={error}");
        let Some(trouble) = Trouble::at(&log, &world, "pwrite64", &inject).await else { return };
        ids.push(world.upload_as("ann", &format!("{error}-first.pdf")).await);
        until_ready(&world, 200, "degraded").await;
        let began = Instant::now();
        ids.push(world.upload_as("ann", &format!("{error}-second.pdf")).await);
        let held = began.elapsed();
        assert!(held < Duration::from_secs(4), "a store that is away is not waited for: {held:?}");
        assert_eq!(world.session_as("ann", &early).await.0, 200, "a known document is shown");
        trouble.ends().await;
        until_ready(&world, 200, "ready").await;
    }
    for id in &ids {
        world.session_in_the_end("ann", id).await;
    }
    assert_eq!(world.dws.documents().await.len(), 7);
    assert!(world.figure("transom_store_failures_total").await >= 3.0, "{}", world.log());
    world.spool_is_empty_in_the_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_its_store_passes_everything_and_catches_up() {
    let mut world = World::usual().start(Form::Binary).await;
    let early = world.upload_as("ann", "early.pdf").await;
    world.session_in_the_end("ann", &early).await;
    world.stop().await;
    let log = world.dir().join("data/sled/db");
    let mut other = Command::new("flock")
        .args(["--exclusive", &log.display().to_string(), "sleep", "600"])
        .kill_on_drop(true)
        .spawn()
        .expect("flock of util-linux");
    world.start_again().await;
    world.logged("is open in another process").await;
    let body = until_ready(&world, 503, "unready").await;
    assert!(body.contains("no store yet"), "{body}");

    assert_eq!(world.get_as("ann", &format!("/api/files/{early}")).await.status(), 200);
    let (status, problem) = world.session_as("ann", &early).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("store_unavailable")));
    let began = Instant::now();
    let late = world.upload_as("ann", "late.pdf").await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let gone = world.request_as("ann", Method::DELETE, &format!("/api/files/{early}"));
    assert!(gone.send().await.unwrap().status().is_success());

    // `flock` runs the other one, which holds the lock as long as it lives.
    let children = format!("/proc/{0}/task/{0}/children", other.id().unwrap());
    let children = std::fs::read_to_string(children).unwrap();
    Command::new("kill").args(children.split_whitespace()).status().await.unwrap();
    other.wait().await.unwrap();
    until_ready(&world, 200, "ready").await;
    world.session_in_the_end("ann", &late).await;
    world.settled().await;
    let titles = world.dws.documents().await.into_iter().map(|document| document.title);
    assert_eq!(titles.collect::<Vec<_>>(), [Some("late.pdf".to_owned())]);
    world.spool_is_empty_in_the_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_a_place_for_the_store_waits_for_one() {
    let mut world = World::usual().start(Form::Binary).await;
    world.stop().await;
    let data = world.dir().join("data");
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::write(&data, "in the way").unwrap();
    world.start_again().await;
    until_ready(&world, 503, "unready").await;
    world.upload_as("ann", "passes.pdf").await;
    std::fs::remove_file(&data).unwrap();
    until_ready(&world, 200, "").await;
    let id = world.upload_as("ann", "kept.pdf").await;
    world.session_in_the_end("ann", &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_store_is_told_left_alone_and_repaired_while_the_app_is_served() {
    let mut world = World::usual().start(Form::Binary).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(world.upload_as("ann", &format!("{number}.pdf")).await);
    }
    for id in &ids {
        world.session_in_the_end("ann", id).await;
    }
    world.dws.fault("upload", json!({ "fault": "status", "status": 429 })).await;
    let waiting = world.upload_as("ann", "waiting.pdf").await;
    world.stop().await;
    let log = world.dir().join("data/sled/db");
    let mut bytes = std::fs::read(&log).unwrap();
    let found = bytes.windows(5).position(|part| part == b"5.pdf").unwrap();
    bytes[found] ^= 4;
    std::fs::write(&log, bytes).unwrap();
    let before = content(&world.dir().join("data"));

    let config = world.config_path.display().to_string();
    let run = async |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend_from_slice(&["--config", &config]);
        let output = process::run(&all).await;
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run(&["store", "verify"]).await;
    assert!(code == Some(1) && told.contains("transom store repair"), "{told}");
    for list in [["mappings", "list"], ["outbox", "list"]] {
        let (code, told) = run(&list).await;
        assert!(code == Some(1) && told.contains("this is not all"), "{list:?}: {told}");
    }
    assert!(content(&world.dir().join("data")) == before, "looking changed something");

    world.start_again().await;
    if world.log().contains("is damaged") {
        until_ready(&world, 503, "unready").await;
        assert_eq!(world.get_as("ann", &format!("/api/files/{}", ids[0])).await.status(), 200);
    }
    world.stop().await;
    world.dws.clear_faults().await;
    let (code, told) = run(&["store", "repair"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(run(&["store", "verify"]).await.0, Some(0));
    world.start_again().await;
    until_ready(&world, 200, "").await;
    for id in ids.iter().chain([&waiting]) {
        world.session_in_the_end("ann", id).await;
    }
    assert_eq!(world.dws.documents().await.len(), 11);
    world.spool_is_empty_in_the_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_while_it_runs_brings_back_documents_and_waiting_uploads() {
    let mut world = World::usual().start(Form::Binary).await;
    let shown = world.upload_as("ann", "shown.pdf").await;
    world.session_in_the_end("ann", &shown).await;
    world.dws.fault("upload", json!({ "fault": "status", "status": 429 })).await;
    let waiting = world.upload_as("ann", "waiting.pdf").await;
    let config = world.config_path.display().to_string();
    let file = world.dir().join("backup").display().to_string();
    let made = process::run(&["store", "backup", &file, "--config", &config]).await;
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() && told.contains("2 documents, 1 jobs, 1 waiting"), "{told}");
    let refused = process::run(&["store", "restore", &file, "--config", &config]).await;
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && told.contains("another process"), "{told}");

    world.kill().await;
    std::fs::remove_dir_all(world.dir().join("data")).unwrap();
    let restored = process::run(&["store", "restore", &file, "--config", &config]).await;
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    world.start_again().await;
    assert_eq!(world.session_as("ann", &shown).await.0, 200);
    assert_eq!(world.spooled().len(), 1);
    assert_eq!(world.session_as("ann", &waiting).await.0, 202, "it is known, and waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_store_waited_for_outlives_the_store() {
    let mut world = World::usual().start(Form::Binary).await;
    world.dws.fault("upload", json!({ "fault": "status", "status": 429 })).await;
    world.upload_as("ann", "waiting.pdf").await;
    let waiting = world.spooled();
    assert_eq!(waiting.len(), 1);
    world.kill().await;
    std::fs::remove_dir_all(world.dir().join("data/sled")).unwrap();
    world.start_again().await;
    until_ready(&world, 200, "").await;
    world.logged("were moved to").await;
    assert!(world.spooled().is_empty());
    let aside = content(&world.dir().join("data"));
    let name = waiting[0].as_str();
    assert!(aside.keys().any(|path| path.ends_with(name)), "{name} in {:?}", aside.keys());
}

/// Every file below, with its bytes.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

async fn until_ready(world: &World, code: u16, word: &str) -> String {
    let mut last = (0, String::new());
    for _ in 0..200 {
        let reply = world.http.get(format!("http://{}/readyz", world.admin)).send().await.unwrap();
        last = (reply.status().as_u16(), reply.text().await.unwrap());
        if last.0 == code && last.1.contains(&format!("\"status\":\"{word}")) {
            return last.1;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never {code} {word:?}: {last:?}\n{}", world.log());
}

/// A tracer that has system calls on one file fail or dawdle.
struct Trouble(Child);

impl Trouble {
    /// `None` where that is not possible.
    async fn at(path: &Path, world: &World, call: &str, inject: &str) -> Option<Self> {
        let out: PathBuf = world.dir().join("calls");
        let started = Command::new("strace")
            .args(["-f", "-P", &path.display().to_string(), "-o", &out.display().to_string()])
            .args(["-e", &format!("trace={call}"), "-e", inject])
            .args(["-p", &world.process_id().to_string()])
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut strace) = started else {
            missing("strace is not installed (Debian package strace)");
            return None;
        };
        let mut told = BufReader::new(strace.stderr.take()?).lines();
        while let Ok(Some(line)) = told.next_line().await {
            if line.contains("attached") {
                tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
                return Some(Self(strace));
            }
        }
        println!("SKIPPED: strace may not attach here");
        None
    }

    async fn ends(mut self) {
        let pid = self.0.id().expect("still attached").to_string();
        Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
        self.0.wait().await.unwrap();
    }
}
