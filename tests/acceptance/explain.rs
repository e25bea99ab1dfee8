//! What `explain` says is what becomes of the request.

use http::Method;
use serde_json::{Value, json};

use crate::support::{CONFIG, Form, World, app, process, tokens};

/// The usual rules with a policy, and no source, so that an unknown document stays unknown.
fn config() -> String {
    CONFIG.replace("source = \"GET /files/{id}/content\"\n", "").replace(
        "route = \"GET /api/files/{id}\"\n",
        "route = \"GET /api/files/{id}\"\nallow = \"claims.role != 'guest'\"\n\
         grant = [{ when = \"claims.role == 'editor'\", permissions = [\"write\"] }]\n",
    )
}

async fn world() -> World {
    let app_settings = "remember_decisions = \"off\"";
    World::with(&config()).app_settings(app_settings).start(Form::Binary).await
}

async fn post(world: &World, path: &str, body: &Value) -> reqwest::Response {
    world.http.post(format!("http://{}{path}", world.admin)).json(body).send().await.unwrap()
}

async fn explained(world: &World, line: &str, headers: &[(&str, &str)]) -> Value {
    let (method, target) = line.split_once(' ').unwrap();
    let asked = json!({ "method": method, "target": target, "headers": headers });
    let reply = post(world, "/explain", &asked).await;
    assert_eq!(reply.status(), 200);
    reply.json().await.unwrap()
}

/// Has the next request of this kind tell.
async fn armed(world: &World, wanted: &Value) -> String {
    let reply = post(world, "/trace", wanted).await;
    assert_eq!(reply.status(), 201);
    let armed: Value = reply.json().await.unwrap();
    armed["trace"].as_str().unwrap().to_owned()
}

async fn trail(world: &World, trace: &str) -> Value {
    let url = format!("http://{}/trace/{trace}?wait=20", world.admin);
    let reply = world.http.get(url).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    reply.json().await.unwrap()
}

fn finding(explanation: &Value, check: &str) -> Option<String> {
    let steps = explanation["steps"].as_array().unwrap();
    let step = steps.iter().rev().find(|step| step["check"] == check)?;
    Some(format!("{} {}", step["finding"].as_str()?, step["detail"].as_str()?))
}

