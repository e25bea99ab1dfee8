//! The record of grants, and what it is worth.

use std::path::{Path, PathBuf};

use http::Method;
use serde_json::Value;

use crate::support::{CONFIG, Form, World, process, tokens};

fn audited(settings: &str) -> String {
    format!("{CONFIG}\n[audit]\npath = \"audit.jsonl\"\n{settings}\n")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // One may be half written just now.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn grants(path: &Path) -> Vec<Value> {
    lines(path).into_iter().filter(|line| line["event"] == "session_given").collect()
}

/// `transom audit verify`: exit code, and what it printed.
async fn verify(options: &[&str], files: &[&Path]) -> (i32, String) {
    let mut arguments = vec!["audit", "verify"];
    arguments.extend(options);
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    arguments.extend(files.iter().map(String::as_str));
    let output = process::run(&arguments).await;
    let told = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(told).unwrap())
}

async fn is_whole(files: &[&Path]) -> String {
    let (code, told) = verify(&[], files).await;
    assert_eq!(code, 0, "{told}");
    told
}

fn hash(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

in_both_forms! {
    async fn a_session_is_on_record_once_it_is_out(form: Form) {
        let world = World::with(&audited("")).start(form).await;
        let log = world.dir().join("audit.jsonl");
        let id = world.upload_as("ann", "a.pdf").await;
        let session = world.session_in_the_end("ann", &id).await;
        let [line] = &grants(&log)[..] else { panic!("{:?}", lines(&log)) };
        let token = session["session"].as_str().unwrap();
        for (member, value) in [
            ("identity", "app"),
            ("user", "ann"),
            ("kind", "files"),
            ("id", &id),
            ("document_id", session["document_id"].as_str().unwrap()),
            ("rule", "documents.files.view[0]"),
            ("via", "endpoint"),
            ("session", &hash(token)),
        ] {
            assert_eq!(line[member], value, "{member} of {line}");
        }
        assert_eq!(line["permissions"], serde_json::json!(["read"]));
        assert_eq!(line["yes"], serde_json::json!(["token", "app"]));
        assert_eq!(line["again"], false);
        assert!(line["until"].as_str().unwrap() > line["time"].as_str().unwrap(), "{line}");

        // The same session again is no new grant; another user's is one, and nobody's is none.
        assert!(world.get_as("ann", &format!("/api/files/{id}")).await.headers().contains_key("x-viewer-session"));
        world.session_as("ann", &id).await;
        assert_eq!(world.session_as("bob", &id).await.0, 403);
        assert_eq!(grants(&log).len(), 1);
        let other = world.upload_as("bob", "b.pdf").await;
        world.session_in_the_end("bob", &other).await;
        assert_eq!(grants(&log)[1]["user"], "bob");
        assert!(!std::fs::read_to_string(&log).unwrap().contains("eyJ"), "a token in the log");
        let told = is_whole(&[&log]).await;
        assert!(told.starts_with("3 lines, from 1 to 3 (seal "), "{told}");
    }

    async fn each_hand_out_where_that_is_wanted(form: Form) {
        let world = World::with(&audited("line_per = \"hand_out\"\nsync = true")).start(form).await;
        let log = world.dir().join("audit.jsonl");
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.get_as("ann", &format!("/api/files/{id}")).await;
        let told: Vec<_> = grants(&log).iter().map(|line| (line["via"].clone(), line["again"].clone())).collect();
        assert_eq!(told, [("endpoint".into(), false.into()), ("reply".into(), true.into())]);
        // A page hands nothing out; it asks for its session.
        let page = world.get_as("ann", &format!("/.transom/view/files/{id}")).await;
        assert_eq!(page.status(), 200);
        assert_eq!(grants(&log).len(), 2);
        is_whole(&[&log]).await;
    }

    async fn a_caller_without_a_name_has_a_pseudonym(form: Form) {
        let start = CONFIG.find("[documents.files]").unwrap();
        let config = format!("[audit]\npath = \"audit.jsonl\"\nline_per = \"hand_out\"\n{}", &CONFIG[start..]);
        let world = World::with(&config).start(form).await;
        let log = world.dir().join("audit.jsonl");
        let id = world.upload_as("ann", "a.pdf").await;
        let path = format!("/.transom/session/files/{id}");
        let (first, second) = (tokens::for_user("ann"), tokens::with("ann", &serde_json::json!({ "role": "x" })));
        let ask = async |token: &str| {
            for _ in 0..200 {
                if world.request(Method::GET, &path).bearer_auth(token).send().await.unwrap().status() == 200 {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            panic!("no session");
        };
        for token in [&first, &first, &second] {
            ask(token).await;
        }
        let callers: Vec<_> = grants(&log).iter().map(|line| line["caller"].as_str().unwrap().to_owned()).collect();
        assert_eq!(callers.len(), 3);
        assert_eq!(callers[0], callers[1]);
        assert_ne!(callers[0], callers[2]);
        assert_eq!(grants(&log)[0]["yes"], serde_json::json!(["app"]));
    }

    async fn a_full_disk_costs_the_session_and_nothing_else(form: Form) {
        let config = audited("").replace("audit.jsonl", "/dev/full");
        let world = World::with(&config).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.settled().await;
        let (status, problem) = world.session_as("ann", &id).await;
        assert_eq!((status, problem["code"].as_str()), (503, Some("audit_failed")));
        let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
        assert_eq!(reply.status(), 200);
        assert!(!reply.headers().contains_key("x-viewer-session"));
        assert_eq!(reply.headers()["etag"], "\"v1\"", "the app's own reply");
        let text = reply.text().await.unwrap();
        assert_eq!(text, format!("{{ \"data\": {{\"id\": {id}, \"price\": 1.10, \"owner\":\"ann\"}} }}"));
        let navigation = world
            .request_as("ann", Method::GET, &format!("/files/{id}/content"))
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        let document = navigation.send().await.unwrap();
        assert_eq!(document.headers()["content-type"], "application/pdf", "no page without a session");
        world.counted("session", "audit_failed").await;
        if form == Form::Binary {
            let ready = world.http.get(format!("http://{}/readyz", world.admin)).send().await.unwrap();
            assert_eq!(ready.status(), 200);
            let ready: Value = ready.json().await.unwrap();
            let audit = ready["dependencies"].as_array().unwrap().iter().find(|d| d["name"] == "audit").unwrap();
            assert_eq!(audit["status"], "degraded");
            world.logged("can't be written: No space left on device").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_outlives_a_kill() {
    let mut world = World::with(&audited("line_per = \"hand_out\"")).start(Form::Binary).await;
    let log = world.dir().join("audit.jsonl");
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let mut handed_out = 1;
    for round in 0..3 {
        let (client, url) =
            (world.http.clone(), world.url(&format!("/.transom/session/files/{id}")));
        let asking = tokio::spawn(async move {
            let token = tokens::for_user("ann");
            let mut got = 0;
            while let Ok(reply) = client.get(&url).bearer_auth(&token).send().await {
                got += u64::from(reply.status() == 200);
            }
            got
        });
        while grants(&log).len() < handed_out as usize + 20 {
            tokio::task::yield_now().await;
        }
        world.kill().await;
        handed_out += asking.await.unwrap();
        is_whole(&[&log]).await;
        let found = grants(&log).len() as u64;
        assert!(found >= handed_out, "{found} lines for {handed_out} sessions");
        handed_out = found;
        // As if power had failed, or the disk been full, in the middle of a line.
        let text = std::fs::read_to_string(&log).unwrap();
        if round == 1 {
            std::fs::write(&log, &text[..text.len() - 50]).unwrap();
            handed_out -= 1;
            let (code, told) = verify(&[], &[&log]).await;
            assert!(code == 1 && told.contains("truncated"), "{told}");
        }
        world.start_again().await;
        world.session_in_the_end("ann", &id).await;
        handed_out += 1;
    }
    assert!(std::fs::read_to_string(&log).unwrap().contains("\"torn\":{\"bytes\":"));
    let (code, told) = verify(&[], &[&log]).await;
    assert!(code == 0 && told.contains("writes that were cut off"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_under_traffic_breaks_nothing() {
    let world = World::with(&audited("line_per = \"hand_out\"")).start(Form::Binary).await;
    let log = world.dir().join("audit.jsonl");
    let old = |number: usize| -> PathBuf { world.dir().join(format!("audit.jsonl.{number}")) };
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let asking = (0..4).map(|_| async {
        for _ in 0..100 {
            assert_eq!(world.session_as("ann", &id).await.0, 200);
        }
    });
    let rotating = async {
        for number in 0..3 {
            while grants(&log).len() < 20 {
                tokio::task::yield_now().await;
            }
            std::fs::rename(&log, old(number)).unwrap();
            if number == 1 {
                std::fs::write(&log, "").unwrap();
            }
        }
    };
    tokio::join!(futures_util::future::join_all(asking), rotating);
    // The last rotation may have come after the last line; the file is there within a second all the same.
    for _ in 0..100 {
        if !lines(&log).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let files = [old(0), old(1), old(2), log.clone()];
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let count: usize = files.iter().map(|file| grants(file).len()).sum();
    assert_eq!(count, 401);
    is_whole(&files).await;

    // As `copytruncate` does it.
    let copy = old(3);
    std::fs::copy(&log, &copy).unwrap();
    std::fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    world.session_as("ann", &id).await;
    is_whole(&[files[0], files[1], files[2], &copy, &log]).await;
    let (code, told) = verify(&[], &[files[0], files[2]]).await;
    assert!(code == 1 && told.contains("audit.jsonl.2:1: missing"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_found_and_with_a_key_it_can_not_be_made_good() {
    let key = "0123456789abcdef0123456789abcdef";
    let dir = tempfile::tempdir().unwrap();
    let config_key = dir.path().join("audit.key").display().to_string();
    std::fs::write(&config_key, format!("{key}\n")).unwrap();
    let settings = format!("key = {{ file = \"{config_key}\" }}\nline_per = \"hand_out\"");
    let world = World::with(&audited(&settings)).start(Form::Binary).await;
    let log = world.dir().join("audit.jsonl");
    let id = world.upload_as("ann", "a.pdf").await;
    for _ in 0..3 {
        world.session_in_the_end("ann", &id).await;
    }
    let config = world.config_path.display().to_string();
    assert_eq!(verify(&["--config", &config], &[]).await.0, 0);
    let key_file = ["--key-file", config_key.as_str()];
    assert_eq!(verify(&key_file, &[&log]).await.0, 0);
    let (code, told) = verify(&[], &[&log]).await;
    assert!(code == 1 && told.contains("another seal"), "{told}");
    let last = lines(&log).pop().unwrap();
    let contains = [key_file[0], key_file[1], "--contains", last["mac"].as_str().unwrap()];
    assert_eq!(verify(&contains, &[&log]).await.0, 0);

    let text = std::fs::read_to_string(&log).unwrap();
    let edited = world.dir().join("edited.jsonl");
    std::fs::write(&edited, text.replacen("\"user\":\"ann\"", "\"user\":\"bob\"", 1)).unwrap();
    let (code, told) = verify(&key_file, &[&edited]).await;
    assert!(code == 1 && told.contains("edited.jsonl:2: changed"), "{told}");
    let without_last: String = text.split_inclusive('\n').take(3).collect();
    std::fs::write(&edited, without_last).unwrap();
    let (code, told) = verify(&contains, &[&edited]).await;
    assert!(code == 1 && told.contains("--contains"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_an_audit_log_is_told_at_the_start() {
    let mut world = World::with(&audited("")).start(Form::Binary).await;
    let log = world.dir().join("audit.jsonl");
    world.stop().await;
    let config = world.config_path.display().to_string();
    let start = async || {
        let output = process::run(&["run", "--config", &config]).await;
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    std::fs::write(&log, "my shopping list\n").unwrap();
    let told = start().await;
    assert!(told.contains("audit.jsonl can't be continued"), "{told}");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let told = start().await;
    assert!(told.contains("audit.jsonl can't be opened"), "{told}");

    // An explanation neither needs nor writes it.
    std::fs::remove_dir(&log).unwrap();
    let token = format!("authorization: Bearer {}", tokens::for_user("ann"));
    let output =
        process::run(&["explain", "--config", &config, "GET", "/api/files/7", "-H", &token]).await;
    assert!(output.status.success());
    assert!(!log.exists());
}

in_both_forms! {
    async fn callers_who_share_a_session_have_a_line_each(form: Form) {
        let config = audited("").replacen("session = [", "authorize = [\"app\"]\nsession = [", 1);
        let world = World::with(&config).start(form).await;
        world.app.answers(|_, _| crate::support::app::reply(200, &[("content-type", "application/pdf")], crate::support::files::pdf("7")));
        let log = world.dir().join("audit.jsonl");
        let ask = async |cookie: &str| -> Value {
            let request = world.request(Method::GET, "/.transom/session/files/7").header("cookie", cookie);
            request.send().await.unwrap().json().await.unwrap()
        };
        let mut sessions = std::collections::BTreeSet::new();
        for cookie in ["sid=1", "sid=2", "sid=1", "sid=2", "sid=2"] {
            sessions.insert(ask(cookie).await["session"].as_str().expect("a session").to_owned());
        }
        let lines = grants(&log);
        assert_eq!((sessions.len(), lines.len()), (1, 2), "{lines:?}");
        assert_eq!(lines[0]["session"], lines[1]["session"]);
        assert_ne!(lines[0]["caller"], lines[1]["caller"]);
        assert_eq!(lines[1]["again"], false, "this caller has it for the first time");
    }
}
