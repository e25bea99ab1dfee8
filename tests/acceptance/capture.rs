//! The app gets its request as it was; DWS gets the file.

use http::Method;

use crate::support::{Form, World, app, files};

in_both_forms! {
    async fn an_upload_to_an_untouched_app_becomes_a_session(form: Form) {
        let world = World::usual().start(form).await;
        let id = world.upload_as("ann", "report.pdf").await;

        let session = world.session_in_the_end("ann", &id).await;
        let documents = world.dws.documents().await;
        assert_eq!(documents.len(), 1);
        assert_eq!(documents[0].title.as_deref(), Some("report.pdf"));
        assert_eq!(session["document_id"], documents[0].id.as_str());
        assert_eq!(session["permissions"], serde_json::json!(["read"]));
        assert_eq!(world.dws.content(&documents[0].id).await, files::pdf("report.pdf"));

        let (status, problem) = world.session_as("bob", &id).await;
        assert_eq!((status, problem["code"].as_str()), (403, Some("denied_by_app")));
        world.spool_is_empty_in_the_end().await;
    }

    async fn the_app_gets_every_byte_and_the_same_framing(form: Form) {
        let world = World::usual().start(form).await;
        let body = [
            &b"preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\na\r\n--XX\r\n"[..],
            b"content-disposition: form-data; name=file; filename=\"r\xc3\xa9sum\xc3\xa9 \\\"x%22.pdf\"\r\n\r\n",
            &files::large_pdf("bytes", 300_000),
            b"\r\n--XX--\r\nepilogue",
        ]
        .concat();
        for chunked in [false, true] {
            let request = world
                .request_as("ann", Method::POST, "/api/files")
                .header("content-type", "multipart/form-data; boundary=XX");
            let request = match chunked {
                false => request.body(body.clone()),
                true => {
                    let pieces: Vec<_> = body.chunks(7001).map(<[u8]>::to_vec).collect();
                    let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
                    request.body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)))
                }
            };
            assert_eq!(request.send().await.unwrap().status(), 201);
            let seen = world.app.last(&Method::POST, "/api/files");
            assert!(seen.body == body, "the app's bytes differ");
            let length = seen.headers.get("content-length").map(|v| v.to_str().unwrap().to_owned());
            assert_eq!(length, (!chunked).then(|| body.len().to_string()));
            assert_eq!(seen.headers.contains_key("transfer-encoding"), chunked);
        }
        world.dws.has_documents(2).await;
        let documents = world.dws.documents().await;
        for document in documents {
            assert_eq!(document.title.as_deref(), Some("résumé \"x\".pdf"));
            assert!(world.dws.content(&document.id).await == files::large_pdf("bytes", 300_000));
        }
    }

    async fn a_raw_body_is_a_file_too(form: Form) {
        let world = World::with(&crate::support::CONFIG.replace(
            "route = \"POST /api/files\"\nfile = { part = \"file\" }",
            "route = \"POST /api/files\"\nfile = { body = true }",
        )).start(form).await;
        let request = world.request_as("ann", Method::POST, "/api/files");
        let reply = request.body(files::pdf("raw")).send().await.unwrap();
        assert_eq!(reply.status(), 201);
        world.dws.has_documents(1).await;
        let document = &world.dws.documents().await[0];
        assert!(world.dws.content(&document.id).await == files::pdf("raw"));
    }

    async fn only_the_configured_part_of_a_shown_type_is_taken(form: Form) {
        let world = World::usual().start(form).await;
        let part = |bytes: Vec<u8>, name: &str| {
            reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned())
        };
        let reqwest_form = reqwest::multipart::Form::new()
            .part("avatar", part(files::pdf("not this"), "a.pdf"))
            .part("file", part(files::pdf("this"), "b.pdf"));
        let request = world.request_as("ann", Method::POST, "/api/files").multipart(reqwest_form);
        assert_eq!(request.send().await.unwrap().status(), 201);
        world.dws.has_documents(1).await;
        assert_eq!(world.dws.documents().await[0].title.as_deref(), Some("b.pdf"));

        let text = world.post_file_as("ann", "c.pdf", b"just words".to_vec()).await;
        assert_eq!(text.status(), 201);
        world.counted("capture", "type_not_captured").await;
        let large = world.post_file_as("ann", "d.pdf", files::large_pdf("large", 9 << 20)).await;
        assert_eq!(large.status(), 201, "larger than max_size still reaches the app");
        world.counted("capture", "file_too_large").await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn a_matched_route_without_a_file_is_an_ordinary_request(form: Form) {
        let world = World::usual().start(form).await;
        let request = world.request_as("ann", Method::POST, "/api/files");
        let request = request.form(&[("name", "renamed")]);
        assert_eq!(request.send().await.unwrap().status(), 201);
        world.counted("capture", "no_file").await;
    }

    async fn several_files_get_their_ids_in_order(form: Form) {
        let config = crate::support::CONFIG
            .replace("file = { part = \"file\" }\n", "")
            .replace("$.data.id", "$.data[*].id");
        let world = World::with(&config).start(form).await;
        world.app.answers(|_, seen| match seen.method.as_str() {
            "POST" => app::json(200, &serde_json::json!({"data": [{"id": 71}, {"id": "x/72"}]})),
            _ => app::json(200, &serde_json::json!({})),
        });
        let part = |text: &str| reqwest::multipart::Part::bytes(files::pdf(text)).file_name(format!("{text}.pdf"));
        let reqwest_form = reqwest::multipart::Form::new().part("a", part("one")).part("b", part("two"));
        world.request_as("ann", Method::POST, "/api/files").multipart(reqwest_form).send().await.unwrap();
        let first = world.session_in_the_end("ann", "71").await;
        let second = world.session_in_the_end("ann", "x%2F72").await;
        let content = async |session: serde_json::Value| {
            world.dws.content(session["document_id"].as_str().unwrap()).await
        };
        assert!(content(first).await == files::pdf("one"));
        assert!(content(second).await == files::pdf("two"));
    }

    async fn a_client_that_goes_away_leaves_nothing_behind(form: Form) {
        let world = World::usual().start(form).await;
        let body = files::large_pdf("cut", 400_000);
        let head = format!(
            "POST /api/files HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {}\r\ncontent-type: multipart/form-data; boundary=B\r\ncontent-length: {}\r\n\r\n--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"c.pdf\"\r\n\r\n",
            crate::support::tokens::for_user("ann"),
            body.len() + 1000,
        );
        for cut in [10, 5_000, 70_000, 399_000] {
            use tokio::io::AsyncWriteExt;
            let mut stream = tokio::net::TcpStream::connect(world.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&body[..cut]).await.unwrap();
            stream.flush().await.unwrap();
            drop(stream);
        }
        world.upload_as("ann", "whole.pdf").await;
        world.dws.has_documents(1).await;
        world.spool_is_empty_in_the_end().await;
        assert_eq!(world.dws.documents().await.len(), 1);
    }

    async fn a_broken_spool_costs_the_capture_and_not_the_request(form: Form) {
        let world = World::usual().start(form).await;
        let spool = world.dir().join("data/spool");
        world.upload_as("ann", "first.pdf").await;
        world.dws.has_documents(1).await;
        std::fs::remove_dir_all(&spool).unwrap();
        let reply = world.post_file_as("ann", "a.pdf", files::pdf("a")).await;
        assert_eq!(reply.status(), 201);
        world.counted("capture", "spool_failed").await;
        std::fs::create_dir(&spool).unwrap();
        world.upload_as("ann", "b.pdf").await;
        world.dws.has_documents(2).await;
    }
}
