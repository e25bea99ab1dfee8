//! The app's id, and only where the app accepted.

use http::Method;

use crate::support::{CONFIG, Form, World, app, files};

/// The usual rules with another `id` (and more) for the upload.
fn with_id(id: &str) -> String {
    CONFIG.replace("id = { json = \"$.data.id\" }", id)
}

async fn upload(world: &World) -> u16 {
    world.post_file_as("ann", "a.pdf", files::pdf("a")).await.status().as_u16()
}

in_both_forms! {
    async fn a_redirect_with_the_id_in_its_location(form: Form) {
        let id = "id = [{ json = \"$.id\" }, { header = \"location\", pattern = \"/documents/{id}/view\" }]";
        let world = World::with(&with_id(id)).start(form).await;
        for location in ["/documents/a%20b/view", "https://elsewhere.example/documents/a%20b/view?x=1#y"] {
            let location = location.to_owned();
            world.app.answers(move |_, seen| match seen.method.as_str() {
                "POST" => app::reply(303, &[("location", &location)], ""),
                _ => app::reply(200, &[], ""),
            });
            assert_eq!(upload(&world).await, 303);
        }
        world.session_in_the_end("ann", "a%20b").await;
    }

    async fn a_login_redirect_leaves_nothing_behind(form: Form) {
        let id = "id = { header = \"location\", pattern = \"/documents/{id}/view\" }";
        let world = World::with(&with_id(id)).start(form).await;
        world.app.answers(|_, _| app::reply(302, &[("location", "/login?next=/documents/7/view")], ""));
        assert_eq!(upload(&world).await, 302);
        world.counted("capture", "not_accepted").await;
        world.spool_is_empty_in_the_end().await;
    }

    async fn a_refusal_leaves_nothing_behind_whatever_its_status(form: Form) {
        let accepted = "id = { json = \"$.data.id\" }\naccepted = \"reply.status == 200 && reply.json.ok == true\"";
        let world = World::with(&with_id(accepted)).start(form).await;
        for (status, body) in [
            (200, r#"{"ok":false,"data":{"id":7}}"#),
            (500, r#"{"ok":true,"data":{"id":7}}"#),
            (403, r#"{"ok":true,"data":{"id":7}}"#),
            (200, "not json"),
        ] {
            world.app.answers(move |_, _| app::reply(status, &[], body));
            assert_eq!(upload(&world).await, status);
        }
        world.spool_is_empty_in_the_end().await;
        world.app.answers(|_, _| app::reply(200, &[("content-type", "text/html")], r#"{"ok":true,"data":{"id":8}}"#));
        assert_eq!(upload(&world).await, 200);
        world.dws.has_documents(1).await;
    }

    async fn an_id_may_come_from_text_field_query_path_or_header(form: Form) {
        for (locator, route, path, answer, id) in [
            ("{ text = \"stored as {id}.\" }", "POST /api/files", "/api/files", "stored as t1.\n", "t1"),
            ("{ field = \"note\" }", "POST /api/files", "/api/files", "", "a%20note"),
            ("{ query = \"doc\" }", "POST /api/files", "/api/files?x=1&doc=q%2F1", "", "q%2F1"),
            ("{ path = \"name\" }", "POST /up/{name}", "/up/p%20%C3%BC1", "", "p%20%C3%BC1"),
            ("{ path = \"rest\" }", "POST /dav/{*rest}", "/dav/a/b%20c.pdf", "", "a%2Fb%20c.pdf"),
            ("{ header = \"x-id\" }", "POST /api/files", "/api/files", "", "h1"),
            ("{ request_header = \"x-doc\" }", "POST /api/files", "/api/files", "", "r1"),
        ] {
            let config = with_id(&format!("id = {locator}")).replace("POST /api/files", route);
            let world = World::with(&config).start(form).await;
            world.app.answers(move |_, _| app::reply(200, &[("x-id", "h1")], answer));
            let part = reqwest::multipart::Part::bytes(files::pdf("a")).file_name("a.pdf");
            let body = reqwest::multipart::Form::new().text("note", "a note").part("file", part);
            let request = world.request_as("ann", Method::POST, path).header("x-doc", "r1");
            assert_eq!(request.multipart(body).send().await.unwrap().status(), 200);
            world.session_in_the_end("ann", id).await;
        }
    }

    async fn an_id_that_can_be_mistaken_is_refused(form: Form) {
        let world = World::usual().start(form).await;
        let long = "x".repeat(10_000);
        for id in ["../../etc/passwd", "a\\u0000b", "a\\nb", "..", &long] {
            let body = format!("{{\"data\":{{\"id\":\"{id}\"}}}}");
            world.app.answers(move |_, _| app::reply(201, &[], body.clone()));
            assert_eq!(upload(&world).await, 201);
        }
        world.counted("capture", "id_invalid").await;
        let bodies = ["\"\"", "null", "[1]", "1.5", "36893488147419103232"]
            .map(|id| format!("{{\"data\":{{\"id\":{id}}}}}"));
        for body in bodies.into_iter().chain(["{}".to_owned(), String::new()]) {
            world.app.answers(move |_, _| app::reply(201, &[], body.clone()));
            assert_eq!(upload(&world).await, 201);
        }
        world.counted("capture", "id_missing").await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 0);
    }

    async fn the_effective_method_decides(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "a.pdf").await;
        world.session_in_the_end("ann", &id).await;
        // A POST that the app may take for a DELETE.
        world.app.answers(|_, _| app::reply(200, &[], ""));
        let form_delete = world.request_as("ann", Method::POST, &format!("/api/files/{id}"));
        form_delete.form(&[("_method", "delete")]).send().await.unwrap();
        world.dws.has_documents(0).await;
        // An upload that the app may take for something else is not captured.
        let request = world.request_as("ann", Method::POST, "/api/files").header("x-http-method-override", "PUT");
        let part = reqwest::multipart::Part::bytes(files::pdf("b")).file_name("b.pdf");
        request.multipart(reqwest::multipart::Form::new().part("file", part)).send().await.unwrap();
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 0);
    }

    async fn when_tells_rules_of_one_route_apart(form: Form) {
        let config = CONFIG.replace(
            "route = \"POST /api/files\"",
            "route = \"POST /api/files\"\nwhen = \"form.action == 'upload'\"",
        );
        let world = World::with(&config).start(form).await;
        let send = async |action: &'static str| {
            let part = reqwest::multipart::Part::bytes(files::pdf("a")).file_name("a.pdf");
            let body = reqwest::multipart::Form::new().text("action", action).part("file", part);
            let request = world.request_as("ann", Method::POST, "/api/files").multipart(body);
            assert_eq!(request.send().await.unwrap().status(), 201);
        };
        send("preview").await;
        world.counted("capture", "when_unmet").await;
        send("upload").await;
        world.dws.has_documents(1).await;
    }
}
