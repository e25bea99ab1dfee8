//! One reading of a request: what the app could read differently gets no session and no capture.

use http::Method;

use crate::support::app::Seen;
use crate::support::{CONFIG, Form, World, app, files};
use axum::response::Response;

/// The usual rules and a view by a parameter.
fn by_query() -> String {
    format!(
        "{CONFIG}\n[[documents.files.view]]\nroute = \"GET /view.php?doc_id={{id}}\"\n\
         session = {{ response_header = \"X-Viewer-Session\" }}\n"
    )
}

/// Ann may see every document, others none; pages answer everybody.
fn anns(seen: &Seen) -> Response {
    let path = seen.uri.path();
    let protected = path.starts_with("/files/") || path.starts_with("/api/files");
    match (protected, app::user(seen).as_deref()) {
        (true, Some("ann")) if path.ends_with("/content") => {
            app::reply(200, &[("content-type", "application/pdf")], files::pdf("a"))
        }
        (true, Some("ann")) => {
            app::reply(200, &[("content-type", "application/json")], "{\"data\":{}}")
        }
        (true, _) => app::reply(403, &[], ""),
        (false, _) => app::reply(200, &[("content-type", "application/json")], "{}"),
    }
}

async fn world(config: &str, form: Form) -> World {
    let world = World::with(config).start(form).await;
    world.app.answers(|_, seen| anns(seen));
    world
}

async fn has_session(world: &World, request: reqwest::RequestBuilder) -> bool {
    let reply = request.send().await.unwrap();
    assert_eq!(reply.status(), 200, "the app's own answer");
    let _ = world;
    reply.headers().contains_key("x-viewer-session")
}