/// Tokens of all sorts, by name.
fn callers() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let bearer = |token: String| vec![("authorization", format!("Bearer {token}"))];
    let with = |changes: Value| bearer(tokens::with("ann", &changes));
    let two = |cookie: String| {
        let mut headers = bearer(tokens::for_user("ann"));
        headers.push(("cookie", format!("access_token={cookie}")));
        headers
    };
    vec![
        ("nobody", Vec::new()),
        ("a member", with(json!({}))),
        ("an editor", with(json!({ "role": "editor" }))),
        ("a guest", with(json!({ "role": "guest" }))),
        ("somebody without a role", with(json!({ "role": null }))),
        ("somebody else", bearer(tokens::for_user("bob"))),
        ("expired", with(json!({ "exp": tokens::now() - 3600 }))),
        ("not yet", with(json!({ "nbf": tokens::now() + 3600 }))),
        ("another issuer", with(json!({ "iss": "other" }))),
        ("another audience", with(json!({ "aud": "other" }))),
        ("no user", with(json!({ "sub": null }))),
        (
            "forged",
            bearer(tokens::signed_with(
                &tokens::claims("ann"),
                "another secret of 32 bytes or so!",
            )),
        ),
        ("unsigned", bearer(tokens::unsigned("ann"))),
        ("garbage", bearer("a.b.c".to_owned())),
        ("two tokens", two(tokens::for_user("bob"))),
        ("an empty cookie", two(String::new())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_explanation_is_the_live_decision() {
    let world = world().await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    for (name, headers) in callers() {
        for id in [id.as_str(), "999"] {
            for path in [format!("/.transom/session/files/{id}"), format!("/api/files/{id}")] {
                let given: Vec<_> =
                    headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                let told = explained(&world, &format!("GET {path}"), &given).await;

                let trace = armed(&world, &json!({ "method": "GET", "path": path })).await;
                let mut request = world.request(Method::GET, &path);
                for (name, value) in &given {
                    request = request.header(*name, *value);
                }
                let reply: Value = match request.send().await.unwrap().text().await.unwrap() {
                    text if text.starts_with('{') => serde_json::from_str(&text).unwrap(),
                    text => text.into(),
                };
                let live = trail(&world, &trace).await;

                let case = format!("{name}, {path}: {told:#} {live:#} {reply}");
                assert_eq!(told["decision"], live["decision"], "{case}");
                assert_eq!(told["lane"], live["lane"], "{case}");
                assert_eq!(told["permissions"], live["permissions"], "{case}");
                let given =
                    reply["session"].is_string() || reply["data"]["viewer_session"].is_string();
                assert_eq!(told["decision"] == "session_given", given, "{case}");
                if path.starts_with("/.transom") && !given {
                    assert_eq!(told["decision"], reply["code"], "{case}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apps_real_answer_counts() {
    let world = world().await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let token = format!("Bearer {}", tokens::for_user("ann"));
    for (status, content_type, pointer) in [
        (200, "application/json", "{\"data\":{}}"),
        (200, "application/json", "{}"),
        (200, "text/html", "<p>who are you?</p>"),
        (302, "text/html", ""),
        (401, "application/json", "{}"),
        (404, "application/json", "{}"),
        (429, "application/json", "{}"),
        (500, "application/json", "{}"),
    ] {
        world
            .app
            .answers(move |_, _| app::reply(status, &[("content-type", content_type)], pointer));
        for path in [format!("/.transom/session/files/{id}"), format!("/api/files/{id}")] {
            let told =
                explained(&world, &format!("GET {path}"), &[("authorization", &token)]).await;
            let trace = armed(&world, &json!({ "path": path })).await;
            let request = world.request(Method::GET, &path).header("authorization", &token);
            request.send().await.unwrap();
            let live = trail(&world, &trace).await;
            assert_eq!(told["decision"], live["decision"], "{status} {path} {told:#} {live:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_leaves_no_trace() {
    let world = world().await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let (minted, documents) =
        (world.dws.sessions_minted().await, world.dws.documents().await.len());
    let token = format!("Bearer {}", tokens::for_user("ann"));
    let headers =
        [("authorization", token.as_str()), ("content-type", "multipart/form-data; boundary=b")];
    let path = format!("/api/files/{id}");
    for line in [
        "POST /api/files".to_owned(),
        format!("DELETE {path}"),
        format!("PUT {path}/content"),
        "GET /other".to_owned(),
    ] {
        let before = world.app.seen().len();
        let told = explained(&world, &line, &headers).await;
        let lane = if line == "GET /other" { "pass" } else { "capture" };
        assert_eq!(told["lane"], lane, "{line}");
        assert_eq!(world.app.seen().len(), before, "{line}: the app saw it");
    }
    let outcomes = |text: String| {
        let lines = text
            .lines()
            .filter(|l| l.starts_with("transom_outcomes") || l.starts_with("transom_requests"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = outcomes(world.metrics().await);
    let told = explained(&world, &format!("GET {path}"), &headers[..1]).await;
    assert_eq!(told["decision"], "session_given", "{told:#}");
    assert!(!world.app.last(&Method::GET, &path).headers.contains_key("x-viewer-session"));
    assert_eq!(world.dws.sessions_minted().await, minted);
    assert_eq!(world.dws.documents().await.len(), documents);
    assert_eq!(outcomes(world.metrics().await), before, "nothing is counted");
    assert!(!told.to_string().contains(&token[7..]), "{told:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_upload_tells_what_became_of_it() {
    let world = world().await;
    let trace = armed(&world, &json!({ "method": "POST", "path": "/api/files" })).await;
    world.upload_as("ann", "a.pdf").await;
    let told = trail(&world, &trace).await;
    assert_eq!((&told["lane"], &told["decision"]), (&json!("capture"), &json!("captured")));
    assert!(finding(&told, "file").unwrap().contains("application/pdf"), "{told:#}");
    let trace = armed(&world, &json!({ "method": "POST" })).await;
    world.post_file_as("ann", "a.txt", b"no document".to_vec()).await;
    let told = trail(&world, &trace).await;
    assert_eq!(told["decision"], "type_not_captured", "{told:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_trail_holds_no_secret() {
    let world = world().await;
    let id = world.upload_as("ann", "a.pdf").await;
    let session =
        world.session_in_the_end("ann", &id).await["session"].as_str().unwrap().to_owned();
    let path = format!("/api/files/{id}");
    let trace = armed(&world, &json!({ "request_id": "find-me" })).await;
    let token = tokens::for_user("ann");
    let get =
        world.request(Method::GET, &format!("{path}?key=hidden-in-query")).bearer_auth(&token);
    let get = get.header("cookie", "sid=hidden-in-cookie").header("x-request-id", "find-me");
    let reply: Value = get.send().await.unwrap().json().await.unwrap();
    let told = trail(&world, &trace).await;
    assert_eq!(told["decision"], "session_given");
    assert_eq!(told["request"], format!("GET {path}"));
    let delivered = reply["data"]["viewer_session"].as_str().unwrap();
    let signature = |jwt: &str| jwt.rsplit('.').next().unwrap().to_owned();
    for secret in
        [signature(delivered), signature(&session), signature(&token), "hidden".to_owned()]
    {
        assert!(!told.to_string().contains(&secret), "{secret} in {told:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_and_giants_are_not_answered() {
    let world = world().await;
    let url = |path: &str| format!("http://{}{path}", world.admin);
    let body = json!({ "method": "GET", "target": "/" }).to_string();
    let ask = |path: &str| world.http.post(url(path)).header("content-type", "application/json");
    for path in ["/explain", "/trace"] {
        let page = ask(path).header("origin", "http://evil.example").body(body.clone());
        assert_eq!(page.send().await.unwrap().status(), 403);
        let form =
            world.http.post(url(path)).header("content-type", "text/plain").body(body.clone());
        assert_eq!(form.send().await.unwrap().status(), 415);
        let giant = ask(path).body(" ".repeat((128 << 10) + 1));
        assert_eq!(giant.send().await.unwrap().status(), 413);
        let other = ask(path).body("{\"authorization\": \"hidden\"}").send().await.unwrap();
        assert_eq!(other.status(), 400);
        assert!(!other.text().await.unwrap().contains("hidden"));
        assert_eq!(world.http.get(url(path)).send().await.unwrap().status(), 405);
    }
    assert_eq!(world.http.get(url("/trace/1")).send().await.unwrap().status(), 404);
}

/// What an operator types.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_tells_why_she_sees_no_viewer() {
    let world = world().await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let config = world.config_path.display().to_string();
    let path = format!("/api/files/{id}");
    let explain = |more: Vec<String>| {
        let mut arguments: Vec<String> =
            ["explain", "--config", &config, "GET", &path].map(Into::into).into();
        arguments.extend(more);
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let output = process::run(&arguments).await;
            (output.status.success(), String::from_utf8(output.stdout).unwrap())
        }
    };
    let admin = format!("http://{}", world.admin);
    let guest = tokens::with("gus", &json!({ "role": "guest" }));
    world.app.answers(|_, _| app::json(200, &json!({ "data": {} })));
    let header = vec![
        "--admin".into(),
        admin.clone(),
        "-H".into(),
        format!("Authorization: Bearer {guest}"),
    ];
    let (good, told) = explain(header).await;
    assert!(good && told.contains("lane view: no session: denied_by_policy\n"), "{told}");
    assert!(told.contains("claims.role != 'guest', with claims.role = \"guest\"\n"), "{told}");

    let (good, told) =
        explain(vec!["--claims".into(), "{\"sub\":\"ann\",\"role\":\"x\"}".into()]).await;
    assert!(good && told.contains("session_given with read, if the app answers 200"), "{told}");
    assert!(told.contains(&format!("by --admin {admin}")), "the store is in use: {told}");

    let live = tokio::spawn(explain(vec!["--live".into(), "--within".into(), "30".into()]));
    // The command is a process of its own: whoever comes once it waits is told of.
    let told = loop {
        world.request(Method::GET, &path).bearer_auth(&guest).send().await.unwrap();
        if live.is_finished() {
            break live.await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(told.0 && told.1.contains("denied_by_policy"), "{}", told.1);
}

#[tokio::test]
async fn a_failing_test_of_the_configuration_is_a_problem_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let check = async |expected: &str| {
        let test = format!(
            "[[test]]\nname = \"a guest sees no viewer\"\nrequest = \"GET /api/files/7\"\n\
             claims = {{ sub = \"gus\", role = \"guest\" }}\nexpect = {{ reason = \"{expected}\" }}\n"
        );
        let addresses = "app = { url = \"http://127.0.0.1:1\" }\ndws = { api_key = \"k\" }\n";
        std::fs::write(&path, format!("{addresses}{}{test}", config())).unwrap();
        let output = process::run(&["check", "--config", &path.display().to_string()]).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, _) = check("denied_by_policy").await;
    assert_eq!((code, out.contains("tests: 1 of 1 passed\n")), (Some(0), true), "{out}");
    let (code, out, told) = check("session_given").await;
    assert_eq!((code, out.contains("tests: 0 of 1 passed\n")), (Some(64), true), "{out}");
    assert!(told.contains("error: the test \"a guest sees no viewer\" fails\n"), "{told}");
    assert!(told.contains("^^^ came instead: denied_by_policy, in lane view\n"), "{told}");
}
