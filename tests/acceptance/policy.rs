//! Rules over what an upload left behind: nothing of it is asked of the app.

use http::Method;
use serde_json::json;

use crate::support::{CONFIG, Form, World, app, tokens};

/// The usual rules, for an app that shows everything to everybody.
fn with_policy(allow: &str) -> String {
    let attributes = "attributes = { tenant = \"claims.tenant\", note = \"form.note\", none = \"claims.none\" }\n";
    CONFIG
        .replace("max_size = \"8 MiB\"\n", &format!("max_size = \"8 MiB\"\n{attributes}"))
        .replace(
            "route = \"GET /api/files/{id}\"",
            &format!("route = \"GET /api/files/{{id}}\"\nallow = \"{allow}\""),
        )
}

async fn code(world: &World, id: &str, token: String) -> String {
    let request = world.request(Method::GET, &format!("/.transom/session/files/{id}"));
    let reply = request.bearer_auth(token).send().await.unwrap();
    let json: serde_json::Value = reply.json().await.unwrap();
    json["code"].as_str().unwrap_or("session").to_owned()
}

fn of(user: &str, tenant: &str) -> String {
    tokens::with(user, &json!({ "tenant": tenant }))
}

async fn upload(world: &World, token: String) -> String {
    let file = crate::support::files::pdf("a.pdf");
    let part = reqwest::multipart::Part::bytes(file).file_name("a.pdf");
    let form = reqwest::multipart::Form::new().text("note", "draft").part("file", part);
    let request = world.request(Method::POST, "/api/files").multipart(form);
    let reply = request.bearer_auth(token).send().await.unwrap();
    let json: serde_json::Value = reply.json().await.unwrap();
    world.dws.has_documents(1).await;
    world.app.answers(|_, _| app::reply(200, &[("content-type", "application/json")], "{}"));
    json["data"]["id"].to_string()
}

in_both_forms! {
    async fn tenants_see_their_own_documents(form: Form) {
        let world = World::with(&with_policy("document.attributes.tenant == claims.tenant")).start(form).await;
        let id = upload(&world, of("ann", "acme")).await;
        for _ in 0..100 {
            if code(&world, &id, of("bob", "acme")).await == "session" {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(code(&world, &id, of("bob", "acme")).await, "session");
        assert_eq!(code(&world, &id, of("bob", "other")).await, "denied_by_policy");
        assert_eq!(code(&world, &id, tokens::for_user("bob")).await, "denied_by_policy");
    }

    async fn a_tenant_that_nobody_has_is_nobodys(form: Form) {
        let world = World::with(&with_policy("document.attributes.none == claims.none")).start(form).await;
        let id = upload(&world, of("ann", "acme")).await;
        assert_eq!(code(&world, &id, of("ann", "acme")).await, "denied_by_policy");
    }

    async fn owners_stay_owners_when_somebody_replaces_the_bytes(form: Form) {
        let allow = "document.uploader == claims.sub && document.uploader_identity == 'app' && \
            document.attributes.note == 'draft' && document.route == 'POST /api/files'";
        let world = World::with(&with_policy(allow)).start(form).await;
        let id = upload(&world, of("ann", "acme")).await;
        world.session_in_the_end("ann", &id).await;
        assert_eq!(code(&world, &id, tokens::for_user("bob")).await, "denied_by_policy");
        let put = world.request_as("bob", Method::PUT, &format!("/api/files/{id}/content"));
        let put = put.header("content-type", "application/pdf");
        put.body(crate::support::files::pdf("b.pdf")).send().await.unwrap();
        world.counted("capture", "replaced").await;
        assert_eq!(code(&world, &id, tokens::for_user("bob")).await, "denied_by_policy");
        world.session_in_the_end("ann", &id).await;
    }

    async fn an_upload_with_a_token_that_is_not_ours_is_captured_all_the_same(form: Form) {
        let world = World::with(&with_policy("document.uploader == claims.sub")).start(form).await;
        // The app takes it: its own verifier checks no audience.
        let id = upload(&world, tokens::with("ann", &json!({ "aud": "someone-else" }))).await;
        world.counted("capture", "captured").await;
        assert_eq!(code(&world, &id, tokens::for_user("ann")).await, "denied_by_policy");
    }
}