in_both_forms! {
    async fn a_parameter_that_can_be_read_in_two_ways_gets_no_session(form: Form) {
        let world = world(&by_query(), form).await;
        world.session_in_the_end("ann", "7").await;
        let get = |query: &str| world.request_as("ann", Method::GET, &format!("/view.php?{query}"));
        for clear in ["doc_id=7", "a=1&doc_id=7&b[]=1&b[]=2", "doc_id=%37&x=1;y=2"] {
            assert!(has_session(&world, get(clear)).await, "{clear}");
        }
        for unclear in [
            "doc_id=7&doc_id=8", "doc_id=7&+doc_id=8", "doc_id=7&doc.id=8", "doc_id=7&doc%20id=8", "doc_id=7&doc[id=8",
            "doc_id=7&doc_id%00x=8", "doc_id=7&doc_id[]=8", "doc_id=7&DOC_ID=8", "doc_id=7;doc_id=8", "x=1;doc_id=8&doc_id=7",
            "doc_id=7&doc%5fid=8", "doc_id=7&doc_id%5B%5D=8", "doc_id=7&%20doc_id=8", "+doc_id=7", "doc_id[]=7",
        ] {
            assert!(!has_session(&world, get(unclear)).await, "{unclear}");
            let seen = world.app.last(&Method::GET, "/view.php");
            assert_eq!(seen.uri.query(), Some(unclear), "it passes as it came");
        }
        world.counted("capture", "parameter_unclear").await;
        let with_form = get("doc_id=7").form(&[("doc_id", "8")]);
        assert!(!has_session(&world, with_form).await, "a form beside the query");
    }

    async fn where_the_id_is_in_the_query_the_probe_decides(form: Form) {
        let world = world(&by_query(), form).await;
        world.session_in_the_end("ann", "7").await;
        let path = "/view.php?doc_id=7";
        assert!(has_session(&world, world.request_as("ann", Method::GET, path)).await);
        assert!(!has_session(&world, world.request_as("bob", Method::GET, path)).await);
    }

    async fn another_path_or_method_in_a_header_gets_no_session(form: Form) {
        let world = world(CONFIG, form).await;
        world.session_in_the_end("ann", "7").await;
        let get = |name: &str, value: &str| world.request_as("ann", Method::GET, "/api/files/7").header(name, value);
        assert!(has_session(&world, get("x-other", "/api/files/8")).await);
        assert!(has_session(&world, get("x-original-url", "/api/files/7")).await, "it says nothing new");
        for (name, value) in [
            ("x-original-url", "/api/files/8"),
            ("x-rewrite-url", "/api/files/8"),
            ("X_Original_URL", "/api/files/8"),
            ("x.rewrite.url", "/api/files/8"),
            ("x-http-method-override", "DELETE"),
            ("X_HTTP_Method_Override", "DELETE"),
            ("x-http_method", "DELETE"),
        ] {
            assert!(!has_session(&world, get(name, value)).await, "{name}");
            if form == Form::Layer {
                let seen = world.app.last(&Method::GET, "/api/files/7");
                assert_eq!(seen.headers[name], value, "it passes as it came");
            }
        }
        world.counted("capture", "override_unclear").await;
    }

    async fn of_several_ids_none_is_taken(form: Form) {
        for (locator, path, headers, fields) in [
            ("{ query = \"doc\" }", "/api/files?doc=7&doc=8", &[][..], &[][..]),
            ("{ query = \"doc\" }", "/api/files?doc=7&+doc=8", &[], &[]),
            ("{ query = \"doc\" }", "/api/files?doc=7", &[], &[("doc", "8")]),
            ("{ field = \"doc\" }", "/api/files", &[], &[("doc", "7"), ("doc", "8")]),
            ("{ field = \"doc\" }", "/api/files", &[], &[("doc", "7"), ("doc[]", "8")]),
            ("{ field = \"doc\" }", "/api/files?doc=8", &[], &[("doc", "7")]),
            ("{ request_header = \"x-doc\" }", "/api/files", &[("x-doc", "7"), ("x-doc", "8")], &[]),
            ("{ request_header = \"x-doc\" }", "/api/files", &[("x-doc", "7"), ("x_doc", "8")], &[]),
        ] {
            let world = World::with(&CONFIG.replace("{ json = \"$.data.id\" }", locator)).start(form).await;
            world.app.answers(|_, _| app::reply(200, &[], ""));
            let part = reqwest::multipart::Part::bytes(files::pdf("a")).file_name("a.pdf");
            let mut body = reqwest::multipart::Form::new();
            for (name, value) in fields {
                body = body.text(*name, *value);
            }
            let mut request = world.request_as("ann", Method::POST, path).multipart(body.part("file", part));
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            assert_eq!(request.send().await.unwrap().status(), 200);
            world.counted("capture", "id_unclear").await;
            world.spool_is_empty_in_the_end().await;
        }
    }

    async fn an_id_has_one_spelling(form: Form) {
        const UUID: &str = "9bc01234-5678-9abc-def0-123456789abc";
        let config = format!(
            "{}\n[[documents.files.view]]\nroute = \"GET /api/n/{{id:digits}}\"\nsession = {{ page = true }}\n",
            CONFIG.replace("GET /api/files/{id}\"\nsession", "GET /api/files/{id:uuid}\"\nsession")
        );
        let world = World::with(&config).start(form).await;
        let upper = UUID.to_uppercase();
        world.app.answers(move |_, seen| match seen.method.as_str() {
            "POST" => app::reply(201, &[], format!("\u{feff}{{\"data\":{{\"id\":\"{upper}\"}}}}")),
            _ => anns(seen),
        });
        world.post_file_as("ann", "a.pdf", files::pdf("a")).await;
        world.dws.has_documents(1).await;
        for id in [UUID.to_owned(), UUID.to_uppercase()] {
            world.session_in_the_end("ann", &id).await;
            let view = world.request_as("ann", Method::GET, &format!("/api/files/{id}"));
            assert!(has_session(&world, view).await, "{id}");
        }
        world.dws.has_documents(1).await;
        assert_eq!(world.session_as("ann", "007").await.0, 404);
    }

    async fn what_is_encoded_in_a_path_is_a_part_of_the_id(form: Form) {
        let config = CONFIG.replace("PUT /api/files/{id}/content", "PUT /files/{id}/content");
        let config = config.replace("documents.files.replace", "documents.files.upload").replace(
            "route = \"PUT", "id = { path = \"id\" }\nroute = \"PUT");
        let world = world(&config, form).await;
        for id in ["Invoice%20%2312.pdf", "a%3Fb", "a%3Bb", "a%5Cb"] {
            let put = world.request_as("ann", Method::PUT, &format!("/files/{id}/content"));
            assert_eq!(put.body(files::pdf(id)).send().await.unwrap().status(), 200);
            world.session_in_the_end("ann", id).await;
            let seen = world.app.last(&Method::GET, &format!("/api/files/{id}"));
            assert_eq!(seen.uri.path(), format!("/api/files/{id}"), "the probe names the same document");
        }
        world.dws.has_documents(4).await;
    }

    async fn a_location_is_read_as_a_browser_reads_it(form: Form) {
        let id = "{ header = \"location\", pattern = \"/api/documents/{id}\" }";
        // The probe alone tells whether the app has the document.
        let config = CONFIG.replace("{ json = \"$.data.id\" }", id);
        let config = config.replace("source = \"GET /files/{id}/content\"\n", "");
        let world = World::with(&config).start(form).await;
        for (location, id) in [
            ("/api/documents/71;jsessionid=4F1C", "71"),
            ("documents/72", "72"),
            ("./documents/73?x=1#y", "73"),
            ("../api/documents/74", "74"),
        ] {
            world.app.answers(move |_, seen| match seen.method.as_str() {
                "POST" => app::reply(303, &[("location", location)], ""),
                _ => anns(seen),
            });
            assert_eq!(world.post_file_as("ann", "a.pdf", files::pdf(id)).await.status(), 303);
            world.session_in_the_end("ann", id).await;
            assert!(!world.app.seen().iter().any(|seen| seen.uri.path().starts_with("/files/")), "nothing was fetched");
        }
        world.app.answers(|_, _| app::reply(303, &[("location", "https://elsewhere.example/api/documents/75")], ""));
        world.post_file_as("ann", "a.pdf", files::pdf("75")).await;
        world.counted("capture", "not_accepted").await;
    }

    async fn tenants_by_host_have_documents_of_their_own(form: Form) {
        let config = CONFIG.replace("[documents.files]\n", "[documents.files]\nper_host = true\nhosts = [\"a.example\", \"b.example\"]\n");
        let world = World::with(&config).start(form).await;
        world.app.answers(|_, seen| {
            let tenant = seen.headers["host"].to_str().unwrap().to_owned();
            match (seen.method.as_str(), seen.uri.path().ends_with("/content")) {
                ("POST", _) => app::json(201, &serde_json::json!({ "data": { "id": 7 } })),
                (_, true) => app::reply(200, &[("content-type", "application/pdf")], files::pdf(&tenant)),
                _ => app::reply(200, &[("content-type", "application/json")], "{\"data\":{}}"),
            }
        });
        let session = async |host: &str| {
            let get = world.request_as("ann", Method::GET, "/.transom/session/files/7").header("host", host);
            let reply = get.send().await.unwrap();
            (reply.status().as_u16(), reply.json::<serde_json::Value>().await.unwrap()["document_id"].to_string())
        };
        let part = reqwest::multipart::Part::bytes(files::pdf("of a")).file_name("a.pdf");
        let body = reqwest::multipart::Form::new().part("file", part);
        let upload = world.request_as("ann", Method::POST, "/api/files").header("host", "A.example.:80");
        assert_eq!(upload.multipart(body).send().await.unwrap().status(), 201);
        world.dws.has_documents(1).await;
        let (status, of_a) = session("a.example").await;
        assert_eq!(status, 200);
        let (status, of_b) = session("b.example").await;
        assert_eq!(status, 200, "from the app's own source");
        assert_ne!(of_a, of_b);
        world.dws.has_documents(2).await;
        assert_eq!(session("c.example").await.0, 404);
    }
}
