//! The app's word as the access list: what counts as a yes, and for how long.

use http::Method;

use crate::support::{CONFIG, Form, World, app, tokens};

/// Requests with this method and path that the app has seen.
fn seen(world: &World, path: &str) -> usize {
    world.app.seen().iter().filter(|seen| seen.uri.path() == path).count()
}

in_both_forms! {
    async fn a_yes_counts_for_a_moment_and_for_one_credential_only(form: Form) {
        let world = World::usual().app_settings("remember_decisions = \"1m\"").start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");
        let token = tokens::for_user("ann");
        let own = format!("/.transom/session/files/{id}");
        let ask = || world.request(Method::GET, &own).bearer_auth(&token).send();
        assert_eq!(ask().await.unwrap().status(), 200);
        let before = seen(&world, &path);
        for _ in 0..5 {
            assert_eq!(ask().await.unwrap().status(), 200);
        }
        assert_eq!(seen(&world, &path), before, "the app was not asked again");

        // The same token, and something more that the app may know the caller by.
        let other = world.request(Method::GET, &own).bearer_auth(&token).header("cookie", "a=b");
        assert_eq!(other.send().await.unwrap().status(), 200);
        assert_eq!(seen(&world, &path), before + 1);
        assert_eq!(world.session_as("bob", &id).await.0, 403);
        assert_eq!(seen(&world, &path), before + 2);

        // Replacing the document empties it.
        let put = world.request_as("ann", Method::PUT, &format!("/api/files/{id}/content"));
        let put = put.header("content-type", "application/pdf");
        put.body(crate::support::files::pdf("b.pdf")).send().await.unwrap();
        world.counted("capture", "replaced").await;
        let before = seen(&world, &path);
        world.app.answers(|_, _| app::reply(403, &[], "no more"));
        assert_eq!(ask().await.unwrap().status(), 403);
        assert_eq!(seen(&world, &path), before + 1);
    }

    async fn a_deleted_document_is_asked_about_again(form: Form) {
        let world = World::usual().app_settings("remember_decisions = \"1m\"").start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        let token = tokens::for_user("ann");
        let own = format!("/.transom/session/files/{id}");
        let ask = || world.request(Method::GET, &own).bearer_auth(&token).send();
        assert_eq!(ask().await.unwrap().status(), 200);
        let delete = world.request_as("ann", Method::DELETE, &format!("/api/files/{id}"));
        delete.send().await.unwrap();
        world.counted("delete", "deleted").await;
        let reply: serde_json::Value = ask().await.unwrap().json().await.unwrap();
        assert_eq!(reply["code"], "denied_by_app");
    }

    async fn a_login_page_with_200_is_no_yes(form: Form) {
        let world = World::usual().app_settings("remember_decisions = \"off\"").start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        for (status, content_type, expected) in [
            (200, "text/html; charset=utf-8", "denied_by_app"),
            (401, "application/json", "denied_by_app"),
            (404, "application/json", "denied_by_app"),
            (429, "application/json", "app_unavailable"),
            (503, "text/html", "app_unavailable"),
        ] {
            world.app.answers(move |_, _| app::reply(status, &[("content-type", content_type)], "{}"));
            let (_, problem) = world.session_as("ann", &id).await;
            assert_eq!(problem["code"], expected, "{status} {content_type}");
        }
        world.app.answers(|_, _| app::reply(200, &[("content-type", "application/json")], "{}"));
        assert_eq!(world.session_as("ann", &id).await.0, 200);
    }

    async fn html_counts_where_the_probe_accepts_it(form: Form) {
        let probe = "probe = { route = \"GET /api/files/{id}\", headers = { accept = \"text/html\" } }";
        let config = CONFIG.replace("probe = \"GET /api/files/{id}\"", probe);
        let world = World::with(&config).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.app.answers(|_, _| app::reply(200, &[("content-type", "text/html")], "<p>Your file</p>"));
        world.session_in_the_end("ann", &id).await;
        let path = format!("/api/files/{id}");
        assert_eq!(world.app.last(&Method::GET, &path).headers["accept"], "text/html");
    }

    async fn without_a_probe_the_source_is_asked_for_one_byte(form: Form) {
        let config = CONFIG.replace("probe = \"GET /api/files/{id}\"\n", "");
        let world = World::with(&config).start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.dws.has_documents(1).await;
        let request = world.request_as("ann", Method::GET, &format!("/.transom/session/files/{id}"));
        let request = request.header("x-tenant", "acme").header("cookie", "sid=1");
        request.send().await.unwrap();
        let asked = world.app.last(&Method::GET, &format!("/files/{id}/content"));
        assert_eq!(asked.headers["range"], "bytes=0-0");
        assert_eq!(asked.headers["cookie"], "sid=1");
        assert!(asked.headers.contains_key("authorization"));
        assert!(!asked.headers.contains_key("x-tenant"), "nothing else of the request");
        world.session_in_the_end("ann", &id).await;
    }
}

/// In front of the layer there may be services that tell callers apart by what can't be seen; in front of the
/// binary there are none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_counts_for_some_seconds_unless_told_otherwise() {
    let world = World::usual().start(Form::Binary).await;
    let id = world.upload_as("ann", "a.pdf").await;
    world.session_in_the_end("ann", &id).await;
    let before = seen(&world, &format!("/api/files/{id}"));
    for _ in 0..20 {
        assert_eq!(world.session_as("ann", &id).await.0, 200);
    }
    let asked = seen(&world, &format!("/api/files/{id}")) - before;
    assert!(asked < 20, "the app was asked {asked} times");
}
