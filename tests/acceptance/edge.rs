//! What clients say about themselves, and what becomes of it on its way to the app.

use http::Method;

use crate::support::{Form, World, app, tokens};

/// A client of HTTP/2 that sends each cookie on a line of its own (RFC 9113 section 8.2.3).
fn split(world: &World, path: &str, cookies: &[&str], token: &str) -> reqwest::RequestBuilder {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = client.get(world.url(path)).bearer_auth(token);
    cookies.iter().fold(request, |request, cookie| request.header("cookie", *cookie))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_are_joined_for_the_app_and_for_its_probes_alike() {
    let world = World::usual().start(Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let before = world.app.seen().len();
    for path in [format!("/api/files/{id}"), format!("/.transom/session/files/{id}")] {
        let token = tokens::for_user("ann");
        let reply =
            split(&world, &path, &["a=1", "session=2", "c=3"], &token).send().await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
    }
    let seen = world.app.seen().split_off(before);
    assert!(seen.len() >= 2, "the view's own request, and a probe");
    for seen in seen {
        let cookies: Vec<_> = seen.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; session=2; c=3"], "{}", seen.uri);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_cookies_are_split_makes_no_other_caller() {
    let settings = "remember_decisions = \"1m\"";
    let world = World::usual().app_settings(settings).start(Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let own = format!("/.transom/session/files/{id}");
    // Another second's token would be another caller's.
    let token = tokens::for_user("ann");
    let together = world.request(Method::GET, &own).bearer_auth(&token);
    let together = together.header("cookie", "a=1; b=2").send().await.unwrap();
    assert_eq!(together.status(), 200);
    let apart = split(&world, &own, &["a=1", "b=2"], &token).send().await.unwrap();
    assert_eq!(apart.status(), 200);
    // What is looked at after the upload may come at any time, without cookies.
    let seen = world.app.seen();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.headers.contains_key("cookie")).collect();
    assert_eq!(asked.len(), 1, "the yes to the same cookies is remembered: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_proxy_is_believed_by_the_exact_names_alone() {
    let settings = "trusted_proxies = [\"127.0.0.0/8\"]";
    let world = World::usual().server_settings(settings).start(Form::Binary).await;
    let head = "GET /other HTTP/1.1\r\nhost: app\r\nX-Forwarded-For: 198.51.100.9\r\n\
                X_Forwarded_For: 10.0.0.1\r\nX-Forwarded_Proto: https\r\nX_Real_IP: 10.0.0.1\r\n\
                X_Request_Id: 1\r\nX.Forwarded.Host: evil.example\r\n\
                Connection: close, X-Forwarded-For, X-Request-Id\r\n\r\n";
    world.raw(head).await;
    let seen = world.app.last(&Method::GET, "/other");
    assert_eq!(seen.headers["x-forwarded-for"], "198.51.100.9, 127.0.0.1");
    assert!(seen.headers.contains_key("x-request-id"));
    for name in seen.headers.keys() {
        assert!(!name.as_str().contains(['_', '.']), "{name} came through");
    }
}

in_both_forms! {
    async fn what_the_app_names_in_connection_takes_no_session_along(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        world.app.answers(|_, _| {
            let named = ("connection", "x-inner, X-Viewer-Session, cache-control");
            app::reply(200, &[named, ("x-inner", "1"), ("content-type", "application/json")], r#"{"data":{"id":1}}"#)
        });
        let reply = world.get_as("ann", &format!("/api/files/{id}")).await;
        assert!(!reply.headers().contains_key("x-inner"));
        assert!(!reply.headers().contains_key("connection"), "{:?}", reply.headers());
        assert!(reply.headers().contains_key("x-viewer-session"), "{:?}", reply.headers());
        assert_eq!(reply.headers()["cache-control"], "private, no-store");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_with_a_fragment_changes_nothing_at_the_app() {
    let world = World::usual().start(Form::Binary).await;
    for target in ["/folder/#x", "/folder/?a#", "http://app/folder/#x"] {
        let head = format!("DELETE {target} HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n");
        let reply = world.raw(head).await;
        assert!(reply.starts_with("http/1.1 400 ") && reply.contains("target_unclear"), "{reply}");
    }
    assert_eq!(world.app.seen().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_answers_to_its_own_names_alone() {
    let settings = "admin_hosts = [\"Ops.Example\"]";
    let world = World::usual().server_settings(settings).start(Form::Binary).await;
    let ask = |method: Method, host: String, origin: Option<&'static str>| {
        let url = format!("http://{}/trace", world.admin);
        let request = world.http.request(method, url).header("host", host);
        let request = request.header("content-type", "application/json").body(r#"{"path":"/x"}"#);
        origin.iter().fold(request, |request, origin| request.header("origin", *origin)).send()
    };
    for host in [world.admin.to_string(), "localhost:1".to_owned(), "ops.example".to_owned()] {
        assert_eq!(ask(Method::POST, host, None).await.unwrap().status(), 201);
    }
    let refused = ask(Method::POST, "evil.example".to_owned(), None).await.unwrap();
    assert_eq!(refused.status(), 421);
    assert!(refused.text().await.unwrap().contains("admin_hosts"));
    let own = world.admin.to_string();
    let foreign = ask(Method::POST, own, Some("http://evil.example")).await.unwrap();
    assert_eq!(foreign.status(), 403);
}
